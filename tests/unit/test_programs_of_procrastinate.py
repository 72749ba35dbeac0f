"""What programs written for Procrastinate do, beyond the names in `test_public_api`."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest

import adjourn
from adjourn import exceptions, retry
from adjourn.job_context import JobContext
from adjourn.jobs import Job
from adjourn.testing import InMemoryConnector, SyncInMemoryConnector


def run(app: adjourn.App) -> None:
    app.run_worker(wait=False, install_signal_handlers=False)


def output(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.strip()


# Modules


def test_modules_are_attributes_after_a_bare_import_and_no_driver_is_imported() -> None:
    program = """
import sys, adjourn
assert [name for name in sys.modules if name.startswith("adjourn.")] == []
adjourn.exceptions.AlreadyEnqueued, adjourn.types.JSONDict, adjourn.schema.SchemaManager, adjourn.retry.RetryDecision
adjourn.app, adjourn.blueprints, adjourn.builtin_tasks, adjourn.connector, adjourn.job_context, adjourn.jobs
adjourn.manager, adjourn.middleware, adjourn.periodic, adjourn.tasks, adjourn.testing, adjourn.utils, adjourn.worker
adjourn.connectors, adjourn.contrib, adjourn.embedded.Server, adjourn.events.JobEnded
adjourn.Status.TODO, adjourn.MissedRuns.ALL, adjourn.Worker, adjourn.App
assert {"exceptions", "contrib", "App"} <= set(dir(adjourn))
print([name for name in sys.modules if name.startswith(("psycopg", "sqlalchemy", "asyncpg"))])
adjourn.contrib.psycopg2.Psycopg2Connector, adjourn.contrib.sqlalchemy.SQLAlchemyPsycopg2Connector
try:
    adjourn.contrib.other
except AttributeError as error:
    print(error)
