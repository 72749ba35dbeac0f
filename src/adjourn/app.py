"""The app, which combines a connector and a collection of tasks, and the context that a task gets for its run."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Self, Unpack, cast

import attrs

from adjourn import blueprints, builtin_tasks, exceptions, sql, tasks
from adjourn._domain.checks import check_flag, check_known, check_name, checked_list
from adjourn._domain.claimed import ClaimedJob
from adjourn._domain.job_limits import checked_queue_limits, declared_limits
from adjourn._domain.jobs import Job, StoredJob, stored_job
from adjourn._domain.progress import progress_text
from adjourn._domain.results import DEFAULT_TTL, check_ttl
from adjourn._domain.runs import AbortReason, LooseRun, RunLike, nobody_listens, not_aborted
from adjourn._domain.schedules import checked_defaults
from adjourn._domain.spelling import dotted_hint, suggests_names
from adjourn._durable.completion import CompletesJobs
from adjourn._durable.events import SendsEvents
from adjourn._durable.hand import Hand
from adjourn._durable.steps import RemembersSteps
from adjourn._durable.waiting import Waits
from adjourn._runtime.contexts import AwaitableContext
from adjourn._runtime.imports import import_all, load_from_path
from adjourn.connectors.base import BaseConnector
from adjourn.events import Events
from adjourn.events.log import logged
from adjourn.limits import Limit, Scope
from adjourn.manager import JobDeferrer, JobManager, SchemaManager
from adjourn.types import ConfigureOptions, JSONDumps, PeriodicDefaults, WorkerOptions
from adjourn.worker import Worker, shutdown
from adjourn.worker.options import checked_options
from adjourn.workflows import Workflow

__all__ = ["App"]

logger: logging.Logger = logging.getLogger(__name__)


class App(blueprints.Blueprint, SendsEvents):
    """The main object of adjourn: declares tasks, defers their jobs, and runs workers.

    Parameters
    ----------
    connector
        The connector to the database, such as ``PsycopgConnector("postgresql://...")``.
    import_paths
        Modules that declare tasks; a worker imports them before it starts.
    worker_defaults
        Defaults for the options of `run_worker`.
    periodic_defaults
        Options of periodic tasks: ``max_delay``, how many seconds late a tick is still deferred. `periodic` says what
        holds without it.
    schema
        The database schema that holds adjourn's tables.
    store_results
        Whether workers store what tasks return, for `JobManager.get_result`; False by default. A task's ``store_result``
        goes before.
    result_ttl
        Seconds after the end of a job until its result lapses, a day by default; ``math.inf`` for as long as the job is
        kept. A task's ``result_ttl`` goes before.
    queue_limits
        How many jobs of a queue run at once or start in a period of time, by the queue's name; none by default. They hold for
        all workers.

    Raises
    ------
    InvalidOption
        If ``connector`` is not a connector, ``schema`` cannot be the name of a schema, or another option is not valid.
    """

    is_app: bool = True
    path: str = ""
    """By which path it was imported with `from_path`, as by the command line; empty if it was not."""

    _app_of_jobs: App | None = None
    """The app that jobs see in their context, if it is another: an integration's worker may have a connector of its own."""

    @suggests_names
    def __init__(
        self,
        *,
        connector: BaseConnector,
        import_paths: Iterable[str] | None = None,
        worker_defaults: WorkerOptions | None = None,
        periodic_defaults: PeriodicDefaults | None = None,
        schema: str = sql.DEFAULT_SCHEMA,
        store_results: bool = False,
        result_ttl: float = DEFAULT_TTL,
        queue_limits: Mapping[str, Limit] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.tasks.declared().update(builtin_tasks.builtin.tasks.declared())
        self.connector: BaseConnector = _checked(connector)
        self.import_paths: tuple[str, ...] = _checked_paths(import_paths)
        defaults = {} if worker_defaults is None else worker_defaults
        self.worker_defaults: WorkerOptions = checked_options("worker_defaults", defaults)
        self.periodic_defaults: PeriodicDefaults = checked_defaults(periodic_defaults)
        check_flag("store_results", store_results)
        check_ttl(result_ttl)
        self.store_results: bool = store_results
        self.result_ttl: float = result_ttl
        self.queue_limits: Mapping[str, Limit] = checked_queue_limits(queue_limits)
        self.job_manager: JobManager = self._manager_of(connector, schema)
        self.events: Events = logged()
        self.job_manager.events = self.events
        self.job_manager.declares = self._declares
        self._replacing = threading.Lock()
        self._resolvers: dict[str, tasks.TaskResolver] = {}
        builtin_tasks.builtin.apps.add(self)

    @classmethod
    def from_path(cls, dotted_path: str) -> Self:
        """Import an app by its path, such as ``package.module.app``.

        Raises
        ------
        LoadFromPathError
            If there is no app.
        InvalidOption
            If the path is not text.
        """
        check_name("dotted_path", dotted_path)
        app = load_from_path(dotted_path, cls)
        app.path = dotted_path
        return app

    @property
    def schema_manager(self) -> SchemaManager:
        """Applies and describes the schema."""
        return SchemaManager(self.connector, self.job_manager.schema)

    def with_connector(self, connector: BaseConnector) -> Self:
        """Return another app with the same tasks on another connector. Both have tasks that either declares later.

        Each app defers through its own connector; open and close each by itself.
        """
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.connector = _checked(connector)
        other.job_manager = self._manager_of(connector, self.job_manager.schema)
        other.events = other.job_manager.events = Events(self.events)
        other.job_manager.declares = other._declares
        other._registry = blueprints.TaskRegistry(other, self.tasks.declared())
        other._replacing = threading.Lock()
        return other

    @contextlib.contextmanager
    def replace_connector(self, connector: BaseConnector) -> Iterator[Self]:
        """Make this app use another connector within a ``with`` block, everywhere in the program.

        This is for tests: ``with app.replace_connector(InMemoryConnector()) as app: ...``. Everything that is done with
        the app or its tasks meanwhile, in any thread or task, goes through the new connector; apps that
        `with_connector` returned are not affected. Open and close the new connector like any other; the former one
        stays as it is. A worker must not be running.

        Raises
        ------
        InvalidOption
            If ``connector`` is not a connector.
        WrongCaller
            If the connector is already replaced, by this thread or another.
        """
        _checked(connector)
        if not self._replacing.acquire(blocking=False):
            raise exceptions.WrongCaller(
                f"The app's connector is replaced already (by {type(self.connector).__name__}), and replacements "
                "cannot overlap. Leave that `with` block first, or use `app.with_connector(...)`, which returns "
                "another app with the same tasks."
            )
        try:
            with self.swapped_connector(connector):
                yield self
        finally:
            self._replacing.release()

    @contextlib.contextmanager
    def swapped_connector(self, connector: BaseConnector, schema: str | None = None) -> Iterator[None]:
        """Do what `replace_connector` does, also within it; for adjourn's own testing kit.

        Parameters
        ----------
        connector
            The connector to use within the block.
        schema
            The schema to use within the block. Default: None, the app's.
        """
        former = self.connector, self.job_manager
        try:
            self.connector = connector
            self.job_manager = self._manager_of(connector, self.job_manager.schema if schema is None else schema)
            self.job_manager.events = self.events
            self.job_manager.declares = self._declares
            yield
        finally:
            self.connector, self.job_manager = former

    def _manager_of(self, connector: BaseConnector, schema: str) -> JobManager:
        """Make the manager of the jobs that a connector reaches."""
        return JobManager(connector, schema)

    def _declares(self) -> Mapping[tuple[Scope, str], Limit]:
        return declared_limits(((task.name, task.limits) for task in self.tasks.values()), self.queue_limits)

    def job_manager_for(self, task_name: str) -> JobManager:
        """Return the app's job manager."""
        return self.job_manager

    def add_task_resolver(self, prefix: str, resolver: tasks.TaskResolver) -> None:
        """Have tasks whose names begin with ``prefix:``, and that are not declared, found by a function of yours.

        Apps that `with_connector` returns have the same resolvers, also those that are added later.

        Parameters
        ----------
        prefix
            The beginning of the names, before the first colon.
        resolver
            Finds the tasks; `TaskResolver` says how.

        Raises
        ------
        InvalidOption
            If the prefix is not a name, has a colon, or has a resolver already.
        """
        check_name("prefix", prefix)
        if ":" in prefix:
            raise exceptions.InvalidOption(f"prefix={prefix!r}: pass what stands before the first colon of the names.")
        if prefix in self._resolvers:
            raise exceptions.InvalidOption(f"prefix={prefix!r} has a resolver already: {self._resolvers[prefix]!r}.")
        self._resolvers[prefix] = resolver

    def resolver_of(self, task_name: str) -> tasks.TaskResolver | None:
        """Return the resolver for a name, or None if there is none. It is for tasks that are not in ``tasks``."""
        prefix, colon, _ = task_name.partition(":")
        return self._resolvers.get(prefix) if colon else None

    def may_know(self, task_name: str) -> bool:
        """Return whether the task of this name is declared, or a resolver may find it. Workers ask this."""
        resolver = self.resolver_of(task_name)
        return task_name in self.tasks or (resolver is not None and resolver.may_know(task_name))

    def declared_limits(self) -> dict[tuple[Scope, str], Limit]:
        """Return the limits of its tasks and queues, by what they are for and the name. Workers store them when they start."""
        return declared_limits(((task.name, task.limits) for task in self.tasks.values()), self.queue_limits)

    def task_of(self, job: Job) -> tasks.Task[Any, Any, Any]:
        """Return the task of a job, declared or found by a resolver, which may block.

        Raises
        ------
        TaskNotFound
            If there is none.
        """
        task: tasks.Task[Any, Any, Any] | None = self.tasks.get(job.task_name)
        if task is not None:
            return task
        resolver = self.resolver_of(job.task_name)
        if resolver is None:
            raise exceptions.TaskNotFound(
                f"The app has no task named {job.task_name!r}, so job {job.id} cannot run. Import the module that declares "
                "it, or name it in the app's import_paths."
            )
        return resolver.find(job) or resolver.load(job)

    def make_context(
        self,
        job: Job | ClaimedJob,
        *,
        start_timestamp: float,
        worker_name: str | None = None,
        worker_queues: Iterable[str] | None = None,
        additional_context: Mapping[str, Any] | None = None,
        abort_reason: Callable[[], AbortReason | None] | None = None,
        say_progress: Callable[[Job, str], None] | None = None,
        run: RunLike | None = None,
        keeps_jobs: bool = True,
    ) -> JobContext:
        """Return the context that a task gets for one run of a job. Workers call this.

        Takes the attributes of `JobContext`, the run, and whether a job that has succeeded is kept. The job of a
        claimed job is made when the context is asked for it.
        """
        return JobContext(
            app=self if self._app_of_jobs is None else self._app_of_jobs,
            worker_name=worker_name,
            worker_queues=worker_queues,
            job=job,
            start_timestamp=start_timestamp,
            additional_context={} if additional_context is None else additional_context,
            abort_reason=not_aborted if abort_reason is None else abort_reason,
            say_progress=nobody_listens if say_progress is None else say_progress,
            serving=self,
            run=LooseRun() if run is None else run,
            keeps_jobs=keeps_jobs,
        )

    def json_dumps_of_jobs(self) -> JSONDumps:
        """Return the function with which the connector turns arguments into JSON."""
        return self.connector.json_dumps

    def configure_task(
        self, name: str, *, allow_unknown: bool = True, **options: Unpack[ConfigureOptions]
    ) -> JobDeferrer:
        """Set options for jobs of a task known by its name, as ``task.configure`` does.

        Parameters
        ----------
        name
            The task's name.
        allow_unknown
            Whether to accept a name that this app does not know, because its workers may know it.
        **options
            The options of `Task.configure`.

        Raises
        ------
        TaskNotFound
            If the name is not registered and ``allow_unknown`` is false.
        InvalidOption
            If an option does not exist, or its value is not valid.
        InvalidTaskArguments
            If the task does not take the arguments in ``task_kwargs``, or they cannot be stored.
        """
        check_name("name", name)
        check_flag("allow_unknown", allow_unknown)
        check_known("configure_task", options, ConfigureOptions.__annotations__)
        if name in self.tasks:
            return self.tasks[name].configure(**options)
        if not allow_unknown:
            raise exceptions.TaskNotFound(
                f"There is no task named {name!r} here{dotted_hint(name, self.tasks)} Import the module that declares it."
            )
        configured = cast("dict[str, Any]", options)
        connection = configured.pop("connection", None)
        return JobDeferrer(self.job_manager, tasks.make_job(name, **configured), connection)

    def workflow(self, name: str | None = None, *, extends: int | None = None) -> Workflow:
        """Return a new workflow: jobs that wait for each other, and that its ``defer`` stores together.

        Parameters
        ----------
        name
            A name for people; None (the default) for none.
        extends
            The id of a workflow that is stored and has not ended, to which the jobs are added; None (the default) for a new one.

        Raises
        ------
        InvalidOption
            If one is not valid, or both are given.
        """
        return Workflow(self.job_manager, name, extends=extends)

    def open(self, pool_or_engine: Any = None) -> Self:
        """Open the app for synchronous use, and return it; ``with app.open():`` closes it again.

        Parameters
        ----------
        pool_or_engine
            A pool of the connector's driver to use instead of making one. The app never closes it.

        Raises
        ------
        ConnectorException
            If the database cannot be reached. The app is then unchanged.
        """
        self.connector.open(pool_or_engine)
        return self

    def close(self) -> None:
        """Close the app: wait for running calls, then give back the connections. Closing a closed app does nothing."""
        self.connector.close()
        self.job_manager.results.close()

    def open_async(self, pool: Any = None) -> AwaitableContext[Self]:
        """Open the app for asynchronous use: ``await app.open_async()``, or ``async with app.open_async():``.

        Both return the app. The event loop on which the app is opened owns its connections; synchronous calls from
        other threads run there.

        Parameters
        ----------
        pool
            A pool of the connector's driver to use instead of making one. The app never closes it.

        Raises
        ------
        ConnectorException
            If the database cannot be reached. The app is then unchanged.
        SyncConnectorConfigurationError
            If the connector is a synchronous one.
        """
        return AwaitableContext(functools.partial(self.connector.open_async, pool), self.close_async, self)

    async def close_async(self) -> None:
        """Close the app: wait for running calls, then give back the connections. Closing a closed app does nothing."""
        await self.connector.close_async()
        await self.job_manager.results.close_async()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check_connection(self) -> bool:
        """Ask the database whether it has adjourn's tables, and functions that work on them. Blocks."""
        return self.job_manager.check_connection()

    async def check_connection_async(self) -> bool:
        """Ask the database whether it has adjourn's tables, and functions that work on them."""
        return await self.job_manager.check_connection_async()

    def perform_import_paths(self) -> None:
        """Import the modules named in ``import_paths``, which declare tasks.

        Raises
        ------
        LoadFromPathError
            If a module cannot be imported; the message names it.
        """
        import_all(self.import_paths)
        logger.debug(
            "All modules are imported; tasks known: %d",
            len(self.tasks),
            extra={"action": "imported_tasks", "tasks": list(self.tasks)},
        )

    async def run_worker_async(self, **options: Unpack[WorkerOptions]) -> None:
        """Run a worker until it is stopped, or, with ``wait=False``, until no job is left. The app must be open.

        Parameters
        ----------
        **options
            The options of `Worker`; ``worker_defaults`` supply the others.

        Raises
        ------
        AppNotOpen
            If the app is not open.
        SchemaOutOfDate
            If the database has no adjourn schema, or an older one than this version needs.
        SyncConnectorConfigurationError
            If the connector is a synchronous one.
        InvalidOption
            If an option is not valid.
        """
        merged = cast("WorkerOptions", {**self.worker_defaults, **checked_options("run_worker", options)})
        worker = Worker(self, **merged)
        # This is for an app that is not open. The worker has a connection of its own, where it looks closer.
        await self.schema_manager.check_exists_async()
        self.perform_import_paths()
        await worker.run()

    def run_worker(self, **options: Unpack[WorkerOptions]) -> None:
        """Open the app on a new event loop, run a worker there, and close the app again.

        An app that was open for synchronous calls (`open`) is open for them again afterwards, however the worker ends, and
        on the same pool if it was opened with one of yours; in between, the event loop serves them. A connector that is not
        made from adjourn's own may leave it closed.

        It takes the same options and raises the same errors as `run_worker_async`; and `ConnectorException` if the app
        cannot be opened again.
        """
        options = checked_options("run_worker", options)
        self.connector.get_async_connector()

        async def run() -> None:
            await self.open_async()
            try:
                await self.run_worker_async(**options)
            finally:
                await shutdown.closed(self.close_async())

        with self.connector.kept_open():
            shutdown.run(run)


@attrs.frozen(kw_only=True)
class JobContext(CompletesJobs, RemembersSteps, Waits):
    """The context of one run of a job.

    Attributes
    ----------
    app
        The app whose worker runs the job.
    worker_name, worker_queues
        The worker's name, and the queues it serves, None for all.
    job
        The job, whose ``id`` is a number.
    task
        Its task.
    start_timestamp
        When the run began: seconds since the epoch.
    additional_context
        The worker's ``additional_context``, for its tasks.
    abort_reason
        A function that returns why the job is asked to end, or None.
    say_progress
        A function that is told what the task says of its progress.

    A worker also passes ``serving``, the app through which it reaches the database; ``run``, its own record of the run; and
    ``keeps_jobs``, whether jobs that have succeeded are kept.
    """

    app: App
    worker_name: str | None = None
    worker_queues: Iterable[str] | None = None
    _job: Job | ClaimedJob = attrs.field(alias="job")
    start_timestamp: float
    additional_context: Mapping[str, Any] = attrs.field(factory=dict)
    abort_reason: Callable[[], AbortReason | None] = not_aborted
    say_progress: Callable[[Job, str], None] = attrs.field(default=nobody_listens, repr=False)
    _serving: App | None = attrs.field(default=None, alias="serving", repr=False, eq=False)
    _run: RunLike = attrs.field(factory=LooseRun, alias="run", repr=False, eq=False)
    _keeps_jobs: bool = attrs.field(default=True, alias="keeps_jobs", repr=False, eq=False)

    @property
    def job(self) -> StoredJob:
        """The job."""
        return stored_job(self._job.job if isinstance(self._job, ClaimedJob) else self._job)

    @property
    def task(self) -> tasks.Task[Any, Any, Any]:
        """The job's task."""
        name = self.job.task_name
        # What stands for an app in a test may have tasks and nothing else.
        if name not in self.app.tasks and self.app.resolver_of(name) is not None:
            return self.app.task_of(self.job)
        return self.app.tasks[name]

    def should_abort(self) -> bool:
        """Return whether the job is asked to end. Async tasks are also cancelled; synchronous ones must check this."""
        return self.abort_reason() is not None

    def set_progress(self, current: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far the job has come; `JobManager.get_progress` and the lists of jobs show it.

        It may be called as often as you like, from any thread: it only takes a note. About once a second the worker
        stores the last one. What was said in the last second of a run may be lost.

        Parameters
        ----------
        current
            How much is done.
        total
            Of how much; None (the default) if that is not known.
        message
            What the task is doing, of which 1,000 characters are kept; None (the default) for nothing.

        Raises
        ------
        InvalidOption
            If one is not a finite number, or ``message`` is no text.
        """
        self.say_progress(self.job, progress_text(current, total, message))

    def parent_results(self) -> dict[str, Any]:
        """Return the results of the jobs that this one has waited for, by the names in ``depends_on``. Blocks.

        Of a group it is a list. None stands for a job that has no result: it has not succeeded, its task does not store results,
        or the result has lapsed.
        """
        return self.app.job_manager.workflows.get_parent_results(self.job.id)

    async def parent_results_async(self) -> dict[str, Any]:
        """Return the results of the jobs that this one has waited for. See `parent_results`."""
        return await self.app.job_manager.workflows.get_parent_results_async(self.job.id)

    def parent_jobs(self) -> dict[str, Any]:
        """Return the jobs that this one has waited for, by the names in ``depends_on``: how each has ended, and why. Blocks.

        Of a group it is a list of `Job`. None stands for a job that was deleted. A job with ``run_if="all_done"`` finds out here what has failed.
        """
        return self.app.job_manager.workflows.get_parent_jobs(self.job.id)

    async def parent_jobs_async(self) -> dict[str, Any]:
        """Return the jobs that this one has waited for. See `parent_jobs`."""
        return await self.app.job_manager.workflows.get_parent_jobs_async(self.job.id)

    def extend_workflow(self) -> Workflow:
        """Return a workflow that adds jobs to the one that this job belongs to, when its ``defer`` is called."""
        return Workflow(self.app.job_manager, of_job=self.job.id)

    def evolve(self, **changes: Any) -> JobContext:
        """Return a copy with some attributes changed."""
        return attrs.evolve(self, **changes)

    def _hand(self) -> Hand:
        serving = self.app if self._serving is None else self._serving
        return Hand(
            job=self.job,
            run=self._run,
            runs=serving.job_manager.runs,
            given=self.app.job_manager.runs,
            connector=self.app.connector,
            rule=self.task.result_rule.of_app(serving.store_results, serving.result_ttl),
            json_dumps=serving.connector.json_dumps,
            json_loads=serving.connector.json_loads,
            keeps=self._keeps_jobs,
        )

    @property
    def queues_display(self) -> str:
        """The worker's queues as text."""
        return "all queues" if self.worker_queues is None else "queues " + ", ".join(self.worker_queues)


def _checked(connector: Any) -> BaseConnector:
    if not isinstance(connector, BaseConnector):
        raise exceptions.InvalidOption(
            f"connector={connector!r}: pass a connector, such as adjourn.PsycopgConnector('postgresql://...')."
        )
    return connector


def _checked_paths(value: Any) -> tuple[str, ...]:
    paths = () if value is None else checked_list("import_paths", value, "modules' names")
    for path in paths:
        check_name("import_paths", path)
    return paths
