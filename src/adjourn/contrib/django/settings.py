"""The settings of the Django application. Each is read when it is used, so that ``override_settings`` counts at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from adjourn import sql
from adjourn._domain.results import DEFAULT_TTL
from adjourn.contrib.django.exceptions import DjangoNotReady
from adjourn.limits import Limit
from adjourn.types import PeriodicDefaults, WorkerOptions

__all__ = ["PREFIX", "Settings", "settings"]

PREFIX = "ADJOURN_"
"""What the names begin with in the settings module: ``DATABASE_ALIAS`` is ``ADJOURN_DATABASE_ALIAS`` there."""


class Settings:
    """The settings, without their prefix, and their defaults.

    Attributes
    ----------
    AUTODISCOVER_MODULE_NAME
        The module that is imported from each installed app at start, because it declares tasks; None for none.
    IMPORT_PATHS
        Further modules that declare tasks; workers import them.
    DATABASE_ALIAS
        The database of the queue, by its name in ``DATABASES``.
    WORKER_DEFAULTS, PERIODIC_DEFAULTS
        What `App` takes as ``worker_defaults`` and ``periodic_defaults``.
    STORE_RESULTS, RESULT_TTL
        What `App` takes as ``store_results`` and ``result_ttl`` (in seconds).
    QUEUE_LIMITS
        What `App` takes as ``queue_limits``: how many jobs of a queue run at once, or start in a period of time.
    ON_APP_READY
        The path of a function that is called with the app when Django is ready, such as ``"shop.queue.on_app_ready"``.
    READONLY_MODELS
        Whether the models refuse to be written through. False is for tests.
    SCHEMA
        The schema of the database that holds adjourn's tables.
    POOL
        Options of the pool of a worker: ``min_size``, ``max_size`` and ``timeout`` (in seconds), for example.
    ADMIN_HIDE_ARGS
        Names of tasks whose arguments the admin does not show.
    ALLOW_DROP
        Whether ``migrate adjourn zero`` may drop a schema in which jobs wait or run.
    """

    AUTODISCOVER_MODULE_NAME: str | None = "tasks"
    IMPORT_PATHS: Sequence[str] = ()
    DATABASE_ALIAS: str = "default"
    WORKER_DEFAULTS: WorkerOptions | None = None
    PERIODIC_DEFAULTS: PeriodicDefaults | None = None
    STORE_RESULTS: bool = False
    RESULT_TTL: float = DEFAULT_TTL
    QUEUE_LIMITS: Mapping[str, Limit] = {}
    ON_APP_READY: str | Callable[..., Any] | None = None
    READONLY_MODELS: bool = True
    SCHEMA: str = sql.DEFAULT_SCHEMA
    POOL: Mapping[str, Any] = {}
    ADMIN_HIDE_ARGS: Collection[str] = ()
    ALLOW_DROP: bool = False

    def __getattribute__(self, name: str) -> Any:
        """Return a setting.

        Raises
        ------
        DjangoNotReady
            If Django's settings are not configured yet.
        """
        default = object.__getattribute__(self, name)
        if not name.isupper():
            return default
        try:
            return getattr(django_settings, PREFIX + name, default)
        except ImproperlyConfigured as error:
            if django_settings.configured:
                raise
            raise DjangoNotReady() from error


settings: Settings = Settings()
"""The settings of this program."""
