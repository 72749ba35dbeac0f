"""What the shop stores."""

from __future__ import annotations

from django.db import models


class Order(models.Model):
    """An order."""

    name: models.TextField[str, str] = models.TextField(default="")

    def __str__(self) -> str:
        return self.name
