"""A job waits from when it could run, not from when it was deferred: in figures of queues, and in what workers count."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

import adjourn
from adjourn import telemetry
from adjourn._domain.claimed import ClaimedJob
from adjourn._domain.outcomes import Ended, Outcome, Retried
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn.jobs import Status
from adjourn.monitor.reader import Reader
from adjourn.workflows import Workflow

HOUR = 3600.0
AGED = "update adjourn.adjourn_jobs set enqueued_at = enqueued_at - interval '1 hour'"


@pytest.fixture
async def app(database: str) -> AsyncIterator[adjourn.App]:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    app.task(name="any")(lambda: None)
    async with app.open_async():
        yield app


def latency(app: adjourn.App) -> float | None:
    """Return for how long the queue's first job could have run, in seconds; None if there is none."""
    reader = Reader(app, "monitor")
    try:
        return max((row["latency"] for row in reader.rows("latency")), default=None)
    finally:
        reader.close()


class Hand:
    """A worker that claims when it is told to."""

    def __init__(self, app: adjourn.App) -> None:
        self._session = app.connector.session()
        self._worker = SyncWorkerManager(self._session, app.connector.json_loads)
        self._id = self._worker.register_worker("w", None, 60.0)

    def claim(self, *outcomes: Outcome, limit: int = 1, follow: int = 0) -> list[ClaimedJob]:
        """Store outcomes, and claim jobs."""
        return self._worker.exchange(
            self._id, outcomes, limit=limit, queues=None, concurrency=10, follow=follow
        ).claimed

    def place(self) -> None:
        """Place jobs that have a lock, or wait for others, a limit or a pause."""
        while self._worker.place(100).moved:
            pass

    def close(self) -> None:
        self._session.close()


@pytest.fixture
def hand(app: adjourn.App) -> Iterator[Hand]:
    hand = Hand(app)
    hand.place()
    yield hand
    hand.close()


def ended(job: ClaimedJob) -> Ended:
    return Ended(id=job.id, claim=job.claim, status=Status.SUCCEEDED)


async def test_a_plain_job_waits_from_when_it_was_stored(
    app: adjourn.App, hand: Hand, observer: psycopg.Connection
) -> None:
    await app.configure_task("any").defer_async()
    observer.execute(AGED)
    assert HOUR <= (latency(app) or 0) < 2 * HOUR
    (job,) = hand.claim()
    assert HOUR <= job.wait_seconds < 2 * HOUR
    assert job.job.ready_at is None


async def test_a_job_behind_a_lock_waits_from_its_promotion(
    app: adjourn.App, hand: Hand, observer: psycopg.Connection
) -> None:
    for _ in range(3):
        await app.configure_task("any", lock="l").defer_async()
    observer.execute(AGED)
    hand.place()
    assert (latency(app) or 0) >= HOUR
    (head,) = hand.claim()
    assert head.wait_seconds >= HOUR
    hand.claim(ended(head), limit=0)
    assert 0 <= (latency(app) or 0) < 60
    second, third = hand.claim(follow=5)
    assert second.wait_seconds < 60
    assert second.job.ready_at is not None
    assert telemetry.RunOfJob(job=second.job, worker_name="w").wait_seconds == second.wait_seconds
    assert third.wait_seconds == 0.0, "it follows"


async def test_a_job_that_a_limit_or_a_pause_has_kept_waits_from_when_it_is_let_in(
    app: adjourn.App, hand: Hand, observer: psycopg.Connection
) -> None:
    await app.job_manager.pause_task_async("any")
    await app.configure_task("any").defer_async()
    assert hand.claim() == []
    observer.execute(AGED)
    await app.job_manager.resume_task_async("any")
    hand.place()
    assert 0 <= (latency(app) or 0) < 60
    (job,) = hand.claim()
    assert job.wait_seconds < 60


async def test_a_job_of_a_workflow_waits_from_the_end_of_the_one_before(
    app: adjourn.App, hand: Hand, observer: psycopg.Connection
) -> None:
    workflow = Workflow(app.job_manager)
    workflow.add(app.tasks["any"], depends_on=[workflow.add(app.tasks["any"])])
    await workflow.defer_async()
    observer.execute(AGED)
    (first,) = hand.claim()
    assert first.wait_seconds >= HOUR
    hand.claim(ended(first), limit=0)
    hand.place()
    (second,) = hand.claim()
    assert second.wait_seconds < 60


async def test_a_job_that_is_retried_waits_from_then(
    app: adjourn.App, hand: Hand, observer: psycopg.Connection
) -> None:
    job_id = await app.configure_task("any").defer_async()
    observer.execute(AGED)
    (job,) = hand.claim()
    (again,) = hand.claim(Retried(job.id, job.claim))
    assert again.wait_seconds < 60
    assert again.id == job_id
