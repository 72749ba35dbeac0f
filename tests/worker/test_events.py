"""What a worker tells of the jobs that it runs, of itself and of its connections."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn import events, exceptions
from adjourn.job_context import AbortReason
from adjourn.worker import Worker
from support.bench import Bench


class Told:
    """The events that an app has told of, in order."""

    def __init__(self, app: adjourn.App) -> None:
        self.events: list[events.Event] = []
        app.events.subscribe(events.Event, self.events.append)

    def of(self, kind: type[Any]) -> list[Any]:
        """Those of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def of_job(self, job_id: int) -> list[str]:
        """What has happened to a job."""
        return [type(event).__name__ for event in self.of(events.JobEvent) if event.job.id == job_id]


@pytest.fixture
def told(app: adjourn.App) -> Told:
    return Told(app)


async def test_each_run_has_a_beginning_and_one_end(app: adjourn.App, bench: Bench, told: Told) -> None:
    @app.task(name="add")
    def add(a: int, b: int) -> int:
        return a + b

    @app.task(name="fail", retry=1)
    async def fail() -> None:
        raise ValueError("no")

    @app.task(name="abort")
    def abort() -> None:
        raise exceptions.JobAborted

    added, failing, aborted, unknown = [
        await app.configure_task(name).defer_async(**kwargs)
        for name, kwargs in (("add", {"a": 1, "b": 2}), ("fail", {}), ("abort", {}), ("unknown", {}))
    ]
    await bench.drain(name="ann", queues=["default"], unknown_task_timeout=0)
    assert told.of_job(added) == ["JobStarted", "JobSucceeded"]
    assert told.of_job(failing) == ["JobStarted", "JobRetried", "JobStarted", "JobFailed"]
    assert told.of_job(aborted) == ["JobStarted", "JobAborted"]
    assert told.of_job(unknown) == ["TaskUnknown"]
    (succeeded,) = told.of(events.JobSucceeded)
    assert succeeded.result == 3
    assert succeeded.duration >= 0
    assert (succeeded.worker.name, succeeded.worker.queues) == ("ann", ("default",))
    assert succeeded.worker.id == succeeded.job.worker_id
    assert {type(event.error) for event in told.of(events.JobFailed)} == {ValueError, exceptions.TaskNotFound}
    stored = {event.job_id: event.status for event in told.of(events.OutcomeStored)}
    assert stored == {added: "succeeded", failing: "failed", aborted: "aborted", unknown: "failed"}


async def test_a_worker_tells_of_its_life(app: adjourn.App, bench: Bench, told: Told) -> None:
    await bench.drain(name="ann", concurrency=3)
    started, stopping, stopped = told.of(events.WorkerEvent)
    assert isinstance(started, events.WorkerStarted)
    assert isinstance(stopping, events.WorkerStopping)
    assert isinstance(stopped, events.WorkerStopped)
    assert started.concurrency == 3
    assert started.worker.id
    assert started.worker == stopping.worker
    assert stopped.worker.name == "ann"


async def test_abort_requests_and_stops_are_told_with_their_reason(app: adjourn.App, bench: Bench, told: Told) -> None:
    begun = []

    @app.task(name="sleep", pass_context=True)
    async def sleep(context: adjourn.JobContext) -> None:
        begun.append(context.job.id)
        await asyncio.sleep(60)

    first = await sleep.defer_async()
    async with bench.working(shutdown_graceful_timeout=0.1):
        await bench.until(lambda: first in begun)
        await app.job_manager.cancel_job_by_id_async(first, abort=True)
        await bench.ended(first, "aborted")
        second = await sleep.defer_async()
        await bench.until(lambda: second in begun)
    assert told.of_job(first) == ["JobStarted", "JobAbortRequested", "JobAborted"]
    assert told.of_job(second) == ["JobStarted", "JobWaitedFor", "JobAbortRequested", "JobHandedBack"]
    reasons = [event.reason for event in told.of(events.JobAbortRequested)]
    assert reasons == [AbortReason.USER_REQUEST, AbortReason.SHUTDOWN]


async def test_a_time_out_that_is_ignored_is_told(app: adjourn.App, bench: Bench, told: Told) -> None:
    @app.task(timeout=0.05)
    async def stubborn() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    job_id = await stubborn.defer_async()
    await bench.drain()
    assert told.of_job(job_id) == ["JobStarted", "JobAbortRequested", "JobTimeoutIgnored", "JobSucceeded"]
    assert told.of(events.JobTimeoutIgnored)[0].timeout == 0.05


async def test_a_retry_strategy_that_raises_is_told(app: adjourn.App, bench: Bench, told: Told) -> None:
    class Broken(adjourn.BaseRetryStrategy):
        """Knows no answer."""

        def get_retry_decision(self, *, exception: BaseException, job: adjourn.jobs.Job) -> None:
            """Raise."""
            raise LookupError("no answer")

    @app.task(retry=Broken())
    async def fail() -> None:
        raise ValueError("no")

    job_id = await fail.defer_async()
    await bench.drain()
    assert told.of_job(job_id) == ["JobStarted", "RetryStrategyFailed", "JobFailed"]
    assert isinstance(told.of(events.RetryStrategyFailed)[0].error, LookupError)


async def test_schedules_tell_whether_a_job_was_deferred(app: adjourn.App, bench: Bench, told: Told) -> None:
    @app.periodic(cron="* * * * *", periodic_id="often")
    @app.task(name="tick", queueing_lock="tick", queue="nobody's")
    def tick(timestamp: int) -> None: ...

    await app.configure_task("tick").defer_async(timestamp=1)
    await bench.drain(queues=["mine"])
    (skipped,) = told.of(events.PeriodicJobSkipped)
    assert (skipped.job.task_name, skipped.periodic_id) == ("tick", "often")
    assert skipped.tick.timestamp() == skipped.job.task_kwargs["timestamp"]
    (deferred,) = told.of(events.JobsDeferred)
    assert not deferred.in_transaction


