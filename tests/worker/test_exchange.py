"""Claiming jobs and storing outcomes."""

from __future__ import annotations

import asyncio
import datetime
import threading
import time
from collections import Counter

import psycopg
import pytest

import adjourn
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn.exceptions import AlreadyEnqueued
from adjourn.types import Statement
from support.bench import Bench
from support.sessions import BLOCKED
from support.waiting import until_async

pytestmark = pytest.mark.anyio


async def test_jobs_run_by_priority_and_then_in_the_order_they_were_deferred(app: adjourn.App, bench: Bench) -> None:
    order = []

    @app.task
    async def note(name: str) -> None:
        order.append(name)

    for name, priority in [("a", 0), ("b", 5), ("c", -5), ("d", 5), ("e", 0)]:
        await note.configure(priority=priority).defer_async(name=name)
    await bench.drain()
    assert order == ["b", "d", "a", "e", "c"]


async def test_a_worker_serves_only_its_queues(app: adjourn.App, bench: Bench) -> None:
    @app.task
    async def work() -> None: ...

    ids = {queue: await work.configure(queue=queue).defer_async() for queue in ("one", "two", "three")}
    await bench.drain(queues=["one", "three"])
    assert {queue: await bench.status(job_id) for queue, job_id in ids.items()} == {
        "one": "succeeded",
        "two": "todo",
        "three": "succeeded",
    }


async def test_thousands_of_jobs_each_run_once(app: adjourn.App, bench: Bench) -> None:
    ran: Counter[int] = Counter()

    @app.task
    async def count(n: int) -> None:
        ran[n] += 1

    await count.batch_defer_async(*({"n": n} for n in range(3000)))
    await asyncio.gather(bench.drain(concurrency=50), bench.drain(concurrency=1), bench.drain(concurrency=7))
    assert ran == Counter(range(3000))
    (tasks,) = await app.job_manager.list_tasks_async()
    assert tasks["succeeded"] == tasks["jobs_count"] == 3000


async def test_an_idle_worker_hears_of_a_job_at_once(app: adjourn.App, bench: Bench) -> None:
    ran = asyncio.Event()

    @app.task
    async def work() -> None:
        ran.set()

    async with bench.working(fetch_job_polling_interval=600):
        await asyncio.sleep(0.5)
        await work.defer_async()
        async with asyncio.timeout(10):
            await ran.wait()


async def test_a_worker_that_does_not_listen_polls(app: adjourn.App, bench: Bench) -> None:
    @app.task
    async def work() -> None: ...

    async with bench.working(listen_notify=False, fetch_job_polling_interval=0.1):
        await asyncio.sleep(0.5)
        await bench.ended(await work.defer_async())


async def test_a_job_deferred_in_a_long_transaction_is_heard_of_when_that_commits(
    app: adjourn.App, bench: Bench, database: str
) -> None:
    @app.task
    async def work() -> None: ...

    async with bench.working(fetch_job_polling_interval=600):
        async with await psycopg.AsyncConnection.connect(database) as connection:
            job_id = await work.configure(connection=connection).defer_async()
            await asyncio.sleep(1)
        await bench.ended(job_id)


async def test_a_scheduled_job_runs_when_it_is_due_and_not_before(app: adjourn.App, bench: Bench) -> None:
    ran = []

    @app.task
    async def work() -> None:
        ran.append(datetime.datetime.now(datetime.UTC))

    due = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)
    async with bench.working(fetch_job_polling_interval=600):
        await asyncio.sleep(0.3)
        job_id = await work.configure(schedule_at=due).defer_async()
        assert await bench.status(job_id) == "todo"
        await bench.ended(job_id)
    assert ran[0] >= due


async def test_a_job_scheduled_in_the_past_runs_at_once(app: adjourn.App, bench: Bench) -> None:
    @app.task
    async def work() -> None: ...

    job_id = await work.configure(schedule_in={"days": -1}).defer_async()
    await bench.drain()
    assert await bench.status(job_id) == "succeeded"


async def test_of_the_jobs_with_one_lock_one_runs_at_a_time_in_order(app: adjourn.App, bench: Bench) -> None:
    order: list[int] = []
    running: Counter[str] = Counter()

    @app.task
    async def work(n: int, lock: str) -> None:
        running[lock] += 1
        assert running[lock] == 1
        await asyncio.sleep(0.001)
        running[lock] -= 1
        order.append(n)

    for n in range(60):
        await work.configure(lock=f"lock {n % 3}").defer_async(n=n, lock=f"lock {n % 3}")
    await asyncio.gather(bench.drain(concurrency=10), bench.drain(concurrency=10))
    assert sorted(order) == list(range(60))
    for remainder in range(3):
        own = [n for n in order if n % 3 == remainder]
        assert own == sorted(own)
    assert {job.status for job in await app.job_manager.list_jobs_async()} == {"succeeded"}


