"""What log records carry besides their message, on the side that declares tasks and defers jobs."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from adjourn import App, Blueprint, SyncPsycopgConnector
from adjourn._domain.batches import AlikeJobs
from adjourn.jobs import Job
from adjourn.manager import JobDeferrer
from adjourn.types import JSONDict
from adjourn.worker.shutdown import on_signals


class Collecting(logging.Handler):
    """Keeps all records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)


class Storage:
    """Stores nothing, and says that it did."""

    def defer_job(self, job: Job, connection: Any = None) -> Job:
        """Give the job an id."""
        return job.evolve(id=1, status="todo")

    async def defer_job_async(self, job: Job, connection: Any = None) -> Job:
        """Give the job an id."""
        return job.evolve(id=1, status="todo")

    def batch_defer_jobs(self, jobs: Sequence[Job], connection: Any = None) -> list[Job]:
        """Give the jobs ids."""
        return [job.evolve(id=number, status="todo") for number, job in enumerate(jobs, 1)]

    async def batch_defer_jobs_async(self, jobs: Sequence[Job], connection: Any = None) -> list[Job]:
        """Give the jobs ids."""
        return self.batch_defer_jobs(jobs)

    def batch_defer_alike(self, job: Job, arguments: Sequence[JSONDict], connection: Any = None) -> AlikeJobs:
        """Give the jobs ids."""
        return AlikeJobs(job.evolve(status="todo"), arguments, list(range(1, len(arguments) + 1)))

    async def batch_defer_alike_async(
        self, job: Job, arguments: Sequence[JSONDict], connection: Any = None
    ) -> AlikeJobs:
        """Give the jobs ids."""
        return self.batch_defer_alike(job, arguments)


@pytest.fixture
def deferrer() -> JobDeferrer:
    """Defers jobs of some task."""
    return JobDeferrer(Storage(), Job(queue="default", task_name="add"))


@pytest.fixture
def app() -> App:
    """An app that is never opened."""
    return App(connector=SyncPsycopgConnector())


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Iterator[list[logging.LogRecord]]:
    """All that is logged."""
    caplog.set_level(logging.DEBUG, "adjourn")
    handler = Collecting()
    logging.getLogger("adjourn").addHandler(handler)
    yield handler.records
    logging.getLogger("adjourn").removeHandler(handler)


def extra(record: logging.LogRecord) -> dict[str, Any]:
    """What a record carries."""
    return vars(record)


def said(records: Sequence[logging.LogRecord]) -> list[tuple[int, str, list[int | None]]]:
    """The level and the action of each record, and the ids of its jobs."""
    return [(each.levelno, extra(each)["action"], [job["id"] for job in extra(each)["jobs"]]) for each in records]


ONE = [(logging.DEBUG, "about_to_defer_jobs", [None]), (logging.INFO, "jobs_deferred", [1])]
TWO = [(logging.DEBUG, "about_to_defer_jobs", [None, None]), (logging.INFO, "jobs_deferred", [1, 2])]


def test_a_deferred_job_is_logged_before_and_after(deferrer: JobDeferrer, records: list[logging.LogRecord]) -> None:
    deferrer.defer(a=1)
    assert said(records) == ONE
    (job,) = extra(records[1])["jobs"]
    assert job["call_string"] == "add[1](a=1)"
    assert records[1].getMessage() == "Deferred add[1](a=1)"
    assert {each.name for each in records} == {"adjourn.jobs"}


async def test_so_is_one_that_is_deferred_asynchronously(
    deferrer: JobDeferrer, records: list[logging.LogRecord]
) -> None:
    await deferrer.defer_async(a=1)
    assert said(records) == ONE
    assert {each.name for each in records} == {"adjourn.jobs"}


async def test_a_batch_is_one_record(deferrer: JobDeferrer, records: list[logging.LogRecord]) -> None:
    deferrer.batch_defer({"a": 1}, {"a": 2})
    await deferrer.batch_defer_async({"a": 1}, {"a": 2})
    assert said(records) == TWO * 2
    assert records[1].getMessage() == "Deferred 2 jobs of task add"


def test_who_does_not_listen_does_not_pay(
    deferrer: JobDeferrer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def describe(job: Job) -> dict[str, Any]:
        raise AssertionError("nobody listens")

    monkeypatch.setattr(Job, "log_context", describe)
    caplog.set_level(logging.WARNING, "adjourn")
    assert deferrer.defer(a=1) == 1
    assert deferrer.batch_defer({"a": 1}, {"a": 2}) == [1, 2]


def test_a_schedule_is_logged_when_it_is_declared(app: App, records: list[logging.LogRecord]) -> None:
    @app.periodic(cron="*/5 * * * *", periodic_id="often", queue="clock")
    @app.task(name="tick")
    def tick(timestamp: int) -> None: ...

    (record,) = records
    carried = extra(record)
    assert (carried["action"], carried["task"]) == ("registering_periodic_task", "tick")
    assert (carried["cron"], carried["periodic_id"]) == ("*/5 * * * *", "often")
    assert carried["kwargs"] == "{'queue': 'clock'}"


def test_a_blueprint_is_logged_when_it_is_taken_in(app: App, records: list[logging.LogRecord]) -> None:
    blueprint = Blueprint()

    @blueprint.task(name="add")
    def add() -> None: ...

    app.add_tasks_from(blueprint, namespace="math")
    (record,) = records
    carried = extra(record)
    assert carried["action"] == "loading_blueprint"
    assert (carried["namespace"], carried["tasks"]) == ("math", ["math:add"])


def test_imports_are_logged(records: list[logging.LogRecord]) -> None:
    app = App(connector=SyncPsycopgConnector(), import_paths=["json"])
    app.perform_import_paths()
    assert [extra(each)["action"] for each in records] == ["import_module", "imported_tasks"]
    assert extra(records[0])["module_name"] == "json"
    assert extra(records[1])["tasks"] == list(app.tasks)


def test_signal_handlers_are_logged(records: list[logging.LogRecord]) -> None:
    with on_signals(lambda: None):
        signal.raise_signal(signal.SIGTERM)
    actions = [extra(each)["action"] for each in records]
    assert actions == ["install_signal_handlers", "stopping_worker", "uninstall_signal_handlers"]
