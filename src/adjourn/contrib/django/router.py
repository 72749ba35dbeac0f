"""A database router that keeps adjourn's models on their database, for projects that want a router to say so.

The models go to ``ADJOURN_DATABASE_ALIAS`` without it. With it, ``migrate`` on other databases leaves adjourn out, and
``dumpdata`` and ``loaddata`` skip adjourn's models.
"""

from __future__ import annotations

from typing import Any

from adjourn.contrib.django.settings import settings

__all__ = ["AdjournRouter"]

LABEL = "adjourn"


class AdjournRouter:
    """``DATABASE_ROUTERS = ["adjourn.contrib.django.router.AdjournRouter"]``.

    It speaks for the application ``adjourn`` alone, and leaves all other models to the next router.
    """

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        """Return ``ADJOURN_DATABASE_ALIAS`` for adjourn's models."""
        return settings.DATABASE_ALIAS if model._meta.app_label == LABEL else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool | None:
        """Return whether adjourn's schema belongs into a database; its models, which show that schema, into none."""
        if app_label != LABEL:
            return None
        return db == settings.DATABASE_ALIAS and model_name is None
