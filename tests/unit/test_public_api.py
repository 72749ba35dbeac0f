"""The names that programs written for Procrastinate use: where they are imported from, and what they take."""

from __future__ import annotations

import importlib
import inspect
import re
from datetime import UTC, datetime
from typing import Any

import pytest

import adjourn
from adjourn import exceptions, retry, utils
from adjourn.job_context import JobContext, JobResult
from adjourn.jobs import Job
from adjourn.testing import InMemoryConnector

NAMES = {
    "": "App BaseConnector BaseRetryStrategy Blueprint JobContext PsycopgConnector RetryDecision RetryStrategy"
    " SyncPsycopgConnector AiopgConnector Psycopg2Connector __version__ __author__ __author_email__ __license__ __url__",
    "app": "App",
    "blueprints": "Blueprint",
    "builtin_tasks": "remove_old_jobs",
    "connector": "BaseConnector BaseAsyncConnector Pool Engine Notify",
    "exceptions": "ProcrastinateException TaskNotFound UnboundTaskError TaskAlreadyRegistered MiddlewareKindMismatch"
    " LoadFromPathError JobRetry JobAborted AppNotOpen ConnectorException AlreadyEnqueued UniqueViolation NoResult MissingApp"
    " SyncConnectorConfigurationError CallerModuleUnknown RunTaskError InvalidTimestamp FunctionPathError MovedElsewhere",
    "job_context": "JobContext AbortReason JobResult",
    "jobs": "Job JobDeferrer Status DeleteJobCondition",
    "manager": "JobManager",
    "middleware": "TaskMiddleware WorkerMiddleware is_async_middleware",
    "periodic": "PeriodicRegistry PeriodicTask MAX_DELAY",
    "retry": "BaseRetryStrategy RetryDecision RetryStrategy RetryValue get_retry_strategy",
    "schema": "SchemaManager",
    "tasks": "Task ConfigureTaskOptions",
    "testing": "InMemoryConnector",
    "types": "JSONDict JSONValue TimeDeltaParams JobToDefer",
    "utils": "AwaitableContext MovedElsewhere TimeDeltaParams utcnow",
    "worker": "Worker WORKER_NAME WORKER_CONCURRENCY FETCH_JOB_POLLING_INTERVAL ABORT_JOB_POLLING_INTERVAL",
    "contrib.psycopg2": "Psycopg2Connector",
    "contrib.sqlalchemy": "SQLAlchemyPsycopg2Connector",
}
"""What each public module has."""

CONFIGURE = "*, lock=None, queueing_lock=None, task_kwargs=None, schedule_at=None, schedule_in=None, queue=None,"
CONFIGURE += " priority=None, connection=None"
LIST = "self, queue=None, task=None, status=None, lock=None"
LIST_JOBS = "self, id=None, queue=None, task=None, status=None, lock=None, queueing_lock=None, worker_id=None"
CANCEL = "self, job_id, abort=False, delete_job=False, connection=None"
RETRY_JOB = "retry_at=None, priority=None, queue=None, lock=None"
DELETE = "self, nb_hours, queue=None, include_failed=False, include_cancelled=False, include_aborted=False"
STALLED = "self, nb_seconds=None, queue=None, task_name=None, seconds_since_heartbeat=30"
TASK = "*, name=None, aliases=None, retry=False, pass_context=False, queue='default', priority=0, lock=None,"
TASK += " queueing_lock=None, task_middleware=None"

