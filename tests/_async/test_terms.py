"""The terms of jobs: until when they may begin, and how often they are run again; in memory as in Postgres."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from typing import Any

import pytest

import adjourn
from adjourn import Limit, Unique, exceptions, testing
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.outcomes import Ended, Outcome, Retried
from adjourn._domain.ticks import Tick
from adjourn.jobs import Job
from adjourn.testing import InMemoryConnector

SOON = 60
"""Seconds until jobs of these tests expire."""


@pytest.fixture(params=["in memory", "postgres"])
async def app(request: pytest.FixtureRequest, database: str) -> AsyncIterator[adjourn.App]:
    given = InMemoryConnector() if request.param == "in memory" else adjourn.PsycopgConnector(database)
    app = adjourn.App(connector=given)
    await app.open_async()
    yield app
    await app.close_async()


class Claimer:
    """A worker of the test."""

    def __init__(self, manager: AsyncWorkerManager, worker_id: int) -> None:
        self.manager = manager
        self.worker_id = worker_id

    async def claim_async(self, *outcomes: Outcome, limit: int = 10) -> list[Job]:
        """Store outcomes and claim jobs, and go on as long as there is something to place or to claim."""
        new: list[Job] = []
        while True:
            exchanged = await self.manager.exchange_async(
                self.worker_id, outcomes, limit=limit - len(new), queues=None, concurrency=10
            )
            outcomes = ()
            new += exchanged.jobs
            placed = exchanged.place and (await self.manager.place_async(200)).moved
            if len(new) == limit or not (placed or exchanged.repeat or exchanged.jobs):
                return new

    async def ids_async(self, *outcomes: Outcome) -> list[int | None]:
        """Store outcomes and claim jobs, and return their ids."""
        return [job.id for job in await self.claim_async(*outcomes)]


@pytest.fixture
async def claimer(app: adjourn.App) -> AsyncIterator[Claimer]:
    session = await app.connector.session_async()
    manager = AsyncWorkerManager(session, app.connector.json_loads)
    yield Claimer(manager, await manager.register_worker_async("w", None, 60))
    await session.close_async()


def task_of(app: adjourn.App, **options: Any) -> adjourn.Task[Any, Any, ...]:
    """A task with these options."""

    @app.task(name="t", **options)
    def task(**arguments: Any) -> None: ...

    declared: adjourn.Task[Any, Any, ...] = task
    return declared


async def listed_async(app: adjourn.App, id_: int) -> Job:
    """The job as lists show it."""
    (job,) = await app.job_manager.list_jobs_async(id=id_)
    return job


async def expired_async(app: adjourn.App) -> None:
    """Let so much time pass that waiting jobs of these tests have expired."""
    await testing.travel_async(app, seconds=2 * SOON)


async def reason_async(app: adjourn.App, id_: int) -> tuple[str | None, str | None]:
    """How a job has ended, and the class of its last error."""
    job = await listed_async(app, id_)
    return job.status, job.errors[-1]["exception"] if job.errors else None


EXPIRED = ("cancelled", "adjourn.exceptions.JobExpired")


async def test_a_job_that_has_not_begun_in_time_never_does(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app)
    late = await task.configure(expires_in=SOON).defer_async()
    plain = await task.defer_async()
    early = await task.configure(expires_in={"hours": 1}).defer_async()
    await expired_async(app)
    assert await claimer.ids_async() == [plain, early]
    assert await reason_async(app, late) == EXPIRED
    job = await listed_async(app, late)
    assert job.expires_at is not None
    assert job.expires_at.isoformat()[:19] in job.errors[-1]["message"]
    assert job.started_at is None
    assert job.attempts == 0


async def test_a_job_whose_run_has_begun_goes_on(app: adjourn.App, claimer: Claimer) -> None:
    id_ = await task_of(app, expires_in=SOON).defer_async()
    (job,) = await claimer.claim_async()
    assert (job.id, job.expires_at) == (id_, (await listed_async(app, id_)).expires_at)
    at = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
    assert await app.job_manager.run_async("expire_due", {"until": at, "limit": 100}) == [{"expired": 0}]
    await claimer.claim_async(Ended(id_, job.claim, "succeeded"))
    assert await reason_async(app, id_) == ("succeeded", None)


async def test_what_nobody_claims_is_ended_by_the_upkeep(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app)
    ids = await task.configure(expires_in=SOON, queue="paused").batch_defer_async({}, {}, {})
    kept = await task.configure(expires_in={"hours": 1}, queue="paused").defer_async()
    await app.job_manager.pause_queue_async("paused")
    await expired_async(app)
    assert await claimer.manager.expire_async(2) == 2
    assert await claimer.manager.expire_async(2) == 1
    assert [await reason_async(app, id_) for id_ in ids] == [EXPIRED] * 3
    assert await reason_async(app, kept) == ("todo", None)


async def test_of_those_that_expired_at_once_the_first_ends_first(app: adjourn.App, claimer: Claimer) -> None:
    ids = await task_of(app).configure(expires_in=SOON).batch_defer_async({}, {}, {})
    # Postgres has it behind the others now.
    await app.job_manager.change_jobs_async(ids[:1], priority=1)
    await expired_async(app)
    for id_ in ids:
        assert await claimer.manager.expire_async(1) == 1
        assert await reason_async(app, id_) == EXPIRED


async def test_a_retry_that_waits_past_the_time_expires_too(app: adjourn.App, claimer: Claimer) -> None:
    id_ = await task_of(app, expires_in=SOON).defer_async()
    (job,) = await claimer.claim_async()
    error = '{"exception": "builtins.ValueError", "message": ""}'
    await claimer.claim_async(Retried(id_, job.claim, error, retry_in=60))
    await expired_async(app)
    assert await claimer.manager.expire_async(100) == 1
    job = await listed_async(app, id_)
    assert [each["exception"] for each in job.errors] == ["builtins.ValueError", EXPIRED[1]]
    assert (job.status, job.attempts) == ("cancelled", 1)


async def test_time_counts_from_when_the_job_is_due(app: adjourn.App) -> None:
    task = task_of(app, expires_in=60)
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    job = await listed_async(app, await task.configure(schedule_at=at).defer_async())
    assert job.scheduled_at == at
    assert job.expires_at == at + datetime.timedelta(seconds=60)
    job = await listed_async(app, await task.configure(schedule_in={"hours": 1}).defer_async())
    assert job.scheduled_at is not None
    assert job.expires_at is not None
    assert job.expires_at - job.scheduled_at == datetime.timedelta(seconds=60)
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    job = await listed_async(app, await task.configure(schedule_at=before).defer_async())
    assert job.enqueued_at is not None
    assert job.expires_at == job.enqueued_at + datetime.timedelta(seconds=60)
    job = await listed_async(app, await task.configure(expires_at=at).defer_async())
    assert job.expires_at == at


async def test_the_next_job_of_its_lock_goes_on(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app, lock="l")
    first = await task.configure(expires_in=SOON).defer_async()
    second = await task.configure(expires_in=SOON).defer_async()
    third = await task.defer_async()
    await claimer.manager.place_async(200)
    await expired_async(app)
    assert await claimer.ids_async() == [third]
    assert [await reason_async(app, id_) for id_ in (first, second)] == [EXPIRED, EXPIRED]


async def test_its_queueing_lock_is_free(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app, queueing_lock="q")
    await task.configure(expires_in=SOON).defer_async()
    with pytest.raises(exceptions.AlreadyEnqueued):
        await task.configure(expires_in=60).defer_async()
    await expired_async(app)
    assert await claimer.ids_async() == []
    assert await claimer.ids_async() == [] != [await task.defer_async()]


async def test_it_takes_no_place_under_a_limit(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app, limits=Limit(key="k", concurrency=1))
    first = await task.defer_async(k="a")
    late = await task.configure(expires_in=SOON).defer_async(k="a")
    last = await task.defer_async(k="a")
    (job,) = await claimer.claim_async()
    assert job.id == first
    await expired_async(app)
    assert await claimer.ids_async(Ended(first, job.claim, "succeeded")) == [last]
    assert await reason_async(app, late) == EXPIRED


async def test_to_those_that_wait_for_it_it_has_failed(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app)
    flow = app.workflow()
    parent = flow.add(task.configure(expires_in=SOON))
    flow.add(task, depends_on=parent)
    flow.add(task, depends_on=parent, run_if="all_done")
    stored = await flow.defer_async()
    ids = [job.id for job in await app.job_manager.list_jobs_async()]
    await expired_async(app)
    assert await claimer.ids_async() == [ids[2]]
    assert [await reason_async(app, id_ or 0) for id_ in ids[:2]] == [EXPIRED, ("cancelled", None)]
    assert stored.id


async def test_a_waiting_program_hears_of_it(app: adjourn.App, claimer: Claimer) -> None:
    id_ = await task_of(app, store_result=True, expires_in=SOON).defer_async()
    await expired_async(app)
    assert await claimer.manager.expire_async(10) == 1
    job = await app.job_manager.wait_for_job_async(id_, timeout=10)
    assert job.status == "cancelled"
    with pytest.raises(exceptions.JobCancelled):
        await app.job_manager.get_result_async(id_)


async def test_run_again_by_hand_it_expires_no_more(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app, expires_in=SOON)
    late = await task.configure(max_attempts=3).defer_async()
    await expired_async(app)
    assert await claimer.ids_async() == []
    await app.job_manager.retry_job_by_id_async(late)
    (job,) = await claimer.claim_async()
    assert (job.id, job.expires_at, job.max_attempts) == (late, None, 3)
    waiting = await task.configure(schedule_in={"hours": 1}).defer_async()
    await app.job_manager.retry_job_by_id_async(waiting)
    assert [(job.id, job.expires_at) for job in await claimer.claim_async()] == [(waiting, None)]


async def test_every_way_to_defer_keeps_the_terms(app: adjourn.App) -> None:
    task = task_of(app)
    manager = app.job_manager
    configured = task.configure(expires_in=60, max_attempts=2)
    ids = [await configured.defer_async(), *await configured.batch_defer_async({"a": 1}, {"a": 2})]
    ids += (await manager.batch_defer_alike_async(configured.job, [{"a": 3}, {"a": 4}])).ids
    unique = task.configure(expires_in=60, max_attempts=2, unique=Unique(key="u", on_conflict="replace"))
    ids += [await unique.defer_async(), (await manager.defer_jobs_async([unique.make_new_job(a=5)]))[0].id]
    assert ids[-1] == ids[-2]
    flow = app.workflow()
    flow.map(configured, [{"a": 6}, {"a": 7}])
    await flow.defer_async()
    at = datetime.datetime.fromtimestamp(0, datetime.UTC)
    job = task.make_job(expires_in=60, max_attempts=2, queueing_lock="q")
    tick = Tick(periodic_id="", cron="@hourly", timezone="UTC", at=at, job=job)
    await manager.ticks.defer_ticks_async(
        [tick, Tick(periodic_id="b", cron="", timezone="UTC", at=at, job=task.make_job(expires_in=60, max_attempts=2))]
    )
    jobs = await manager.list_jobs_async()
    assert len(jobs) == 10
    assert {job.max_attempts for job in jobs} == {2}
    minute = datetime.timedelta(seconds=60)
    assert {job.expires_at and job.enqueued_at and job.expires_at - job.enqueued_at >= minute for job in jobs} == {True}


async def test_a_job_that_replaces_another_has_terms_of_its_own(app: adjourn.App) -> None:
    task = task_of(app, unique=Unique(key="u", over=["todo"], on_conflict="replace"))
    id_ = await task.configure(expires_in=60).defer_async()
    assert await task.configure(max_attempts=1).defer_async() == id_
    job = await listed_async(app, id_)
    assert (job.expires_at, job.max_attempts) == (None, 1)


async def test_deaths_of_workers_count_as_attempts(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app)
    once = await task.configure(max_attempts=0).defer_async()
    twice = await task.configure(max_attempts=1).defer_async()
    assert await claimer.ids_async() == [once, twice]
    await app.job_manager.prune_stalled_workers_async(0)
    assert await reason_async(app, once) == ("failed", "adjourn.exceptions.WorkerLost")
    assert (await listed_async(app, twice)).attempts == 1
    other = Claimer(claimer.manager, await claimer.manager.register_worker_async("w", None, 60))
    assert await other.ids_async() == [twice]
    await app.job_manager.prune_stalled_workers_async(0)
    assert await reason_async(app, twice) == ("failed", "adjourn.exceptions.WorkerLost")


async def test_deaths_of_workers_count_as_attempts_for_the_tasks_own_retries(
    app: adjourn.App, claimer: Claimer
) -> None:
    @app.task(name="fails", retry=adjourn.RetryStrategy(max_attempts=1))
    def fails() -> None:
        raise ValueError("no")

    lost = await fails.defer_async()
    assert await claimer.ids_async() == [lost]
    await app.job_manager.prune_stalled_workers_async(0)
    assert (await listed_async(app, lost)).attempts == 1
    usual = await fails.defer_async()
    await testing.drain_async(app, raise_failures=False)
    jobs = [await listed_async(app, job_id) for job_id in (lost, usual)]
    assert [job.status for job in jobs] == ["failed", "failed"]
    ends = [[error["exception"].rpartition(".")[2] for error in job.errors] for job in jobs]
    assert ends == [["WorkerLost", "ValueError"], ["ValueError", "ValueError"]]


async def test_a_drain_runs_no_job_that_has_expired(app: adjourn.App) -> None:
    ran: list[int] = []

    @app.task(name="seen")
    def seen(n: int) -> None:
        ran.append(n)

    await seen.configure(expires_in=3600).defer_async(n=1)
    late = await seen.configure(expires_in=60).defer_async(n=2)
    await testing.travel_async(app, minutes=10)
    await testing.drain_async(app)
    assert ran == [1]
    assert await reason_async(app, late) == EXPIRED
