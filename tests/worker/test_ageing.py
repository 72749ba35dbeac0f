"""Jobs of low priority that have waited for long; in memory as in Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import psycopg
import pytest

import adjourn
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.outcomes import Ended, HandedBack, Retried
from adjourn.exceptions import InvalidOption
from adjourn.testing import InMemoryConnector
from support.bench import Bench

pytestmark = pytest.mark.anyio

MINUTE = 60.0


@pytest.fixture
def app(app_in_both: adjourn.App) -> adjourn.App:
    return app_in_both


@pytest.fixture
async def manager(app: adjourn.App) -> AsyncIterator[AsyncWorkerManager]:
    session = await app.connector.session_async()
    yield AsyncWorkerManager(session, app.connector.json_loads)
    await session.close_async()


async def defer(app: adjourn.App, *priorities: int, queue: str = "default") -> list[int]:
    return [await app.configure_task("any", priority=each, queue=queue).defer_async() for each in priorities]


async def priorities(app: adjourn.App, ids: list[int]) -> list[int]:
    found = {job.id: job.priority for job in await app.job_manager.list_jobs_async()}
    return [found[id_] for id_ in ids]


async def test_a_job_gains_a_priority_for_each_time_that_it_waits_and_no_more_than_others_have(
    app: adjourn.App, manager: AsyncWorkerManager, pass_time: Callable[[float], None]
) -> None:
    ids = await defer(app, 0, -10, 3)
    assert await manager.age_async(MINUTE, None, 100) == 0
    pass_time(2 * MINUTE + 1)
    assert await manager.age_async(MINUTE, None, 100) == 2
    assert await priorities(app, ids) == [2, -8, 3]
    assert await manager.age_async(MINUTE, None, 100) == 0
    pass_time(5 * MINUTE)
    assert await manager.age_async(MINUTE, None, 100) == 2
    assert await priorities(app, ids) == [3, -3, 3]
    # One that came later, and is higher: what was waited in the meantime counts.
    ids += await defer(app, 100)
    assert await manager.age_async(MINUTE, None, 100) == 2
    assert await priorities(app, ids) == [7, -3, 10, 100]


async def test_jobs_of_one_priority_stay_as_they_are(
    app: adjourn.App, manager: AsyncWorkerManager, pass_time: Callable[[float], None]
) -> None:
    ids = await defer(app, 5, 5)
    pass_time(100 * MINUTE)
    assert await manager.age_async(MINUTE, None, 100) == 0
    assert await priorities(app, ids) == [5, 5]


async def test_a_unique_job_that_is_replaced_gets_by_waiting_what_any_other_gets(
    app: adjourn.App, manager: AsyncWorkerManager, pass_time: Callable[[float], None]
) -> None:
    rule = adjourn.Unique(key="k", over=["todo"], on_conflict="replace")
    later = app.configure_task("any", unique=rule, priority=0, schedule_in={"minutes": 1})
    job_id = await app.configure_task("any", unique=rule, priority=0).defer_async()
    await defer(app, 50)
    pass_time(10 * MINUTE + 1)
    assert await manager.age_async(MINUTE, None, 100) == 1
    assert await later.defer_async() == job_id
    assert await priorities(app, [job_id]) == [0]
    pass_time(3 * MINUTE + 1)
    await manager.place_async(100)
    await manager.exchange_async(1, [], limit=0, queues=None)
    assert await manager.age_async(MINUTE, None, 100) == 1
    assert await priorities(app, [job_id]) == [2]


async def claim(manager: AsyncWorkerManager) -> tuple[int, dict[int, int]]:
    """Have a worker of its own claim all ready jobs, and return its id and the claims by the ids of the jobs."""
    worker = await manager.register_worker_async("simulated", None, 600)
    exchanged = await manager.exchange_async(worker, [], limit=10, queues=None)
    return worker, {job.id or 0: job.claim for job in exchanged.jobs}


async def test_a_job_that_is_run_again_by_hand_waits_anew(
    app: adjourn.App, manager: AsyncWorkerManager, pass_time: Callable[[float], None]
) -> None:
    (job_id,) = await defer(app, 0)
    await defer(app, 50)
    pass_time(10 * MINUTE + 1)
    await manager.age_async(MINUTE, None, 100)
    await app.job_manager.cancel_job_by_id_async(job_id)
    await app.job_manager.retry_job_by_id_async(job_id, priority=1)
    assert await manager.age_async(MINUTE, None, 100) == 0
    pass_time(2 * MINUTE + 1)
    assert await manager.age_async(MINUTE, None, 100) == 1
    assert await priorities(app, [job_id]) == [3]


async def test_a_run_and_the_time_until_a_retry_are_no_waiting(
    app: adjourn.App, manager: AsyncWorkerManager, pass_time: Callable[[float], None]
) -> None:
    ids = await defer(app, 0, 0, 0)
    pass_time(30 * MINUTE)
    worker, claims = await claim(manager)
    pass_time(60 * MINUTE)
    await defer(app, 50)
    now, later, lost = ids
    outcomes = [Retried(now, claims[now]), Retried(later, claims[later], retry_in=10 * MINUTE)]
    await manager.exchange_async(worker, outcomes, limit=0, queues=None)
    await manager.unregister_worker_async(worker)
    assert (await manager.rescue_async(5, 0.0)).counts == (1, 0)
    assert await manager.age_async(MINUTE, None, 100) == 0
    pass_time(3 * MINUTE + 1)
    assert await manager.age_async(MINUTE, None, 100) == 2
    assert await priorities(app, ids) == [3, 0, 3]
    pass_time(9 * MINUTE)
    await manager.exchange_async(1, [], limit=0, queues=None)
    assert await manager.age_async(MINUTE, None, 100) == 3
    assert await priorities(app, [now, later, lost]) == [12, 2, 12]


async def test_a_job_whose_retry_gives_it_a_priority_ages_from_that_one(
    app: adjourn.App, manager: AsyncWorkerManager, pass_time: Callable[[float], None]
) -> None:
    ids = [*await defer(app, 0), *await defer(app, 50)]
    pass_time(30 * MINUTE)
    assert await manager.age_async(MINUTE, None, 100) == 1
    worker, claims = await claim(manager)
    retried, back = Retried(ids[0], claims[ids[0]], priority=10), HandedBack(ids[1], claims[ids[1]])
    await manager.exchange_async(worker, [retried, back], limit=0, queues=None)
    pass_time(3 * MINUTE + 1)
    assert await manager.age_async(MINUTE, None, 100) == 1
    assert await priorities(app, ids) == [13, 50]


async def test_a_job_that_its_worker_has_not_begun_has_waited_all_the_time(
    app: adjourn.App, manager: AsyncWorkerManager, pass_time: Callable[[float], None]
) -> None:
    (job_id,) = await defer(app, 0)
    worker, claims = await claim(manager)
    await defer(app, 50)
    pass_time(3 * MINUTE + 1)
    await manager.exchange_async(worker, [HandedBack(job_id, claims[job_id])], limit=0, queues=None)
    assert await manager.age_async(MINUTE, None, 100) == 1
    assert await priorities(app, [job_id]) == [3]


async def test_what_a_job_waited_behind_its_lock_is_no_waiting_for_a_worker(
    app: adjourn.App, manager: AsyncWorkerManager, pass_time: Callable[[float], None]
) -> None:
    head, behind = [await app.configure_task("any", lock="a lock").defer_async() for _ in range(2)]
    await manager.place_async(100)
    worker, claims = await claim(manager)
    pass_time(30 * MINUTE)
    await defer(app, 50)
    await manager.exchange_async(worker, [Ended(head, claims[head], "succeeded")], limit=0, queues=None)
    pass_time(2 * MINUTE + 1)
    assert await manager.age_async(MINUTE, None, 100) == 1
    assert await priorities(app, [behind]) == [2]


async def test_each_named_queue_is_for_itself(
    app: adjourn.App, manager: AsyncWorkerManager, pass_time: Callable[[float], None]
) -> None:
    ids = await defer(app, 0, 9, queue="a") + await defer(app, 0, 1, queue="b") + await defer(app, 0, 9, queue="c")
    pass_time(5 * MINUTE + 1)
    assert await manager.age_async(MINUTE, ["a", "b", "none"], 100) == 2
    assert await priorities(app, ids) == [5, 9, 1, 1, 0, 9]


async def test_only_the_first_jobs_of_a_priority_are_looked_at(
    app: adjourn.App, manager: AsyncWorkerManager, pass_time: Callable[[float], None]
) -> None:
    ids = await defer(app, 0, 0, 0, 9)
    pass_time(MINUTE + 1)
    assert [await manager.age_async(MINUTE, None, 2) for _ in range(3)] == [2, 1, 0]
    assert await priorities(app, ids) == [1, 1, 1, 9]


async def test_a_job_that_is_not_ready_does_not_age(
    app: adjourn.App, manager: AsyncWorkerManager, pass_time: Callable[[float], None]
) -> None:
    later = await app.configure_task("any", schedule_in={"hours": 9}).defer_async()
    behind = [await app.configure_task("any", lock="a lock").defer_async() for _ in range(2)]
    await manager.place_async(100)
    (high,) = await defer(app, 9)
    pass_time(2 * MINUTE + 1)
    assert await manager.age_async(MINUTE, None, 100) == 1
    assert await priorities(app, [later, *behind, high]) == [0, 2, 0, 9]


async def test_a_worker_that_is_asked_to_raises_priorities(bench: Bench) -> None:
    order: list[int] = []

    @bench.app.task(name="note")
    async def note(number: int) -> None:
        order.append(number)

    await note.configure(priority=-3).defer_async(number=1)
    await note.configure(priority=0).batch_defer_async({"number": 2}, {"number": 3})
    await bench.drain(concurrency=1, priority_ageing=1e-6)
    assert order == [1, 2, 3]
    await note.configure(priority=-3).defer_async(number=4)
    await note.defer_async(number=5)
    await bench.drain(concurrency=1)
    assert order[3:] == [5, 4]


def test_a_time_that_is_none_is_refused() -> None:
    app = adjourn.App(connector=InMemoryConnector())
    with pytest.raises(InvalidOption, match="priority_ageing"):
        adjourn.Worker(app, priority_ageing=0)


async def test_a_job_that_another_transaction_has_locked_is_left_for_the_next_time(
    database: str, observer: psycopg.Connection
) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    async with app.open_async():
        session = await app.connector.session_async()
        manager = AsyncWorkerManager(session, app.connector.json_loads)
        ids = await defer(app, 0, 0, 9)
        observer.execute("update adjourn.adjourn_jobs set enqueued_at = enqueued_at - interval '61 s'")
        with observer.transaction():
            observer.execute("select from adjourn.adjourn_jobs where id = %s for update", [ids[0]])
            assert await manager.age_async(MINUTE, None, 100) == 1
        assert await manager.age_async(MINUTE, None, 100) == 1
        assert await priorities(app, ids) == [1, 1, 9]
        await session.close_async()
