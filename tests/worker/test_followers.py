"""A worker claims some of the jobs behind the head of a lock with it, and runs them one after the other."""

from __future__ import annotations

import asyncio

import adjourn
from support.bench import Bench

WARM = 100
"""After so many short jobs a worker believes that jobs are short."""


async def warm_up(app: adjourn.App, bench: Bench) -> None:
    """Have the worker know that jobs are short, and that some have locks."""

    async def short() -> None:
        pass

    task = app.tasks.get("short") or app.task(name="short")(short)
    last = 0
    for number in range(WARM):
        last = await task.configure(lock=f"warm {number}").defer_async()
    await bench.ended(last)


async def test_jobs_behind_the_head_of_a_lock_are_claimed_with_it(app: adjourn.App, bench: Bench) -> None:
    ran: list[int] = []
    running = 0

    @app.task(lock="one")
    async def work(number: int) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        ran.append(number)
        running -= 1

    async with bench.working():
        await warm_up(app, bench)
        ids = await work.batch_defer_async(*({"number": number} for number in range(50)))
        await bench.ended(ids[-1])
    assert ran == list(range(50))
    jobs = [await bench.job(job_id) for job_id in ids]
    assert {job.claim for job in jobs} == {1}
    assert len({job.started_at for job in jobs}) < 25, "most were claimed one by one"


async def test_a_job_that_is_retried_goes_before_those_behind_it(app: adjourn.App, bench: Bench) -> None:
    ran: list[tuple[int, int]] = []

    @app.task(lock="one", retry=1, pass_context=True)
    async def work(context: adjourn.JobContext, number: int) -> None:
        ran.append((number, context.job.attempts))
        if number == 2 and not context.job.attempts:
            raise ValueError

    async with bench.working():
        await warm_up(app, bench)
        ids = await work.batch_defer_async(*({"number": number} for number in range(6)))
        await bench.ended(ids[-1])
    assert ran == [(0, 0), (1, 0), (2, 0), (2, 1), (3, 0), (4, 0), (5, 0)]


async def test_those_behind_a_job_that_fails_run(app: adjourn.App, bench: Bench) -> None:
    ran: list[int] = []

    @app.task(lock="one")
    async def work(number: int) -> None:
        ran.append(number)
        raise ValueError

    async with bench.working():
        await warm_up(app, bench)
        ids = await work.batch_defer_async(*({"number": number} for number in range(6)))
        await bench.ended(ids[-1], "failed")
    assert ran == list(range(6))


async def test_those_behind_a_job_that_takes_long_go_back_to_their_queue(app: adjourn.App, bench: Bench) -> None:
    begun, release = asyncio.Event(), asyncio.Event()
    ran: list[int] = []
    ids: list[int] = []

    @app.task(lock="one")
    async def work(number: int) -> None:
        if not number:
            begun.set()
            await release.wait()
        ran.append(number)

    async def behind_are(claims: set[int]) -> bool:
        jobs = [await bench.job(job_id) for job_id in ids[1:]]
        return {job.claim for job in jobs} == claims and all(job.status == "todo" for job in jobs)

    async with bench.working():
        # A worker that was slow, as on a busy machine, claims no more than it can start at once.
        for _ in range(20):
            await warm_up(app, bench)
            ids = await work.batch_defer_async(*({"number": number} for number in range(4)))
            await begun.wait()
            if not await behind_are({0}):
                break
            release.set()
            await bench.ended(ids[-1])
            for event in (begun, release):
                event.clear()
            ran.clear()
        await bench.until(lambda: behind_are({1}))
        assert await bench.status(ids[0]) == "doing"
        release.set()
        await bench.ended(ids[-1])
    assert ran == [0, 1, 2, 3]
    assert [job.attempts for job in [await bench.job(job_id) for job_id in ids]] == [1] * 4


async def test_a_stopped_worker_hands_them_back_and_they_lose_no_attempt(app: adjourn.App, bench: Bench) -> None:
    begun, release = asyncio.Event(), asyncio.Event()
    ran: list[int] = []

    @app.task(lock="one")
    async def work(number: int) -> None:
        ran.append(number)
        if not number:
            begun.set()
            await release.wait()

    async with bench.working() as worker:
        await warm_up(app, bench)
        ids = await work.batch_defer_async(*({"number": number} for number in range(4)))
        await begun.wait()
        worker.stop()
        release.set()
    assert ran == [0]
    jobs = [await bench.job(job_id) for job_id in ids]
    assert [job.status for job in jobs] == ["succeeded", "todo", "todo", "todo"]
    assert [job.attempts for job in jobs] == [1, 0, 0, 0]
    await bench.drain()
    assert ran == [0, 1, 2, 3]
