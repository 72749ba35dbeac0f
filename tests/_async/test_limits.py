"""Limits and pauses, as managers and workers see them; in memory as in Postgres."""

from __future__ import annotations

import datetime
import warnings
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn import Limit, Rate, Unique, exceptions
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.outcomes import Ended, HandedBack, Outcome, Retried
from adjourn.jobs import Job
from adjourn.testing import InMemoryConnector
from support.waiting import until_async


@pytest.fixture(params=["in memory", "postgres"])
async def app(request: pytest.FixtureRequest, database: str) -> AsyncIterator[adjourn.App]:
    given = InMemoryConnector() if request.param == "in memory" else adjourn.PsycopgConnector(database)
    app = adjourn.App(connector=given)
    await app.open_async()
    yield app
    await app.close_async()


class Claimer:
    """A worker of the test, which claims jobs and ends them when the test says so."""

    def __init__(self, manager: AsyncWorkerManager, worker_id: int) -> None:
        self.manager = manager
        self.worker_id = worker_id
        self.jobs: list[Job] = []

    async def claim_async(self, limit: int = 100, outcomes: tuple[Outcome, ...] = ()) -> list[Job]:
        """Store outcomes and claim jobs, and go on as long as there is something to place or to claim."""
        new: list[Job] = []
        while True:
            exchanged = await self.manager.exchange_async(self.worker_id, outcomes, limit=limit - len(new), queues=None)
            outcomes = ()
            assert not exchanged.refused
            new += exchanged.jobs
            placed = exchanged.place and (await self.manager.place_async(200)).moved
            if len(new) == limit or not (placed or exchanged.repeat or exchanged.jobs):
                break
        self.jobs += new
        return new

    async def end_async(self, *jobs: Job, limit: int = 100) -> list[Job]:
        """End jobs, and claim more."""
        self.jobs = [job for job in self.jobs if job not in jobs]
        return await self.claim_async(limit, tuple(Ended(job.id or 0, job.claim, "succeeded", None) for job in jobs))


@pytest.fixture
async def claimer(app: adjourn.App) -> AsyncIterator[Claimer]:
    session = await app.connector.session_async()
    manager = AsyncWorkerManager(session, app.connector.json_loads)
    yield Claimer(manager, await manager.register_worker_async("one", None, 60))
    await session.close_async()


def task_of(app: adjourn.App, name: str = "task", **options: Any) -> Any:
    @app.task(name=name, **options)
    def task(tenant: str = "t", number: int = 0) -> None:
        """Do nothing."""

    return task


async def test_no_more_jobs_of_a_key_run_than_its_limit_allows(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app, limits=[Limit(key="tenant", concurrency=2)])
    await task.batch_defer_async(*({"tenant": tenant} for tenant in "aaaaabbb"))
    await task.defer_async(tenant="a")
    jobs = await claimer.claim_async()
    assert Counter(job.task_kwargs["tenant"] for job in jobs) == {"a": 2, "b": 2}
    assert not await claimer.claim_async()
    while claimer.jobs:
        await claimer.end_async(claimer.jobs[0])
        running = Counter(job.task_kwargs["tenant"] for job in claimer.jobs)
        assert running["a"] <= 2
        assert running["b"] <= 2
    (counts,) = await app.job_manager.list_tasks_async()
    assert counts["succeeded"] == 9


async def test_a_place_is_handed_on_in_the_commit_that_ends_its_job(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app, limits=Limit(key="tenant", concurrency=1))
    ids = await task.batch_defer_async({}, {}, {})
    (first,) = await claimer.claim_async()
    ended = [Ended(first.id or 0, first.claim, "succeeded", None)]
    exchanged = await claimer.manager.exchange_async(claimer.worker_id, ended, limit=9, queues=None)
    assert [job.id for job in exchanged.jobs] == ids[1:2]


