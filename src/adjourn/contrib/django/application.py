"""The app of a Django project, and what its workers do around each job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Self, Unpack

from adjourn import sql
from adjourn._domain.job_limits import checked_queue_limits, declared_limits
from adjourn._domain.results import DEFAULT_TTL
from adjourn._domain.schedules import checked_defaults as checked_periodic_defaults
from adjourn.app import App
from adjourn.connectors.base import BaseConnector
from adjourn.contrib.django.connections import KeptConnections, clean_up, clean_up_async
from adjourn.contrib.django.connector import DjangoConnector
from adjourn.contrib.django.limited import LIMITED
from adjourn.contrib.django.manager import DjangoJobManager
from adjourn.contrib.django.names import NAMESPACE
from adjourn.contrib.django.settings import settings
from adjourn.limits import Limit, Scope
from adjourn.manager import JobManager
from adjourn.types import PeriodicDefaults, WorkerOptions
from adjourn.worker import shutdown
from adjourn.worker.options import checked_options

__all__ = ["DjangoApp", "SiteApp"]

CLEAN_UP = (clean_up, clean_up_async)
"""What a worker does around each job."""


class DjangoApp(App):
    """An `App` whose workers close Django's connections around each job, as Django does around each request.

    The app of the project is ``adjourn.contrib.django.app``. This class is for others, such as those of a test.

    Parameters
    ----------
    connector
        The connector. With a `DjangoConnector`, a worker uses a connector of its own for the queue, and the jobs
        themselves go on to defer through Django's connection.
    import_paths, worker_defaults, periodic_defaults, store_results, result_ttl, queue_limits
        As for `App`.
    schema
        The database schema that holds adjourn's tables. Default: with a `DjangoConnector` ``ADJOURN_SCHEMA``, read at
        each call; else ``adjourn``.
    """

    def __init__(
        self,
        *,
        connector: BaseConnector,
        import_paths: Iterable[str] | None = None,
        worker_defaults: WorkerOptions | None = None,
        periodic_defaults: PeriodicDefaults | None = None,
        schema: str | None = None,
        store_results: bool = False,
        result_ttl: float = DEFAULT_TTL,
        queue_limits: Mapping[str, Limit] = MappingProxyType({}),
    ) -> None:
        super().__init__(
            connector=connector,
            import_paths=import_paths,
            worker_defaults=worker_defaults,
            periodic_defaults=periodic_defaults,
            schema=sql.DEFAULT_SCHEMA if schema is None else schema,
            store_results=store_results,
            result_ttl=result_ttl,
            queue_limits=queue_limits,
        )
        if schema is None and isinstance(self.job_manager, DjangoJobManager):
            self.job_manager: JobManager = DjangoJobManager(connector)
            self.job_manager.events = self.events
            self.job_manager.declares = self._declares
        self.worker_defaults: WorkerOptions = self._with_clean_up(self.worker_defaults)
        self.kept_connections: KeptConnections = KeptConnections()

    def _manager_of(self, connector: BaseConnector, schema: str) -> JobManager:
        if isinstance(connector, DjangoConnector):
            return DjangoJobManager(connector, schema)
        return super()._manager_of(connector, schema)

    def with_connector(self, connector: BaseConnector) -> Self:
        """Return another app with the same tasks on another connector. See `App.with_connector`.

        On a connector that `DjangoConnector.get_worker_connector` returned, it is an app for a worker: the jobs that it runs
        see this app, and so go on to defer through Django's connection.
        """
        other = super().with_connector(connector)
        is_workers = isinstance(self.connector, DjangoConnector) and self.connector.made(connector)
        other._app_of_jobs = self if is_workers else None
        other.kept_connections = KeptConnections()
        return other

    def declared_limits(self) -> dict[tuple[Scope, str], Limit]:
        """Return the limits of its tasks and queues, and those of the tasks of ``django.tasks`` that it runs. See `App.declared_limits`."""
        declared = super().declared_limits()
        if self.resolver_of(f"{NAMESPACE}:") is not None:
            declared |= declared_limits(LIMITED.items(), {})
        return declared

    async def run_worker_async(self, **options: Unpack[WorkerOptions]) -> None:
        """Run a worker until it is stopped. See `App.run_worker_async`.

        On a `DjangoConnector`, the worker has connections of its own beside Django's.
        """
        if not isinstance(self.connector, DjangoConnector):
            try:
                await super().run_worker_async(**self._cleaning_up(options))
            finally:
                await asyncio.to_thread(self.kept_connections.close)
            return
        app = self.with_connector(self.connector.get_worker_connector())
        await app.open_async()
        try:
            await app.run_worker_async(**options)
        finally:
            await shutdown.closed(app.close_async())

    def _cleaning_up(self, options: WorkerOptions) -> WorkerOptions:
        """Return a worker's options, in which a list of middleware does not replace what cleans up."""
        return self._with_clean_up(options) if "task_middleware" in options else options

    def _with_clean_up(self, options: WorkerOptions) -> WorkerOptions:
        checked = checked_options("run_worker", options)
        given = [each for each in checked.get("task_middleware") or () if each not in CLEAN_UP]
        return {**checked, "task_middleware": [*CLEAN_UP, *given]}


class FromSettings:
    """An attribute of an app that is read from the settings, unless the program has set it.

    Parameters
    ----------
    read
        Returns the value that the settings have at this moment.
    """

    def __init__(self, read: Callable[[Any], Any]) -> None:
        self._read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, app: Any, owner: type) -> Any:
        if app is None:
            return self
        return vars(app)[self._name] if self._name in vars(app) else self._read(app)

    def __set__(self, app: Any, value: Any) -> None:
        vars(app)[self._name] = value


class SiteApp(DjangoApp):
    """The app of a Django project: what a `DjangoApp` takes as arguments, it reads from the settings when it is used.

    Parameters
    ----------
    connector
        The connector.
    """

    import_paths: Any = FromSettings(lambda app: tuple(settings.IMPORT_PATHS))
    worker_defaults: Any = FromSettings(lambda app: app._settings_for_workers())
    periodic_defaults: Any = FromSettings(lambda app: checked_periodic_defaults(settings.PERIODIC_DEFAULTS))
    store_results: Any = FromSettings(lambda app: settings.STORE_RESULTS)
    result_ttl: Any = FromSettings(lambda app: settings.RESULT_TTL)
    queue_limits: Any = FromSettings(lambda app: checked_queue_limits(settings.QUEUE_LIMITS))

    def __init__(self, *, connector: BaseConnector) -> None:
        super().__init__(connector=connector)
        for name in (
            "import_paths",
            "worker_defaults",
            "periodic_defaults",
            "store_results",
            "result_ttl",
            "queue_limits",
        ):
            del vars(self)[name]

    def _settings_for_workers(self) -> WorkerOptions:
        given = settings.WORKER_DEFAULTS
        return self._with_clean_up({} if given is None else given)
