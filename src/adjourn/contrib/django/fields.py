"""Fields of the models."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.checks import CheckMessage

__all__ = ["PlainArrayField"]


class PlainArrayField(ArrayField):  # type: ignore[type-arg]
    """An array that needs no other app. From Django 6.0 on, a check demands ``django.contrib.postgres`` for an `ArrayField`.

    That app has what forms and searches need, and this field is only read. It takes what `ArrayField` does.
    """

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """Check the field, but not whether ``django.contrib.postgres`` is installed."""
        return [each for each in super().check(**kwargs) if each.id != "postgres.E005"]

    def deconstruct(self) -> Any:
        """Return what recreates the field: in migrations it is an array like any other."""
        name, _, arguments, keywords = super().deconstruct()
        return name, "django.contrib.postgres.fields.ArrayField", arguments, keywords
