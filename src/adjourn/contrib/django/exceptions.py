"""The errors of the Django application."""

from __future__ import annotations

from adjourn.exceptions import AdjournException

__all__ = ["DjangoNotReady", "ReadOnlyModel"]


class ReadOnlyModel(AdjournException):
    """adjourn's models show its tables, and are not written through. Use the operations of ``app.job_manager``."""


class DjangoNotReady(AdjournException):
    """Django's settings are not configured yet, so the database is not known. Call ``django.setup()`` first, or set
    ``DJANGO_SETTINGS_MODULE``."""