@pytest.mark.parametrize("scope", ["task", "queue"])
async def test_no_more_jobs_of_a_task_or_queue_run_than_its_limit_allows(
    app: adjourn.App, claimer: Claimer, scope: str
) -> None:
    task = task_of(app, limits=[Limit(concurrency=3)] if scope == "task" else (), queue="mail")
    if scope == "task":
        await app.job_manager.limits.declare_async({("task", "task"): Limit(concurrency=3)})
    else:
        await app.job_manager.set_limit_async(queue="mail", concurrency=3)
    await task.batch_defer_async(*[{}] * 7)
    for left in (7, 6, 5, 4, 3, 2, 1):
        await claimer.claim_async()
        assert len(claimer.jobs) == min(left, 3)
        await claimer.end_async(claimer.jobs[0])
    assert not claimer.jobs


async def test_jobs_that_were_stored_before_a_limit_was_set_keep_to_it(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app)
    await task.batch_defer_async(*[{}] * 20)
    await app.job_manager.set_limit_async(task="task", concurrency=2)
    await claimer.claim_async(5)
    assert len(claimer.jobs) == 2
    (state,) = await app.job_manager.list_limits_async()
    assert (state.scope, state.name, state.concurrency, state.held, state.waiting) == ("task", "task", 2, 2, 18)
    assert await app.job_manager.set_limit_async(task="task", concurrency=None)
    assert len(await claimer.claim_async()) == 18


async def test_a_raised_limit_lets_more_run_and_a_lowered_one_fewer_in_time(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app, limits=[Limit(key="tenant", concurrency=2)])
    await task.batch_defer_async(*[{}] * 20)
    await claimer.claim_async()
    assert await app.job_manager.set_limit_async(name="task", concurrency=5)
    await claimer.claim_async()
    assert len(claimer.jobs) == 5
    assert await app.job_manager.set_limit_async(name="task", concurrency=1)
    for job in list(claimer.jobs):
        await claimer.end_async(job)
    assert len(claimer.jobs) == 1
    assert await app.job_manager.reset_limit_async(name="task")
    assert not await app.job_manager.reset_limit_async(name="task")
    await claimer.claim_async()
    assert len(claimer.jobs) == 2


async def test_a_limit_that_is_set_again_counts_jobs_that_were_ready_meanwhile(
    app: adjourn.App, claimer: Claimer
) -> None:
    task = task_of(app, limits=[Limit(key="tenant", concurrency=1)])
    await task.batch_defer_async(*[{}] * 3)
    await app.job_manager.set_limit_async(name="task", concurrency=None)
    # Some had waited, and are ready now; the others never waited.
    await claimer.claim_async(0)
    await task.batch_defer_async(*[{}] * 3)
    await app.job_manager.set_limit_async(name="task", concurrency=2)
    for left in (6, 5, 4, 3, 2, 1):
        await claimer.claim_async()
        assert len(claimer.jobs) == min(left, 2)
        await claimer.end_async(claimer.jobs[0], limit=0)


async def test_under_a_lowered_limit_no_job_starts_until_so_few_are_left(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app, limits=[Limit(key="tenant", concurrency=4)])
    await task.batch_defer_async(*[{}] * 8)
    first = await claimer.claim_async()
    await app.job_manager.set_limit_async(name="task", concurrency=2)
    for job in first[:2]:
        assert not await claimer.end_async(job)
    for left in (2, 2, 2, 2, 1, 0):
        await claimer.end_async(claimer.jobs[0])
        assert len(claimer.jobs) == left


async def test_the_head_of_a_lock_does_not_wait_for_the_place_of_a_job_behind_it(
    app: adjourn.App, claimer: Claimer
) -> None:
    task = task_of(app, limits=Limit(key="tenant", concurrency=1))
    first = await task.configure(lock="l").defer_async()
    await claimer.claim_async(0)
    better = await task.configure(lock="l", priority=1).defer_async()
    await claimer.claim_async(0)
    (job,) = await claimer.claim_async()
    assert job.id == better
    (job,) = await claimer.end_async(job)
    assert job.id == first