async def test_within_a_lock_higher_priorities_go_first(app: adjourn.App, bench: Bench) -> None:
    order = []

    @app.task(lock="one")
    async def note(name: str) -> None:
        order.append(name)

    for name, priority in [("a", 0), ("b", 5), ("c", -5), ("d", 5)]:
        await note.configure(priority=priority).defer_async(name=name)
    await bench.drain(concurrency=5)
    assert order == ["b", "d", "a", "c"]


async def test_a_job_waiting_for_its_retry_does_not_block_its_lock(app: adjourn.App, bench: Bench) -> None:
    @app.task(retry=adjourn.RetryStrategy(wait=3600), lock="one")
    async def work(fail: bool) -> None:
        if fail:
            raise ValueError

    first = await work.defer_async(fail=True)
    second = await work.defer_async(fail=False)
    await bench.drain()
    assert await bench.status(first) == "todo"
    assert await bench.status(second) == "succeeded"


async def test_a_scheduled_job_does_not_block_its_lock(app: adjourn.App, bench: Bench) -> None:
    @app.task(lock="one")
    async def work() -> None: ...

    later = await work.configure(schedule_in={"hours": 1}).defer_async()
    now = await work.defer_async()
    await bench.drain()
    assert [await bench.status(later), await bench.status(now)] == ["todo", "succeeded"]


async def test_a_job_retried_at_once_keeps_its_place_in_its_lock(app: adjourn.App, bench: Bench) -> None:
    order = []

    @app.task(retry=1, lock="one", pass_context=True)
    async def work(context: adjourn.JobContext, n: int) -> None:
        order.append((n, context.job.attempts))
        if n == 0 and context.job.attempts == 0:
            raise ValueError

    await work.batch_defer_async({"n": 0}, {"n": 1})
    await bench.drain(concurrency=4)
    assert order == [(0, 0), (0, 1), (1, 0)]


async def test_of_the_jobs_with_one_queueing_lock_one_waits(app: adjourn.App, bench: Bench) -> None:
    @app.task(queueing_lock="one")
    async def work() -> None: ...

    first = await work.defer_async()
    with pytest.raises(AlreadyEnqueued, match="queueing lock 'one'"):
        await work.defer_async()
    await bench.drain()
    second = await work.defer_async()
    assert [await bench.status(first), await bench.status(second)] == ["succeeded", "todo"]
    assert len(await app.job_manager.list_jobs_async()) == 2