"""
    assert output(program) == "[]\nmodule 'adjourn.contrib' has no attribute 'other'"


# Functions and their names


def with_session(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, tenant: str = "none", **kwargs: Any) -> Any:
        return function(*args, session=f"session of {tenant}", **kwargs)

    return wrapper


def test_a_decorator_may_bring_arguments_and_take_others(app: adjourn.App) -> None:
    seen: list[tuple[str, int]] = []

    @app.task(name="work")
    @with_session
    def work(n: int, session: str) -> None:
        seen.append((session, n))

    @app.task(name="work with context", pass_context=True)
    @with_session
    def work_with_context(context: JobContext, n: int, session: str) -> None:
        seen.append((context.job.task_name, n))

    work.defer(n=1)
    work.defer(n=2, tenant="ann")
    work_with_context.defer(n=3)
    run(app)
    assert seen == [("session of none", 1), ("session of ann", 2), ("work with context", 3)]


def test_a_decorator_may_keep_the_context_for_itself(app: adjourn.App) -> None:
    seen: list[int] = []

    def without_context(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(context: JobContext, **kwargs: Any) -> Any:
            return function(**kwargs)

        return wrapper

    @app.task(pass_context=True)
    @without_context
    def work(n: int) -> None:
        seen.append(n)

    work.defer(n=1)
    run(app)
    assert seen == [1]


def test_a_task_is_named_after_its_module_and_its_function_and_a_clash_names_the_remedy(app: adjourn.App) -> None:
    class Mails:
        @staticmethod
        @app.task
        def send() -> None: ...

    assert Mails.send.name == Mails.send.full_path == f"{__name__}.send"
    assert app.configure_task(f"{__name__}.send", allow_unknown=False).defer() == 1

    def send() -> None: ...

    with pytest.raises(exceptions.TaskAlreadyRegistered, match=r"send' already.*@app\.task\(name="):
        app.task(send)


# Retries


def test_no_retries_can_be_said_with_none(app: adjourn.App) -> None:
    assert app.task(name="work", retry=None)(lambda: None).retry_strategy is None
    assert retry.get_retry_strategy(None) is None
    strategy = retry.get_retry_strategy(3)
    assert isinstance(strategy, adjourn.RetryStrategy)
    assert strategy.max_attempts == 3


def test_waits_may_be_parts_of_a_second() -> None:
    strategy = adjourn.RetryStrategy(wait=0.5, linear_wait=0.25, exponential_wait=1.5)
    assert [strategy.wait_seconds(attempts) for attempts in range(2)] == [2.0, 3.0]
    assert strategy.wait_seconds(10**6) == retry.LONGEST_WAIT
    assert adjourn.RetryStrategy(exponential_wait=0.5).wait_seconds(10**6) == 0


def test_a_strategy_can_be_derived_and_changed_and_is_checked_then_too() -> None:
    class Patient(adjourn.RetryStrategy):
        def __init__(self) -> None:
            super().__init__(max_attempts=3)
            self.wait = 5
            self.reason = "patience"

    strategy = Patient()
    assert (strategy.wait, strategy.reason, strategy.wait_seconds(0)) == (5, "patience", 5)
    with pytest.raises(exceptions.InvalidOption, match=r"^wait=-1"):
        strategy.wait = -1
    strategy.retry_exceptions = [KeyError]  # type: ignore[assignment]
    assert strategy.retry_exceptions == (KeyError,)


class ByException(adjourn.BaseRetryStrategy):
    def get_retry_exception(self, exception: BaseException, job: Job) -> exceptions.JobRetry | None:
        return None if job.attempts else exceptions.JobRetry(adjourn.RetryDecision(priority=7))


class Duck:
    def get_retry_decision(self, *, exception: BaseException, job: Job) -> adjourn.RetryDecision | None:
        return None if job.attempts else adjourn.RetryDecision(priority=7)


@pytest.mark.parametrize("strategy", [ByException(), Duck()])
def test_a_strategy_may_decide_in_its_own_way(app: adjourn.App, connector: InMemoryConnector, strategy: Any) -> None:
    @app.task(name="fail", retry=strategy)
    def fail() -> None:
        raise ValueError

    assert fail.retry_strategy is strategy
    fail.defer()
    run(app)
    (job,) = connector.jobs.values()
    assert (job["status"], job["attempts"], job["priority"]) == ("failed", 2, 7)


# Options


def test_worker_options_may_be_none_or_zero(app: adjourn.App) -> None:
    worker = adjourn.worker.Worker(
        app, name=None, delete_jobs=None, fetch_job_polling_interval=0, abort_job_polling_interval=0.0
    )
    assert (worker.options.name, worker.options.delete_jobs) == (adjourn.worker.WORKER_NAME, "never")
    assert worker.options.fetch_job_polling_interval == worker.options.abort_job_polling_interval == 0.01
    app.run_worker(wait=False, install_signal_handlers=False, name=None, delete_jobs=None, fetch_job_polling_interval=0)


def test_periodic_tasks_are_known_by_name_and_id(app: adjourn.App) -> None:
    @app.periodic(cron="@daily", periodic_id="a", queue="q")
    @app.task(name="tick")
    def tick(timestamp: int) -> None: ...

    ((key, periodic_task),) = app.periodic_registry.periodic_tasks.items()
    assert key == ("tick", "a")
    assert periodic_task.configure_kwargs == {"queue": "q"}


# Contexts made by hand


def test_a_context_needs_neither_a_known_task_nor_a_real_app(app: adjourn.App) -> None:
    job = Job(id=1, queue="q", task_name="unknown")
    context = JobContext(app=app, job=job, start_timestamp=1.0)
    assert context.evolve(worker_name="w").worker_name == "w"
    with pytest.raises(KeyError):
        _ = context.task
    mocked = Mock()
    mocked.tasks = {"unknown": "the task"}
    assert JobContext(app=mocked, job=job, start_timestamp=1.0).task == "the task"  # type: ignore[comparison-overlap]


# Errors


@pytest.mark.parametrize("number", [1, 2])
def test_the_cause_of_a_refusal_says_which_queueing_lock(app: adjourn.App, number: int) -> None:
    deferrer = app.configure_task("any", queueing_lock="busy")
    deferrer.defer()
    with pytest.raises(exceptions.AlreadyEnqueued) as caught:
        deferrer.batch_defer(*[{}] * number) if number > 1 else deferrer.defer()
    assert isinstance(caught.value.__cause__, exceptions.UniqueViolation)
    assert caught.value.__cause__.queueing_lock == "busy"


def test_the_cause_of_a_refusal_of_several_jobs_says_which_lock_was_taken(app: adjourn.App) -> None:
    app.configure_task("any", queueing_lock="b").defer()
    jobs = [Job(queue="q", task_name="any", queueing_lock=lock) for lock in ("a", "b", None, "c")]
    with pytest.raises(exceptions.AlreadyEnqueued) as caught:
        app.job_manager.batch_defer_jobs(jobs)
    assert isinstance(caught.value.__cause__, exceptions.UniqueViolation)
    assert caught.value.__cause__.queueing_lock == "b"
    tick = jobs[1]
    with pytest.raises(exceptions.AlreadyEnqueued) as caught:
        app.job_manager.defer_periodic_job(tick, "", 60)
    assert isinstance(caught.value.__cause__, exceptions.UniqueViolation)
    assert caught.value.__cause__.queueing_lock == "b"


def test_the_warning_about_the_main_module_points_at_the_line_that_makes_the_object(tmp_path: Any) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import adjourn, adjourn.testing\n"
        "adjourn.Blueprint()\n"
        "adjourn.App(connector=adjourn.testing.InMemoryConnector())\n"
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=True)
    assert [line.split(": ")[0] for line in done.stderr.splitlines() if "UserWarning" in line] == [
        f"{program}:2",
        f"{program}:3",
    ]


# The builtin task


def test_the_builtin_task_is_deferred_through_a_programs_only_app_and_refused_with_several() -> None:
    program = """