SIGNATURES = {
    "app.App": "*, connector, import_paths=None, worker_defaults=None, periodic_defaults=None",
    "app.App.from_path": "dotted_path",
    "app.App.with_connector": "self, connector",
    "app.App.replace_connector": "self, connector",
    "app.App.configure_task": "self, name, *, allow_unknown=True",
    "app.App.open": "self, pool_or_engine=None",
    "app.App.close": "self",
    "app.App.open_async": "self, pool=None",
    "app.App.close_async": "self",
    "app.App.run_worker": "self",
    "app.App.run_worker_async": "self",
    "app.App.check_connection": "self",
    "app.App.check_connection_async": "self",
    "app.App.perform_import_paths": "self",
    "app.App.will_configure_task": "self",
    "blueprints.Blueprint": "",
    "blueprints.Blueprint.task": f"self, _func=None, {TASK}",
    "blueprints.Blueprint.periodic": "self, *, cron, periodic_id=''",
    "blueprints.Blueprint.add_tasks_from": "self, blueprint, *, namespace",
    "blueprints.Blueprint.add_task_alias": "self, task, alias",
    "blueprints.Blueprint.will_configure_task": "self",
    "tasks.Task": f"func, *, blueprint, {TASK[3:]}",
    "tasks.Task.configure": f"self, {CONFIGURE}",
    "tasks.Task.add_namespace": "self, namespace",
    "tasks.Task.get_retry_exception": "self, exception, job",
    "jobs.JobDeferrer": "job_manager, job, connection=None",
    "jobs.Job": "*, id=None, status=None, queue, priority=0, task_name, scheduled_at=None, attempts=0,"
    " abort_requested=False, worker_id=None",
    "jobs.Job.from_row": "row",
    "jobs.Job.asdict": "self",
    "jobs.Job.log_context": "self",
    "job_context.JobContext": "*, app, worker_name=None, worker_queues=None, job, start_timestamp",
    "job_context.JobContext.should_abort": "self",
    "job_context.JobResult": "*, start_timestamp, end_timestamp=None, result=None",
    "job_context.JobResult.duration": "self, current_timestamp",
    "retry.RetryDecision": "*, retry_at=None, retry_in=None, priority=None, queue=None, lock=None",
    "retry.RetryStrategy": "*, max_attempts=None, wait=0, linear_wait=0, exponential_wait=0, retry_exceptions=None",
    "retry.get_retry_strategy": "retry",
    "retry.BaseRetryStrategy.get_retry_decision": "self, *, exception, job",
    "retry.BaseRetryStrategy.get_schedule_in": "self, *, exception, attempts",
    "retry.BaseRetryStrategy.get_retry_exception": "self, exception, job",
    "builtin_tasks.remove_old_jobs.func": "context, *, max_hours, queue=None, remove_failed=False,"
    " remove_cancelled=False, remove_aborted=False",
    "manager.JobManager": "connector",
    "schema.SchemaManager": "connector",
    "schema.SchemaManager.get_schema": "",
    "schema.SchemaManager.get_migrations_path": "",
    "exceptions.JobRetry": "retry_decision",
    "exceptions.UniqueViolation": "*, constraint_name, queueing_lock",
    "connector.BaseConnector.listen_notify": "self, on_notification, channels",
    "connector.BaseConnector.execute_query": "self, query",
    "connector.BaseConnector.execute_query_one": "self, query",
    "connector.BaseConnector.execute_query_all": "self, query",
    "connector.BaseConnector.execute_query_async": "self, query",
    "connector.BaseConnector.execute_query_one_async": "self, query",
    "connector.BaseConnector.execute_query_all_async": "self, query",
    "worker.Worker": "app, queues=None, name='worker', concurrency=1, wait=True, fetch_job_polling_interval=5.0,"
    " abort_job_polling_interval=5.0, shutdown_graceful_timeout=None, listen_notify=True, additional_context=None,"
    " install_signal_handlers=True, update_heartbeat_interval=10.0, stalled_worker_timeout=30.0, task_middleware=None,"
    " worker_middleware=None",
    **{
        f"manager.JobManager.{name}{suffix}": takes
        for suffix in ("", "_async")
        for name, takes in {
            "defer_job": "self, job, connection=None",
            "batch_defer_jobs": "self, jobs, connection=None",
            "batch_defer_alike": "self, job, arguments, connection=None",
            "defer_periodic_job": "self, job, periodic_id, defer_timestamp",
            "get_stalled_jobs": STALLED,
            "delete_old_jobs": DELETE,
            "cancel_job_by_id": CANCEL,
            "get_job_status": "self, job_id, connection=None",
            "retry_job": f"self, job, {RETRY_JOB}",
            "retry_job_by_id": f"self, job_id, {RETRY_JOB}",
            "check_connection": "self",
            "list_jobs": LIST_JOBS,
            "list_queues": LIST,
            "list_tasks": LIST,
            "list_locks": LIST,
        }.items()
    },
    **{f"schema.SchemaManager.apply_schema{suffix}": "self" for suffix in ("", "_async")},
    **{
        f"{kind}.batch_defer{suffix}": "self, *"
        for kind in ("tasks.Task", "jobs.JobDeferrer")
        for suffix in ("", "_async")
    },
}
"""What each of them takes: names, defaults, and order of what can be passed by position. There may be more."""

ATTRIBUTES = {
    "App": "connector job_manager tasks periodic_registry import_paths worker_defaults periodic_defaults schema_manager",
    "Task": "queue priority blueprint func aliases retry_strategy name pass_context lock queueing_lock task_middleware"
    " full_path",
    "Job": "id status queue priority lock queueing_lock task_name task_kwargs scheduled_at attempts abort_requested"
    " worker_id call_string",
    "JobContext": "app worker_name worker_queues job start_timestamp additional_context abort_reason task queues_display",
    "RetryDecision": "retry_at priority queue lock",
}


def found(path: str) -> Any:
    """The object of a dotted path within the package."""
    module, names = path.split(".")[0], path.split(".")[1:]
    value: Any = importlib.import_module(f"adjourn.{module}")
    for name in names:
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("module", NAMES)
def test_public_modules_have_their_names(module: str) -> None:
    imported = importlib.import_module(f"adjourn.{module}" if module else "adjourn")
    assert [name for name in NAMES[module].split() if not hasattr(imported, name)] == []