async def test_the_job_of_a_schedule_is_told_as_deferred(app: adjourn.App, bench: Bench, told: Told) -> None:
    @app.periodic(cron="* * * * *")
    @app.task(name="tick")
    def tick(timestamp: int) -> None: ...

    await bench.drain()
    (deferred,) = told.of(events.JobsDeferred)
    assert isinstance(deferred, events.PeriodicJobDeferred)
    assert deferred.jobs[0].id


async def test_jobs_in_a_transaction_of_the_callers_are_told_as_such(
    app: adjourn.App, database: str, told: Told
) -> None:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await app.configure_task("any", connection=connection).defer_async()
        await connection.rollback()
    (deferred,) = told.of(events.JobsDeferred)
    assert deferred.in_transaction


async def test_a_declared_death_is_told(app: adjourn.App, bench: Bench, told: Told) -> None:
    begun = asyncio.Event()

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        begun.set()
        if context.job.claim == 1:
            await asyncio.sleep(600)

    job_id = await work.defer_async()
    async with bench.working(update_heartbeat_interval=0.1, stalled_worker_timeout=0.5, fetch_job_polling_interval=0.2):
        await asyncio.wait_for(begun.wait(), 10)
        await app.connector.execute_query_async(
            "update adjourn.adjourn_workers set dead = true, expires_at = now() - interval '1 h'"
        )
        await bench.ended(job_id)
    (declared,) = told.of(events.WorkerDeclaredDead)
    assert (declared.silence, declared.given_up) == (0.5, 1)
    assert declared.worker.id


async def test_a_rescue_is_told(app: adjourn.App, bench: Bench, told: Told, caplog: pytest.LogCaptureFixture) -> None:
    @app.task
    async def work() -> None: ...

    job_id = await work.defer_async()
    await app.connector.execute_query_async(
        "with w as (insert into adjourn.adjourn_workers (name, expires_at) values ('gone', now() - interval '1 h') "
        "returning id) update adjourn.adjourn_jobs set worker_id = (select id from w), claim = 1"
    )
    # If the server has just started, nobody counts as dead before he had the time to be heard of again.
    async with bench.working(update_heartbeat_interval=0.1, stalled_worker_timeout=1):
        await bench.ended(job_id)
    (rescued,) = told.of(events.JobsRescued)
    assert (rescued.rescued, rescued.failed) == (1, 0)
    assert (rescued.dead_workers, rescued.worker_names) == (1, ("gone",))
    assert (rescued.rescued_ids, rescued.failed_ids) == ((job_id,), ())
    (record,) = [each for each in caplog.records if getattr(each, "action", "") == "rescued_jobs"]
    message = f"Rescued 1 job of 1 worker without heartbeats ('gone'): {job_id}"
    assert (record.levelname, record.getMessage()) == ("WARNING", message)
    told_of = {name: getattr(record, name) for name in ("dead_workers", "worker_names", "rescued_ids", "failed_ids")}
    assert told_of == {"dead_workers": 1, "worker_names": ["gone"], "rescued_ids": [job_id], "failed_ids": []}


async def test_a_worker_that_dies_without_jobs_is_told(
    app: adjourn.App, bench: Bench, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    await app.connector.execute_query_async(
        "insert into adjourn.adjourn_workers (name, expires_at, last_heartbeat_at, details) values ('gone', "
        "now() - interval '1 h', '2026-01-31 12:00:00+00', '{\"host\": \"web-3\", \"pid\": 42}')"
    )
    async with bench.working(update_heartbeat_interval=0.1, stalled_worker_timeout=1):
        await bench.until(lambda: told.of(events.OthersDeclaredDead))
    (dead,) = told.of(events.OthersDeclaredDead)
    assert (dead.died, [(each.name, each.host, each.pid, each.freed) for each in dead.workers]) == (
        1,
        [("gone", "web-3", 42, 0)],
    )
    assert told.of(events.JobsRescued) == []
    (record,) = [each for each in caplog.records if getattr(each, "action", "") == "others_declared_dead"]
    number = dead.workers[0].id
    message = (
        f"Declared 1 other worker dead: 'gone' ({number}) on web-3, pid 42, last heartbeat 2026-01-31 12:00:00+00:00"
    )
    assert (record.levelname, record.getMessage()) == ("WARNING", message)


async def test_a_lost_connection_is_told_and_that_it_is_back(
    app: adjourn.App, bench: Bench, told: Told, database: str
) -> None:
    worker = Worker(app, install_signal_handlers=False, fetch_job_polling_interval=0.1, update_heartbeat_interval=0.1)
    running = asyncio.create_task(worker.run())
    await bench.until(lambda: told.of(events.WorkerStarted))
    await asyncio.sleep(0.5)
    with psycopg.connect(database, autocommit=True, application_name="adjourn tests") as connection:
        connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
            "where datname = current_database() and application_name <> 'adjourn tests'"
        )
    await bench.until(lambda: told.of(events.ConnectionRestored) and told.of(events.HeartbeatFailed))
    worker.stop()
    await asyncio.wait_for(running, 20)
    lost = told.of(events.ConnectionLost)[0]
    assert (lost.failures, lost.waiting) == (1, 0)
    assert isinstance(lost.error, exceptions.ConnectorException)
    assert told.of(events.HeartbeatFailed)[0].failures == 1
