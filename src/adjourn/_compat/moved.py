"""Names that programs written for Procrastinate import and that adjourn does not have, and what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from adjourn import exceptions


class MovedElsewhere:
    """Stands for a name that programs import from an old place; when used, it raises and names the new place.

    Parameters
    ----------
    name
        The old name.
    new_location
        What to use instead.
    """

    def __init__(self, name: str, new_location: str) -> None:
        self.name = name
        self.new_location = new_location

    def __repr__(self) -> str:
        return f"<{self.name}, moved to {self.new_location}>"

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise exceptions.MovedElsewhere(f"{self.name} is not here: use {self.new_location}.")

    def __mro_entries__(self, bases: tuple[Any, ...]) -> NoReturn:
        self()

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # whatever inspects an object expects an AttributeError for these
            raise AttributeError(name)
        self()


AiopgConnector: MovedElsewhere = MovedElsewhere(
    "AiopgConnector",
    "adjourn.PsycopgConnector, or adjourn.AsyncPsycopg2Connector, which is psycopg2 on an event loop as aiopg was",
)
"""aiopg is psycopg2 on an event loop, and so is one of the connectors that replace it."""

ABSENT: Mapping[str, Mapping[str, str]] = {
    "adjourn.jobs": {
        "AbortJobRequested": "app.events.subscribe, for what happens to jobs",
        "JobInserted": "app.events.subscribe, for what happens to jobs",
        "Notification": "app.events.subscribe, for what happens to jobs",
        "check_aware": "`value.utcoffset() is not None`",
    },
    "adjourn.manager": {
        "NotificationCallback": "adjourn.connector.Notify",
        "get_channel_for_queues": "connector.listen_notify, on channels of your own",
    },
    "adjourn.middleware": {"compose": "the options task_middleware and worker_middleware, which take several"},
    "adjourn.periodic": {
        "MARGIN": "nothing: a worker waits by the database's clock",
        "PeriodicDeferrer": "a worker, which defers periodic tasks; tests can call app.job_manager.defer_periodic_job",
    },
    "adjourn.shell": dict.fromkeys(
        ("ProcrastinateShell", "parse_argument", "print_job"),
        "the command `adjourn shell`, or app.job_manager, which has all that it does",
    ),
    "adjourn.signals": {
        "install": "signal.signal, or the event loop's add_signal_handler",
        "on_stop": "signal.signal, or the event loop's add_signal_handler; a worker has its own signal handlers "
        "(install_signal_handlers)",
        "uninstall": "signal.signal, or the event loop's remove_signal_handler",
    },
    "adjourn.tasks": {"configure_task": "app.configure_task(name, ...)"},
    "adjourn.utils": {
        "CANCEL_ATTEMPTS": "a number of your own",
        "CANCEL_TIMEOUT": "a number of your own",
        "add_namespace": 'f"{namespace}:{name}"',
        "async_context_decorator": "contextlib.asynccontextmanager",
        "async_to_sync": "asgiref.sync.async_to_sync or asyncio.run",
        "caller_module_name": "sys._getframe, or adjourn.utils.caller_module for the module that calls adjourn",
        "cancel_and_capture_errors": "asyncio.TaskGroup",
        "causes": "the exception's __cause__ or __context__",
        "datetime_from_timedelta_params": "adjourn.utils.utcnow() + datetime.timedelta(...)",
        "gen_with_timeout": "asyncio.timeout",
        "get_full_path": "task.name, or the function's __module__ and __qualname__",
        "import_or_wrapper": "importlib.import_module",
        "parse_datetime": "datetime.datetime.fromisoformat",
        "queues_display": "context.queues_display",
        "sync_to_async": "asyncio.to_thread",
        "utcmax": "datetime.datetime.max.replace(tzinfo=datetime.UTC)",
        "wait_any": "asyncio.wait(..., return_when=asyncio.FIRST_COMPLETED)",
    },
}
"""What to use instead of the names of a module."""

IN_MEMORY: Mapping[str, str] = {
    "cancel_job_one": "app.job_manager.cancel_job_by_id_async",
    "check_connection_one": "app.job_manager.check_connection_async",
    "current_locks": "app.job_manager.list_locks(status='doing')",
    "defer_jobs_all": "app.job_manager.batch_defer_jobs_async",
    "defer_periodic_job_one": "app.job_manager.defer_periodic_job_async",
    "delete_old_jobs_run": "app.job_manager.delete_old_jobs_async",
    "fetch_job_one": "app.job_manager.fetch_job_async",
    "finish_job_run": "app.job_manager.finish_job_async",
    "generic_execute": "connector.queries, which has the statements that were executed",
    "get_job_status_one": "app.job_manager.get_job_status_async",
    "list_jobs_all": "app.job_manager.list_jobs_async",
    "list_jobs_to_abort_all": "app.job_manager.list_jobs_async(status='doing') and job.abort_requested",
    "list_locks_all": "app.job_manager.list_locks_async",
    "list_queues_all": "app.job_manager.list_queues_async",
    "list_tasks_all": "app.job_manager.list_tasks_async",
    "listen_for_jobs_run": "connector.listen_notify, on channels of your own",
    "make_dynamic_query": "str.format",
    "prune_stalled_workers_all": "app.job_manager.prune_stalled_workers_async",
    "register_worker_one": "app.job_manager.register_worker_async",
    "retry_job_run": "app.job_manager.retry_job_async",
    "select_stalled_jobs_by_heartbeat_all": "app.job_manager.get_stalled_jobs_async",
    "select_stalled_jobs_by_started_all": "app.job_manager.get_stalled_jobs_async",
    "set_job_status_run": "app.job_manager.finish_job_async, after fetch_job_async",
    "unregister_worker_run": "app.job_manager.unregister_worker_async",
    "update_heartbeat_run": "app.job_manager.update_heartbeat_async",
    "apply_schema_run": "nothing: there is no schema in memory",
}
"""What to use instead of an attribute of an in-memory connector: Procrastinate's has a method for each of its queries."""


def moved(module: str, name: str) -> MovedElsewhere:
    """Return what stands for a name that a module does not have; a module's ``__getattr__`` returns it.

    Raises
    ------
    AttributeError
        If programs of Procrastinate do not import such a name from there either.
    """
    new_location = ABSENT[module].get(name)
    if new_location is None:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    return MovedElsewhere(f"{module}.{name}", new_location)


def no_attribute(owner: object, name: str, instead: Mapping[str, str]) -> NoReturn:
    """Raise the AttributeError for an attribute that an object does not have, with what to use instead."""
    advice = f": use {instead[name]}." if name in instead else ""
    raise AttributeError(f"{type(owner).__name__!r} object has no attribute {name!r}{advice}", name=name, obj=owner)