@pytest.mark.parametrize("path", SIGNATURES)
def test_a_call_that_programs_write_is_taken(path: str) -> None:
    ours = list(inspect.signature(found(path)).parameters.values())
    by_name = {parameter.name: parameter for parameter in ours}
    position: int | None = 0
    for each in filter(None, SIGNATURES[path].split(", ")):
        if each.startswith("*"):
            position = None
            continue
        name, equals, default = each.partition("=")
        assert name in by_name, f"{path} does not take {name}"
        parameter = by_name[name]
        assert (parameter.default is not parameter.empty) >= bool(equals), f"{path}: {name} is required"
        if equals:
            assert repr(parameter.default) == default, f"{path}: {name}"
        if position is not None and path != "worker.Worker":
            assert ours[position] is parameter, f"{path}: {name} is not in its place"
            assert parameter.kind is not parameter.KEYWORD_ONLY, f"{path}: {name} is by keyword only"
            position += 1
    asked = re.findall(r"\w+", SIGNATURES[path])
    more = [
        parameter.name
        for parameter in ours
        if parameter.name not in asked
        and parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    ]
    assert more == [], f"{path} requires more"


def test_objects_have_their_attributes() -> None:
    app = adjourn.App(connector=InMemoryConnector())

    @app.task(name="add")
    def add() -> None: ...

    job = Job(queue="default", task_name="add")
    context = JobContext(app=app, job=job, start_timestamp=1.0)
    made = {"App": app, "Task": add, "Job": job, "JobContext": context, "RetryDecision": adjourn.RetryDecision()}
    missing = {
        kind: [name for name in names.split() if not hasattr(made[kind], name)] for kind, names in ATTRIBUTES.items()
    }
    assert missing == {kind: [] for kind in ATTRIBUTES}
    assert context.task is add
    assert not context.should_abort()


def test_every_error_is_of_one_family() -> None:
    for name in NAMES["exceptions"].split():
        assert issubclass(getattr(exceptions, name), exceptions.ProcrastinateException)
    assert issubclass(exceptions.LoadFromPathError, ImportError)
    assert issubclass(exceptions.NoResult, exceptions.ConnectorException)


def test_a_name_that_has_moved_says_where_to() -> None:
    with pytest.raises(exceptions.MovedElsewhere, match=r"adjourn\.AsyncPsycopg2Connector"):
        adjourn.AiopgConnector(dsn="")
    with pytest.raises(exceptions.MovedElsewhere):
        _ = adjourn.AiopgConnector.some_method
    assert repr(utils.MovedElsewhere("a", "b")) == "<a, moved to b>"
    assert not hasattr(adjourn.AiopgConnector, "__wrapped__")


def test_a_strategy_of_the_old_kind_decides_and_is_deprecated() -> None:
    class Old(retry.BaseRetryStrategy):
        def get_schedule_in(self, *, exception: BaseException, attempts: int) -> int | None:
            return None if attempts else 5

    with pytest.warns(DeprecationWarning, match="define get_retry_decision"):
        strategy = retry.RetryStrategy.of(Old())
    assert strategy is not None
    job = Job(queue="default", task_name="add")
    found = strategy.get_retry_exception(ValueError(), job)
    assert found is not None
    assert found.retry_decision.retry_at is not None
    assert 4 < (found.retry_decision.retry_at - datetime.now(UTC)).total_seconds() <= 5
    assert strategy.get_retry_exception(ValueError(), job.evolve(attempts=1)) is None


def test_a_strategy_that_decides_nothing_is_refused_at_once() -> None:
    class Empty(retry.BaseRetryStrategy):
        pass

    with pytest.raises(exceptions.InvalidOption, match="does not define get_retry_decision"):
        retry.RetryStrategy.of(Empty())


def test_how_a_run_went_is_a_dictionary_for_log_records() -> None:
    assert JobResult(start_timestamp=1.0).duration(3.0) == 2.0
    assert JobResult(start_timestamp=1.0).as_dict() == {"start_timestamp": 1.0, "end_timestamp": None, "result": None}
    ended = JobResult(start_timestamp=1.0, end_timestamp=2.5, result="x")
    assert ended.as_dict() == {"start_timestamp": 1.0, "end_timestamp": 2.5, "result": "x", "duration": 1.5}


def test_jobs_that_take_long_are_found_as_before() -> None:
    app = adjourn.App(connector=InMemoryConnector())
    with app.open(), pytest.warns(DeprecationWarning, match="seconds_since_heartbeat"):
        assert app.job_manager.get_stalled_jobs(60) == []
