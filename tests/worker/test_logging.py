"""What the log records of a worker carry besides their messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

import adjourn
from adjourn import exceptions
from support.bench import Bench


class Records(logging.Handler):
    """All that is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what a record carries."""
        self.records.append(vars(record))

    def actions(self, job_id: int | None = None) -> list[str]:
        """What happened, or what happened to a job."""
        return [
            each["action"] for each in self.records if job_id is None or each.get("job", {}).get("id", None) == job_id
        ]

    def __getitem__(self, action: str) -> dict[str, Any]:
        """What the one record of an action carries."""
        (record,) = (each for each in self.records if each["action"] == action)
        return record


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Iterator[Records]:
    """All that is logged."""
    caplog.set_level(logging.DEBUG, "adjourn")
    handler = Records()
    logging.getLogger("adjourn").addHandler(handler)
    yield handler
    logging.getLogger("adjourn").removeHandler(handler)


@pytest.fixture
def tasks(app: adjourn.App) -> None:
    """Tasks that end in every way."""

    @app.task(name="add")
    def add(a: int, b: int) -> int:
        return a + b

    @app.task(name="fail", retry=1)
    async def fail() -> None:
        raise ValueError("no")

    @app.task(name="abort")
    def abort() -> None:
        raise exceptions.JobAborted

    @app.task(name="sleep")
    async def sleep() -> None:
        await asyncio.sleep(60)


@pytest.mark.usefixtures("tasks")
async def test_each_step_of_a_job_is_logged_with_the_job_the_worker_and_the_times(
    app: adjourn.App, bench: Bench, records: Records
) -> None:
    job_id = await app.configure_task("add").defer_async(a=1, b=2)
    await bench.drain(name="ann", queues=["default"], concurrency=2)
    assert records.actions(job_id) == ["loaded_job_info", "start_job", "job_success", "finish_task"]
    for action in ("loaded_job_info", "start_job", "job_success"):
        worker = dict(records[action]["worker"])
        assert worker.pop("worker_id") > 0
        assert worker == {"name": "ann", "job_id": job_id, "queues": ("default",)}
        assert records[action]["job"]["call_string"] == f"add[{job_id}](a=1, b=2)"
    ended = records["job_success"]
    assert ended["result"] == 3
    assert ended["end_timestamp"] == pytest.approx(ended["start_timestamp"] + ended["duration"])
    assert records["finish_task"]["status"] == "succeeded"
    assert records["start_worker"]["worker"]["name"] == "ann"
    assert records["start_worker"]["queues"] == records["stop_worker"]["queues"] == ("default",)
    levels = [records[action]["levelno"] for action in ("loaded_job_info", "start_job", "job_success", "finish_task")]
    assert levels == [logging.DEBUG, logging.INFO, logging.INFO, logging.DEBUG]


@pytest.mark.usefixtures("tasks")
async def test_ends_have_the_documented_names(app: adjourn.App, bench: Bench, records: Records) -> None:
    failing = await app.configure_task("fail").defer_async()
    aborted = await app.configure_task("abort").defer_async()
    unknown = await app.configure_task("unknown").defer_async()
    await bench.drain(unknown_task_timeout=0)
    ends = {"job_error_retry", "job_error", "job_aborted", "task_not_found"}
    assert [each for each in records.actions(failing) if each in ends] == ["job_error_retry", "job_error"]
    assert [each for each in records.actions(aborted) if each in ends] == ["job_aborted"]
    assert [each for each in records.actions(unknown) if each in ends] == ["task_not_found"]
    assert (records["job_error_retry"]["levelno"], records["job_error"]["levelno"]) == (logging.INFO, logging.ERROR)
    assert records["job_error"]["exc_info"][0] is ValueError


@pytest.mark.usefixtures("tasks")
async def test_a_stop_says_what_it_waits_for_and_what_it_cuts_short(
    app: adjourn.App, bench: Bench, records: Records
) -> None:
    job_id = await app.configure_task("sleep").defer_async()
    async with bench.working(shutdown_graceful_timeout=0.1):
        await bench.ended(job_id, "doing")
        await bench.until(lambda: "start_job" in records.actions(job_id))
    assert records.actions(job_id)[-3:] == ["ending_job", "abort_job", "job_aborted_retry"]
    assert records["ending_job"]["worker"]["job_id"] == job_id
    assert await bench.status(job_id) == "todo"


@pytest.mark.usefixtures("tasks")
async def test_an_abortion_is_logged_when_it_is_asked_for(app: adjourn.App, bench: Bench, records: Records) -> None:
    job_id = await app.configure_task("sleep").defer_async()
    async with bench.working():
        await bench.until(lambda: "start_job" in records.actions(job_id))
        await app.job_manager.cancel_job_by_id_async(job_id, abort=True)
        await bench.ended(job_id, "aborted")
    actions = records.actions(job_id)
    assert actions[actions.index("start_job") + 1 :][:2] == ["abort_job", "job_aborted"]


async def test_schedules_are_logged_with_their_jobs(app: adjourn.App, bench: Bench, records: Records) -> None:
    @app.periodic(cron="* * * * *", periodic_id="often")
    @app.task(name="tick", queueing_lock="tick")
    def tick(timestamp: int) -> None: ...

    await bench.drain()
    carried = records["periodic_task_deferred"]
    assert (carried["task_name"], carried["periodic_id"]) == ("tick", "often")
    assert carried["job"]["id"] > 0
    assert carried["job"]["task_kwargs"] == {"timestamp": carried["defer_timestamp"]}