import adjourn
from adjourn.builtin_tasks import remove_old_jobs
from adjourn.exceptions import UnboundTaskError
from adjourn.testing import InMemoryConnector

def refusal():
    try:
        remove_old_jobs.defer(max_hours=72)
    except UnboundTaskError as error:
        return str(error)

print(refusal())
app = adjourn.App(connector=InMemoryConnector())
adjourn.App(connector=InMemoryConnector())  # nobody has this one any more
other = app.with_connector(InMemoryConnector())
remove_old_jobs.defer(max_hours=72)
remove_old_jobs.configure(queueing_lock="old jobs").defer(max_hours=72)
print([(job["queue"], job["queueing_lock"]) for job in app.connector.jobs.values()], len(other.connector.jobs))
with app.replace_connector(InMemoryConnector()):
    remove_old_jobs.defer(max_hours=72)
    print(len(app.connector.jobs))
second = adjourn.App(connector=InMemoryConnector())
print(refusal())
"""
    program = "import warnings\nwarnings.simplefilter('ignore')\n" + program
    first, deferred, replaced, last = output(program).splitlines()
    assert "this program has 0 apps" in first
    assert deferred == "[('builtin', None), ('builtin', 'old jobs')] 0"
    assert replaced == "1"
    assert "this program has 2 apps" in last
    assert "app.configure_task('builtin:adjourn.builtin_tasks.remove_old_jobs')" in last
    assert "app.tasks[" in last


# The in-memory connector


def test_the_in_memory_connector_tells_what_happened_to_each_job(
    app: adjourn.App, connector: InMemoryConnector
) -> None:
    @app.task(name="work", retry=1)
    def work(fails: bool) -> None:
        if fails:
            raise ValueError

    good, bad = work.batch_defer({"fails": False}, {"fails": True})
    later = work.configure(schedule_in={"hours": 1}).defer(fails=False)
    deleted = work.defer(fails=False)
    app.job_manager.cancel_job_by_id(deleted, delete_job=True)
    run(app)
    app.job_manager.cancel_job_by_id(later)
    app.job_manager.retry_job_by_id(later)
    kinds = {id_: [event["type"] for event in events] for id_, events in connector.events.items()}
    assert kinds == {
        good: ["deferred", "started", "succeeded"],
        bad: ["deferred", "started", "deferred_for_retry", "started", "failed"],
        later: ["scheduled", "deferred", "cancelled", "retried"],
        deleted: ["deferred"],
    }
    assert connector.events[good][0]["at"] == connector.jobs[good]["enqueued_at"]
    assert [job["id"] for job in connector.finished_jobs] == [good, bad]
    assert connector.workers == {}
    connector.reset()
    assert (connector.events, connector.finished_jobs) == ({}, [])


def test_the_in_memory_connector_tells_who_is_there_and_how_it_was_opened(
    app: adjourn.App, connector: InMemoryConnector
) -> None:
    with app.open():
        worker_id = app.job_manager.register_worker()
    assert connector.workers.keys() == {worker_id}

    async def main() -> None:
        async with app.open_async():
            pass

    asyncio.run(main())
    assert connector.states == ["open", "closed", "open_async", "closed_async"]


def test_the_in_memory_connectors_jobs_cannot_be_written_to(app: adjourn.App, connector: InMemoryConnector) -> None:
    job_id = app.configure_task("any").defer()
    jobs: Any = connector.jobs
    with pytest.raises(TypeError):
        jobs[job_id]["status"] = "doing"
    with pytest.raises(TypeError):
        jobs[job_id] = {}


# Managers on a loop


@pytest.mark.filterwarnings("ignore:JobManager:DeprecationWarning")
@pytest.mark.parametrize("is_open", [True, False])
async def test_a_worker_can_be_written_on_the_names_that_block(app: adjourn.App, is_open: bool) -> None:
    manager: Any = app.job_manager
    if is_open:
        await app.open_async()
    job_id = await app.configure_task("any").defer_async()
    worker_id = await manager.register_worker()
    await manager.update_heartbeat(worker_id)
    job = await manager.fetch_job(None, worker_id)
    assert job.id == job_id
    (listed,) = await manager.list_jobs_async(status="doing")
    assert await manager.finish_job(listed, "succeeded", False)
    assert not await manager.finish_job(job, "failed", False)
    assert await manager.get_job_status_async(job_id) == "succeeded"
    await manager.unregister_worker(worker_id)
    assert await manager.prune_stalled_workers(60) == []
    await app.close_async()


# Listening


async def test_notifications_can_be_listened_to(app: adjourn.App, connector: InMemoryConnector) -> None:
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def on_notification(*, channel: str, payload: str) -> None:
        await heard.put((channel, payload))

    listening = asyncio.create_task(connector.listen_notify(on_notification, ["one", "two"]))
    await asyncio.sleep(0.05)
    connector.advance(seconds=1)
    assert {await heard.get(), await heard.get()} == {("one", ""), ("two", "")}
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening


async def test_a_listener_that_raises_ends_the_listening(connector: InMemoryConnector) -> None:
    async def on_notification(*, channel: str, payload: str) -> None:
        raise ZeroDivisionError

    listening = asyncio.create_task(connector.listen_notify(on_notification, ["one"]))
    await asyncio.sleep(0.05)
    connector.advance(seconds=1)
    with pytest.raises(ZeroDivisionError):
        await listening


async def test_a_synchronous_connector_cannot_listen() -> None:
    async def on_notification(*, channel: str, payload: str) -> None: ...

    with pytest.raises(exceptions.SyncConnectorConfigurationError, match="listen_notify"):
        await SyncInMemoryConnector().listen_notify(on_notification, ["one"])