async def test_a_job_waits_for_places_of_its_key_its_task_and_its_queue(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app, limits=[Limit(key="tenant", concurrency=2), Limit(concurrency=3)], queue="mail", lock="l")
    await app.job_manager.limits.declare_async({("task", "task"): Limit(concurrency=3)})
    await app.job_manager.set_limit_async(queue="mail", concurrency=2)
    without = task.configure(queue="mail")
    for number, tenant in enumerate("aaabbbcc"):
        await task.configure(lock=f"lock {number % 5}").defer_async(tenant=tenant)
    await without.defer_async(tenant="d")
    seen = 0
    while await claimer.claim_async() or claimer.jobs:
        running = Counter(job.task_kwargs["tenant"] for job in claimer.jobs)
        assert len(claimer.jobs) <= 2
        assert max(running.values()) <= 2
        assert max(Counter(job.lock for job in claimer.jobs).values()) == 1
        seen += 1
        await claimer.end_async(claimer.jobs[0], limit=0)
    assert seen == 9


async def test_jobs_do_not_wait_for_each_others_places_when_a_limit_is_set_while_they_wait(
    app: adjourn.App, claimer: Claimer
) -> None:
    task = task_of(app, limits=[Limit(key="tenant", concurrency=1)], queue="mail")
    await app.job_manager.set_limit_async(name="task", concurrency=None)
    await app.job_manager.set_limit_async(queue="mail", concurrency=1)
    await task.defer_async()
    await claimer.claim_async()
    # One waits for the queue, and has passed the limit of its key, as there was none. The next has a place of the key.
    await task.configure(priority=1).defer_async()
    await claimer.claim_async()
    await app.job_manager.set_limit_async(name="task", concurrency=1)
    await task.defer_async()
    for _ in range(3):
        await claimer.claim_async()
        assert len(claimer.jobs) == 1
        await claimer.end_async(claimer.jobs[0], limit=0)
    assert not await claimer.claim_async()


async def test_no_more_jobs_start_in_a_period_than_a_rate_allows(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app, limits=Limit(key="tenant", rate=Rate(3, 3600)))
    await task.batch_defer_async(*({"tenant": tenant} for tenant in "aaaabb"))
    jobs = await claimer.claim_async()
    assert Counter(job.task_kwargs["tenant"] for job in jobs) == {"a": 3, "b": 2}
    await claimer.end_async(*jobs)
    assert not claimer.jobs
    await app.job_manager.set_limit_async(name="task", rate=None)
    assert len(await claimer.claim_async()) == 1


async def test_a_job_whose_rate_has_room_again_takes_one_round_trip(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app, limits=Limit(rate=Rate(1, 0.1)))
    await app.job_manager.limits.declare_async({("task", "task"): Limit(rate=Rate(1, 0.1))})
    await task.batch_defer_async(*[{}] * 2)
    (first,) = await claimer.claim_async()
    assert not await claimer.end_async(first)

    async def claimed_async() -> bool:
        exchanged = await claimer.manager.exchange_async(claimer.worker_id, (), limit=9, queues=None)
        assert not exchanged.place
        assert exchanged.jobs or 0 < (exchanged.due_in or 0) <= 0.1
        return bool(exchanged.jobs)

    await until_async(claimed_async)


async def test_whoever_finds_no_room_under_a_rate_looks_again_when_there_is_some(
    app: adjourn.App, claimer: Claimer
) -> None:
    task = task_of(app, limits=Limit(key="tenant", rate=Rate(1, 3600)))
    await task.batch_defer_async(*[{}] * 2)
    await claimer.claim_async()
    assert not (await claimer.manager.place_async(200)).is_to_repeat


async def test_a_retry_under_a_rate_is_a_start(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app, limits=Limit(key="tenant", rate=Rate(2, 3600)))
    await task.defer_async()
    (job,) = await claimer.claim_async()
    (job,) = await claimer.claim_async(outcomes=(Retried(job.id or 0, job.claim),))
    assert not await claimer.claim_async(outcomes=(Retried(job.id or 0, job.claim),))