async def test_a_job_can_be_retried_while_its_queueing_lock_is_taken(app: adjourn.App, bench: Bench) -> None:
    others: list[int] = []

    @app.task(queueing_lock="one", retry=1, pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        if not others:
            others.append(await context.task.defer_async())
            raise ValueError

    first = await work.defer_async()
    await bench.drain()
    jobs = [await bench.job(job_id) for job_id in (first, *others)]
    assert [(job.status, job.attempts) for job in jobs] == [("succeeded", 2), ("succeeded", 1)]


async def test_cancelled_jobs_do_not_run_and_free_their_lock(app: adjourn.App, bench: Bench) -> None:
    ran = []

    @app.task(lock="one")
    async def work(n: int) -> None:
        ran.append(n)

    ids = await work.batch_defer_async({"n": 0}, {"n": 1}, {"n": 2})
    assert await app.job_manager.cancel_job_by_id_async(ids[0]) is True
    assert await app.job_manager.cancel_job_by_id_async(ids[0]) is False
    await bench.drain()
    assert ran == [1, 2]
    assert await bench.status(ids[0]) == "cancelled"


async def test_an_async_job_that_runs_is_aborted_on_request(app: adjourn.App, bench: Bench) -> None:
    begun = asyncio.Event()

    @app.task(retry=True)
    async def endless() -> None:
        begun.set()
        await asyncio.sleep(600)

    async with bench.working():
        job_id = await endless.defer_async()
        async with asyncio.timeout(10):
            await begun.wait()
        assert await app.job_manager.cancel_job_by_id_async(job_id) is False
        assert await app.job_manager.cancel_job_by_id_async(job_id, abort=True) is True
        job = await bench.ended(job_id, "aborted")
        assert job.abort_requested


async def test_a_sync_job_that_runs_can_see_that_it_is_to_end(app: adjourn.App, bench: Bench) -> None:
    begun = threading.Event()

    @app.task(pass_context=True)
    def polite(context: adjourn.JobContext) -> None:
        begun.set()
        while not context.should_abort():
            time.sleep(0.01)
        raise adjourn.exceptions.JobAborted

    async with bench.working():
        job_id = await polite.defer_async()
        assert await asyncio.to_thread(begun.wait, 10)
        assert await app.job_manager.cancel_job_by_id_async(job_id, abort=True)
        await bench.ended(job_id, "aborted")


async def test_a_finished_job_can_be_run_again_by_hand(app: adjourn.App, bench: Bench) -> None:
    fails = True

    @app.task
    async def work() -> None:
        if fails:
            raise ValueError

    job_id = await work.defer_async()
    await bench.drain()
    assert await bench.status(job_id) == "failed"
    fails = False
    await app.job_manager.retry_job_by_id_async(job_id)
    await bench.drain()
    job = await bench.job(job_id)
    assert (job.status, job.attempts, len(job.errors)) == ("succeeded", 2, 1)


async def test_a_short_claim_ahead_is_handed_back_when_a_long_job_is_in_the_way(app: adjourn.App, bench: Bench) -> None:
    release = threading.Event()

    @app.task
    def work(long: bool) -> None:
        if long:
            release.wait(20)

    # Short bodies teach the first worker to claim ahead; then one is long, and the rest is not to wait for it.
    await work.batch_defer_async(*[{"long": False}] * 300, {"long": True}, *[{"long": False}] * 20)
    async with bench.working(name="first", fetch_job_polling_interval=0.1):

        async def long_one_runs() -> bool:
            running = await app.job_manager.list_jobs_async(status="doing")
            return any(job.task_kwargs["long"] for job in running)

        await bench.until(long_one_runs)
        async with bench.working(name="second", fetch_job_polling_interval=0.1):

            async def rest_is_done() -> bool:
                (counts,) = await app.job_manager.list_tasks_async()
                return bool(counts["succeeded"] == 320)

            await bench.until(rest_is_done)
        release.set()


async def test_a_job_placed_by_another_worker_during_a_claim_is_claimed_or_announced(
    app: adjourn.App, database: str
) -> None:
    job_id = await app.configure_task("any", lock="l").defer_async()
    worker_id = await app.job_manager.register_worker_async()
    sessions = [await app.connector.get_async_connector().session_async() for _ in range(2)]
    one, other = (AsyncWorkerManager(session, app.connector.json_loads) for session in sessions)
    with psycopg.connect(database) as barrier:
        # The claim finds nothing, and waits where it notes that its worker wants to be told of new jobs.
        barrier.execute("SELECT FROM adjourn.adjourn_workers FOR SHARE")
        claiming = asyncio.create_task(one.exchange_async(worker_id, (), limit=1, queues=None))
        await until_async(lambda: len(barrier.execute(BLOCKED).fetchall()) == 1)
        assert (await other.place_async(10)).moved
    exchanged = await claiming
    assert exchanged.place or [job.id for job in exchanged.jobs] == [job_id]
    for session in sessions:
        await session.close_async()


async def test_a_worker_of_many_queues_does_not_look_into_each(app: adjourn.App) -> None:
    job_id = await app.configure_task("any", queue="q7").defer_async()
    session = await app.connector.session_async()
    manager = AsyncWorkerManager(session, app.connector.json_loads)
    worker = await manager.register_worker_async("one", None, 60)
    await session.execute_async(Statement("begin", "BEGIN"))
    exchanged = await manager.exchange_async(worker, (), limit=5, queues=[f"q{n}" for n in range(10_000)])
    looks = "SELECT idx_scan FROM pg_stat_xact_user_tables WHERE relid = 'adjourn.adjourn_jobs'::regclass"
    (row,) = await session.execute_async(Statement("looks", looks))
    await session.execute_async(Statement("rollback", "ROLLBACK"))
    await session.close_async()
    assert [each.id for each in exchanged.claimed] == [job_id]
    assert row["idx_scan"] < 100


@pytest.mark.parametrize("queues_with_jobs", [3, 150, 1500])
async def test_a_worker_of_many_queues_claims_the_best_of_their_jobs(
    app: adjourn.App, observer: psycopg.Connection, queues_with_jobs: int
) -> None:
    # Each queue has two jobs, and every third queue is served. Among the first jobs of all are hardly any of these.
    observer.execute(
        "insert into adjourn.adjourn_jobs (queue, task_name, priority, args, hold) "
        "select 'queue ' || q, 'any', case when q %% 3 = 0 then p - 1 else p end, '{}', 0 "
        "from generate_series(0, %s) q, generate_series(0, 1) p",
        [queues_with_jobs - 1],
    )
    served = [f"queue {n}" for n in range(0, 6000, 3)] + ['odd "\\ {name},\n\t', "NULL", ""]
    observer.execute(
        "update adjourn.adjourn_jobs set queue = %s where queue = 'queue 0' and priority = 0", [served[-3]]
    )
    expected = observer.execute(
        "select id from adjourn.adjourn_jobs where queue = any(%s) order by priority desc, id", [served]
    ).fetchall()
    manager = AsyncWorkerManager(app.connector.get_async_connector(), app.connector.json_loads)
    worker_id = await manager.register_worker_async("many", served, 600)
    claimed: list[int | None] = []
    while jobs := (await manager.exchange_async(worker_id, (), limit=90, queues=served)).jobs:
        claimed += [job.id for job in jobs]
    assert claimed == [id_ for (id_,) in expected]
