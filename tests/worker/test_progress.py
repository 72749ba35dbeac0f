"""What tasks say of their progress: stored now and then, and found by whoever asks."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn import exceptions
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.progress import LONGEST_MESSAGE, progress_text
from support.bench import Bench
from support.waiting import until_async

pytestmark = pytest.mark.anyio


@pytest.fixture
def app(app_in_both: adjourn.App) -> adjourn.App:
    return app_in_both


async def said(app: adjourn.App, job_id: int) -> tuple[Any, ...] | None:
    progress = await app.job_manager.get_progress_async(job_id)
    return None if progress is None else (progress.current, progress.total, progress.message)


@pytest.mark.parametrize("listens", [True, False])
async def test_the_last_that_a_task_has_said_is_found_while_it_runs_and_afterwards(
    app: adjourn.App, bench: Bench, listens: bool
) -> None:
    go_on = threading.Event()

    @app.task(pass_context=True)
    async def on_loop(context: adjourn.JobContext) -> None:
        context.set_progress(1)
        await asyncio.to_thread(go_on.wait, 30)

    @app.task(pass_context=True)
    def in_thread(context: adjourn.JobContext) -> None:
        for number in range(1000):
            context.set_progress(number + 1, 1000, "counting\0")
        go_on.wait(30)

    ids = [await on_loop.defer_async(), await in_thread.defer_async()]
    with pytest.raises(exceptions.NoResult, match=r"^There is no job 999999\.$"):
        await app.job_manager.get_progress_async(999_999)
    assert await said(app, ids[0]) is None
    expected = [(1, None, None), (1000, 1000, "counting\\0")]

    async def is_stored() -> bool:
        return [await said(app, id_) for id_ in ids] == expected

    async with bench.working(concurrency=2, listen_notify=listens):
        await until_async(is_stored)
        (job,) = await app.job_manager.list_jobs_async(id=ids[0])
        assert job.progress is not None
        assert job.started_at is not None
        assert job.progress.at >= job.started_at
        go_on.set()
        assert [job.progress and job.progress.current for job in [await bench.ended(id_) for id_ in ids]] == [1, 1000]
    assert await is_stored()


async def test_what_is_said_often_is_stored_seldom(
    app: adjourn.App, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adjourn.worker.advances.PACE", 3600.0)
    go_on = asyncio.Event()

    @app.task(pass_context=True)
    async def count(context: adjourn.JobContext) -> None:
        context.set_progress(1)
        while await said(app, context.job.id) is None:
            await asyncio.sleep(0.005)
        context.set_progress(2)
        await go_on.wait()

    job_id = await count.defer_async()
    async with bench.working():
        await until_async(lambda: said(app, job_id))
        go_on.set()
        await bench.ended(job_id)
    assert await said(app, job_id) == (1, None, None)


async def test_a_run_that_has_lost_its_job_says_nothing_more_and_a_locked_job_is_not_waited_for(database: str) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    async with app.open_async():
        ids = [await app.configure_task("t").defer_async() for _ in range(2)]
        workers = app.job_manager.workers
        worker = await workers.register_worker_async()
        jobs = [await workers.fetch_job_async(None, worker) for _ in ids]
        runs = {(job.id, job.claim): progress_text(1, None, None) for job in jobs if job is not None and job.id}
        statement = "select from adjourn.adjourn_jobs where id = %s for update"
        session = await app.connector.session_async()
        manager = AsyncWorkerManager(session, app.connector.json_loads)
        async with await psycopg.AsyncConnection.connect(database) as other:
            await other.execute(statement, [ids[0]])
            await manager.store_progress_async(worker, runs)
        assert [await said(app, id_) for id_ in ids] == [None, (1, None, None)]
        await manager.store_progress_async(worker + 1, {run: progress_text(9, None, None) for run in runs})
        late = {(id_, claim + 1): progress_text(9, None, None) for id_, claim in runs}
        await manager.store_progress_async(worker, late)
        assert [await said(app, id_) for id_ in ids] == [None, (1, None, None)]
        await session.close_async()


def test_what_is_no_progress_is_refused_at_once() -> None:
    with pytest.raises(exceptions.InvalidOption, match=r"^current='1': pass a number\.$"):
        progress_text("1", None, None)  # type: ignore[arg-type]
    with pytest.raises(exceptions.InvalidOption, match=r"^total=nan: pass a number\.$"):
        progress_text(1, float("nan"), None)
    with pytest.raises(exceptions.InvalidOption, match=r"^message=5: pass a text, or None\.$"):
        progress_text(1, None, 5)  # type: ignore[arg-type]
    assert len(progress_text(1, 2, "x" * 10 * LONGEST_MESSAGE)) < 2 * LONGEST_MESSAGE