async def test_nothing_of_a_paused_queue_is_claimed_until_it_is_resumed(app: adjourn.App, claimer: Claimer) -> None:
    manager = app.job_manager
    ids = [await app.configure_task("any", queue=queue).defer_async() for queue in ("a", "b", "a", "b")]
    assert await manager.pause_queue_async("a")
    assert not await manager.pause_queue_async("a")
    assert [job.id for job in await claimer.claim_async()] == [ids[1], ids[3]]
    (pause,) = await manager.list_pauses_async()
    assert (pause.scope, pause.name) == ("queue", "a")
    assert await manager.resume_queue_async("a")
    assert not await manager.resume_queue_async("a")
    assert [job.id for job in await claimer.claim_async()] == [ids[0], ids[2]]
    assert await manager.list_pauses_async() == []


async def test_nothing_of_a_paused_task_is_claimed_until_it_is_resumed(app: adjourn.App, claimer: Claimer) -> None:
    manager = app.job_manager
    ids = [await app.configure_task(name).defer_async() for name in ("a", "b", "a", "b")]
    assert await manager.pause_task_async("a")
    assert [job.id for job in await claimer.claim_async()] == [ids[1], ids[3]]
    assert await manager.resume_task_async("a")
    assert [job.id for job in await claimer.claim_async()] == [ids[0], ids[2]]


@pytest.mark.parametrize("scope", ["queue", "task"])
async def test_a_pause_ends_by_itself_and_workers_know_when(app: adjourn.App, claimer: Claimer, scope: str) -> None:
    manager = app.job_manager
    ids = [await app.configure_task(name, queue=name).defer_async() for name in ("a", "b", "a")]
    pause = manager.pause_queue_async if scope == "queue" else manager.pause_task_async
    assert await pause("a", seconds=1.5)
    (told,) = await manager.list_pauses_async()
    assert told.ends_at is not None
    assert 1.4 < (told.ends_at - told.paused_at).total_seconds() < 1.6
    assert [job.id for job in await claimer.claim_async()] == [ids[1]]
    await claimer.manager.place_async(200)
    exchanged = await claimer.manager.exchange_async(claimer.worker_id, (), limit=10, queues=None)
    assert not exchanged.jobs
    assert exchanged.due_in is not None
    assert 0 < exchanged.due_in <= 1.5
    # It is over for those who look, too, although no worker does anything about it meanwhile.
    await until_async(lambda: paused_async(app, []))
    assert [job.id for job in await app.job_manager.list_jobs_async(waits_for="pause")] == []
    assert [job.id for job in await claimer.claim_async()] == [ids[0], ids[2]]
    assert await pause("a")


async def paused_async(app: adjourn.App, names: list[str]) -> bool:
    return [pause.name for pause in await app.job_manager.list_pauses_async()] == names


async def test_a_pause_gets_another_end(app: adjourn.App, claimer: Claimer) -> None:
    manager = app.job_manager
    job_id = await app.configure_task("any", queue="a").defer_async()
    assert await manager.pause_queue_async("a", seconds=0.2)
    assert await manager.pause_queue_async("a")
    (told,) = await manager.list_pauses_async()
    assert told.ends_at is None
    assert not await manager.pause_queue_async("a")
    until = told.paused_at + datetime.timedelta(hours=1)
    assert await manager.pause_queue_async("a", until=until)
    assert not await manager.pause_queue_async("a", until=until)
    (again,) = await manager.list_pauses_async()
    assert (again.ends_at, again.paused_at) == (until, told.paused_at)
    assert not await claimer.claim_async()
    assert await manager.pause_queue_async("a", until=told.paused_at)
    assert [job.id for job in await claimer.claim_async()] == [job_id]


async def test_while_something_else_is_paused_the_end_of_a_pause_sets_no_job_of_that_free(
    app: adjourn.App, claimer: Claimer
) -> None:
    manager = app.job_manager
    one = await app.configure_task("t", queue="a").defer_async()
    two = await app.configure_task("u", queue="a").defer_async()
    await manager.pause_task_async("t")
    await manager.pause_queue_async("a", seconds=0.3)
    assert not await claimer.claim_async()
    await until_async(lambda: paused_async(app, ["t"]))
    assert [job.id for job in await claimer.claim_async()] == [two]
    await manager.resume_task_async("t")
    assert [job.id for job in await claimer.claim_async()] == [one]


