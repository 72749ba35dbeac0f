"""The shop as an app of Django."""

from __future__ import annotations

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """The shop."""

    name = "support.shop"
    label = "shop"