@pytest.mark.parametrize(
    "option", [{"seconds": 0}, {"seconds": "1"}, {"reason": ""}, {"reason": "x" * 1001}, {"reason": "\0"}]
)
async def test_what_is_said_of_a_pause_is_refused_by_name(app: adjourn.App, option: dict[str, Any]) -> None:
    (name,) = option
    for pause in (app.job_manager.pause_queue_async, app.job_manager.pause_task_async):
        with pytest.raises(exceptions.InvalidOption, match=rf"^{name}="):
            await pause("a", **option)
    with pytest.raises(exceptions.InvalidOption) as caught:
        await app.job_manager.pause_queue_async("a", reason="x" * 5000)
    assert len(str(caught.value)) < 300
    naive = datetime.datetime(2030, 1, 1)
    with pytest.raises(exceptions.InvalidOption, match=r"^until="):
        await app.job_manager.pause_queue_async("a", until=naive)
    with pytest.raises(exceptions.InvalidOption, match="exclude each other"):
        await app.job_manager.pause_queue_async("a", seconds=1, until=naive.replace(tzinfo=datetime.UTC))
    assert await app.job_manager.list_pauses_async() == []


async def test_a_paused_queue_does_not_hold_places_that_jobs_of_other_queues_wait_for(
    app: adjourn.App, claimer: Claimer
) -> None:
    task = task_of(app, limits=Limit(key="tenant", concurrency=1))
    for queue in ("a", "a", "b"):
        await task.configure(queue=queue).defer_async()
    await app.job_manager.pause_queue_async("a")
    (job,) = await claimer.claim_async()
    assert job.queue == "b"
    assert not await claimer.end_async(job)
    await app.job_manager.resume_queue_async("a")
    (job,) = await claimer.claim_async()
    assert job.queue == "a"


async def test_a_job_that_is_run_again_by_hand_keeps_to_its_limit(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app, limits=Limit(key="tenant", concurrency=1))
    first, _ = await task.batch_defer_async({}, {})
    (job,) = await claimer.claim_async()
    await claimer.end_async(job)
    await app.job_manager.retry_job_by_id_async(first)
    assert not await claimer.claim_async()
    (job,) = claimer.jobs
    (again,) = await claimer.end_async(job)
    assert again.id == first


@pytest.mark.parametrize("how", ["cancelled", "deleted", "handed back", "retried elsewhere", "retried later"])
async def test_whatever_moves_a_job_gives_its_place_to_the_next(app: adjourn.App, claimer: Claimer, how: str) -> None:
    manager = app.job_manager
    task = task_of(app, limits=Limit(key="tenant", concurrency=1))
    first, second = await task.batch_defer_async({}, {})
    if how in ("cancelled", "deleted"):
        # It has its place, and nobody has claimed it.
        await claimer.manager.place_async(9)
        await manager.cancel_job_by_id_async(first, delete_job=how == "deleted")
    else:
        (job,) = await claimer.claim_async()
        claimer.jobs.clear()
        if how == "handed back":
            (job,) = await claimer.claim_async(outcomes=(HandedBack(job.id or 0, job.claim),))
            assert job.id == first
            return
        later = await manager.get_time_async() + datetime.timedelta(hours=1)
        is_later = how == "retried later"
        await manager.retry_job_by_id_async(
            first, retry_at=later if is_later else None, queue=None if is_later else "elsewhere"
        )
    (job,) = await claimer.claim_async()
    assert job.id in ((first, second) if how == "retried elsewhere" else (second,))


@pytest.mark.parametrize("is_callers", [False, True])
async def test_unique_jobs_and_jobs_of_workflows_keep_to_the_limit_of_their_key(
    app: adjourn.App, claimer: Claimer, is_callers: bool, database: str
) -> None:
    task = task_of(app, limits=Limit(key="tenant", concurrency=1))
    in_postgres = not isinstance(app.connector, InMemoryConnector)
    async with await psycopg.AsyncConnection.connect(database) as connection:
        where = connection if is_callers and in_postgres else None
        same = task.configure(unique=Unique(on_conflict="skip"))
        jobs = [
            same.make_new_job(tenant=tenant, number=number)
            for tenant, number in (("a", 1), ("a", 1), ("b", 1), ("a", 2))
        ]
        deferred = await app.job_manager.defer_jobs_async(jobs, where)
        assert [each.outcome for each in deferred] == ["stored", "exists", "stored", "stored"]
        flow = app.workflow()
        first = flow.map(task, [{"tenant": "a"}, {"tenant": "c"}, {"tenant": "c"}])
        flow.add(task, task_kwargs={"tenant": "c"}, depends_on=first)
        await flow.defer_async(where)
    ran = []
    while await claimer.claim_async() or claimer.jobs:
        running = Counter(job.task_kwargs["tenant"] for job in claimer.jobs)
        assert max(running.values()) == 1
        ran.append(claimer.jobs[0].task_kwargs["tenant"])
        await claimer.end_async(claimer.jobs[0], limit=0)
    assert Counter(ran) == {"a": 3, "b": 1, "c": 3}
    (limit,) = await app.job_manager.list_limits_async()
    assert (limit.name, limit.concurrency, limit.held, limit.waiting) == ("task", 1, 0, 0)


async def test_a_job_that_is_replaced_gives_up_its_places(app: adjourn.App, claimer: Claimer) -> None:
    task = task_of(app, limits=Limit(key="tenant", concurrency=1))
    for queue in ("a", "b"):
        await app.job_manager.set_limit_async(queue=queue, concurrency=1)
    replacing = Unique(key="k", on_conflict="replace")
    await task.configure(queue="b").defer_async(tenant="b")
    first = await task.configure(queue="a", unique=replacing).defer_async(tenant="a")
    await claimer.claim_async(0)
    # Both have all their places, and nobody has claimed them.
    other = await task.configure(queue="a").defer_async(tenant="a")
    assert await task.configure(queue="b", unique=replacing).defer_async(tenant="b") == first
    jobs = await claimer.claim_async()
    assert {job.id for job in jobs} == {first - 1, other}
    assert [job.id for job in await claimer.end_async(*jobs)] == [first]


async def test_a_limit_is_refused_where_it_is_set(app: adjourn.App) -> None:
    manager = app.job_manager
    with pytest.raises(exceptions.InvalidOption, match="exactly one"):
        await manager.set_limit_async(queue="a", task="b", concurrency=1)
    with pytest.raises(exceptions.InvalidOption, match="exactly one"):
        await manager.reset_limit_async()
    with pytest.raises(exceptions.InvalidOption, match="concurrency, rate or both"):
        await manager.set_limit_async(queue="a")
    with pytest.raises(exceptions.InvalidOption, match="concurrency=0"):
        await manager.set_limit_async(queue="a", concurrency=0)
    assert await manager.list_limits_async() == []


async def test_jobs_whose_key_is_refused_are_not_stored(app: adjourn.App) -> None:
    task = task_of(app, limits=Limit(key="tenant", concurrency=1))
    for value in ("", "x" * 256, None):
        with pytest.raises(exceptions.InvalidOption, match="limit_key"):
            await task.batch_defer_async({"tenant": "a"}, {"tenant": value})
    with pytest.raises(exceptions.InvalidOption, match="limit_key"):
        await task.configure(limit_key="").defer_async()
    assert await task.configure(limit_key="k").defer_async()
    (counts,) = await app.job_manager.list_tasks_async()
    assert counts["todo"] == 1


async def test_a_limit_that_nobody_has_declared_is_set_with_a_warning(app: adjourn.App) -> None:
    @app.task(name="thumbnail", limits=[adjourn.Limit(key="tenant", concurrency=5, name="tenants")])
    def thumbnail(tenant: str) -> None: ...

    with pytest.warns(UserWarning, match="name='tennants': no program has declared .*; did you mean 'tenants'?"):
        assert await app.job_manager.set_limit_async(name="tennants", concurrency=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await app.job_manager.set_limit_async(name="tenants", concurrency=1)
        await app.job_manager.set_limit_async(name="tennants", concurrency=2)
        # Another program has declared it.
        await adjourn.App(connector=app.connector).job_manager.set_limit_async(name="tenants", concurrency=3)
        await app.job_manager.set_limit_async(queue="not there yet", concurrency=2)
