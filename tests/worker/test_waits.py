"""Waiting for the ends of jobs that a worker runs meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn import exceptions
from adjourn.jobs import Job
from adjourn.manager import ends
from adjourn.testing import InMemoryConnector
from support.bench import Bench
from support.pooler import BINARY, MISSING, pgbouncer
from support.processes import run_silently
from support.sessions import Sessions
from support.waiting import BOUND, until_async

pytestmark = pytest.mark.anyio
NEVER = (10 * BOUND,)


FORKING = """
    import os, sys, threading, time, warnings
    import adjourn

    warnings.simplefilter("ignore")  # of a fork beside threads, and of an app in the main module
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(sys.argv[1], max_size=2))
    manager, results = app.job_manager, []

    def in_thread(job_id):
        thread = threading.Thread(target=lambda: results.append(manager.wait_for_job(job_id, 30).status))
        thread.start()
        return thread

    def until(condition):
        while not condition():
            time.sleep(0.005)

    with app.open():
        ids = [app.configure_task("t").defer() for _ in range(2)]
        parents = in_thread(ids[0])
        until(lambda: manager.results.ends.expected() and manager.results.ends._session)
        if (child := os.fork()) == 0:
            assert manager.results.ends.expected() == []
            own = in_thread(ids[1])
            until(lambda: manager.results.ends.expected() == ids[1:])
            manager.cancel_job_by_id(ids[1])
            own.join()
            app.close()
            os._exit(0 if results == ["cancelled"] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        manager.cancel_job_by_id(ids[0])
        parents.join()
    assert results == ["cancelled"]
"""


@pytest.fixture(params=["in memory", "postgres"])
async def app(request: pytest.FixtureRequest, database: str) -> AsyncIterator[adjourn.App]:
    given = InMemoryConnector() if request.param == "in memory" else adjourn.PsycopgConnector(database, max_size=4)
    async with made(given).open_async() as app:
        yield app


@pytest.fixture
async def stored(database: str) -> AsyncIterator[adjourn.App]:
    """An app whose jobs are in Postgres."""
    async with made(adjourn.PsycopgConnector(database, max_size=4)).open_async() as app:
        yield app


def made(connector: Any) -> adjourn.App:
    app = adjourn.App(connector=connector)

    @app.task(name="double", store_result=True)
    async def double(n: int) -> int:
        return 2 * n

    @app.task(name="fail")
    async def fail() -> None:
        raise ValueError("no")

    return app


@pytest.fixture
async def stored_bench(stored: adjourn.App) -> Bench:
    return Bench(stored)


@pytest.fixture
def notified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks: whoever learns of an end was notified of it."""
    monkeypatch.setattr(ends, "LISTENING", NEVER)


async def wait(app: adjourn.App, job_id: int) -> Job:
    return await app.job_manager.wait_for_job_async(job_id, BOUND)


async def heard(app: adjourn.App) -> None:
    """Wait until the app's thread listens, so that from now on only notifications tell of ends."""
    job_id = await app.configure_task("nobody").defer_async()
    listener: Any = app.job_manager.results.ends
    waiting = asyncio.create_task(app.job_manager.wait_for_job_async(job_id))
    await until_async(lambda: listener._net.due_at < float("inf") and listener._session is not None)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert await app.job_manager.cancel_job_by_id_async(job_id)


async def test_coroutines_and_threads_wait_for_the_same_job_and_hear_of_its_end(
    app: adjourn.App, bench: Bench, notified: None
) -> None:
    await heard(app)
    job_id = await app.tasks["double"].defer_async(n=4)
    manager = app.job_manager
    waits: list[Any] = [wait(app, job_id), asyncio.to_thread(manager.wait_for_job, job_id, BOUND)]
    waits += [manager.get_result_async(job_id, timeout=BOUND), asyncio.to_thread(manager.get_result, job_id, BOUND)]
    waiting = [asyncio.ensure_future(each) for each in waits]
    await until_async(lambda: manager.results.ends.expected() == [job_id])
    async with bench.working():
        one, two, three, four = await asyncio.gather(*waiting)
    assert (one.status, one.result, two) == ("succeeded", 8, one)
    assert (three, four) == (8, 8)
    assert manager.results.ends.expected() == []


@pytest.mark.parametrize("how", ["retried", "cancelled", "aborted", "deleted"])
async def test_whatever_ends_a_job_is_heard_of(app: adjourn.App, bench: Bench, notified: None, how: str) -> None:
    started = asyncio.Event()

    @app.task(name="run", retry=adjourn.RetryStrategy(max_attempts=2))
    async def run() -> None:
        started.set()
        if how == "aborted":
            await asyncio.sleep(BOUND)
        raise ValueError("no")

    await heard(app)
    job_id = await run.defer_async()
    waiting = asyncio.create_task(wait(app, job_id))
    await until_async(lambda: app.job_manager.results.ends.expected() == [job_id])
    if how == "cancelled":
        assert await app.job_manager.cancel_job_by_id_async(job_id)
        assert (await waiting).status == "cancelled"
    elif how == "deleted":
        assert await app.job_manager.cancel_job_by_id_async(job_id, delete_job=True)
        with pytest.raises(exceptions.NoResult):
            await waiting
    else:
        async with bench.working():
            await started.wait()
            if how == "aborted":
                await app.job_manager.cancel_job_by_id_async(job_id, abort=True)
            job = await waiting
        assert (job.status, job.attempts) == (("failed", 3) if how == "retried" else ("aborted", 1))
        with pytest.raises(exceptions.NotSucceeded):
            await app.job_manager.get_result_async(job_id, timeout=BOUND)


async def test_a_job_that_is_to_be_deleted_is_kept_for_those_who_wait_for_it(
    app: adjourn.App, bench: Bench, notified: None
) -> None:
    await heard(app)
    ids = [await app.tasks[name].defer_async(**arguments) for name, arguments in (("double", {"n": 1}), ("fail", {}))]
    other = await app.tasks["fail"].defer_async()
    waiting = asyncio.create_task(app.job_manager.wait_for_jobs_async(ids, BOUND))
    await until_async(lambda: app.job_manager.results.ends.expected() == ids)
    await bench.drain(delete_jobs="always")
    assert [job.status for job in await waiting] == ["succeeded", "failed"]
    with pytest.raises(exceptions.NoResult):
        await app.job_manager.wait_for_job_async(other)


async def test_the_failure_of_a_job_whose_workers_have_died_is_heard_of(
    stored: adjourn.App, observer: psycopg.Connection, notified: None
) -> None:
    await heard(stored)
    job_id = await stored.tasks["double"].defer_async(n=1)
    waiting = asyncio.create_task(wait(stored, job_id))
    await until_async(lambda: stored.job_manager.results.ends.expected() == [job_id])
    workers = stored.job_manager.workers
    worker = await workers.register_worker_async()
    assert await workers.fetch_job_async(None, worker) is not None
    observer.execute("update adjourn.adjourn_jobs set losses = 4, claimed_ahead = null")
    observer.execute("update adjourn.adjourn_workers set dead = true")
    observer.execute("select * from adjourn.adjourn_rescue_v1(5, interval '0', 'one', 'worker')")
    job = await waiting
    assert (job.status, job.errors[-1]["exception"]) == ("failed", "adjourn.exceptions.WorkerLost")


async def test_all_waits_of_a_process_share_one_connection(
    stored: adjourn.App, stored_bench: Bench, notified: None
) -> None:
    ids = [await stored.tasks["double"].defer_async(n=n) for n in range(50)]
    waits = [asyncio.create_task(stored.job_manager.get_result_async(id_, None)) for id_ in ids]
    await until_async(lambda: stored.job_manager.results.ends.expected() == ids)
    await heard(stored)
    assert [thread.name for thread in threading.enumerate()].count("adjourn-waits") == 1
    await stored_bench.drain()
    assert await asyncio.gather(*waits) == [2 * n for n in range(50)]


@pytest.mark.parametrize("place", ["a session that cannot listen", "pgbouncer"])
async def test_without_notifications_ends_are_found_by_looking(
    database: str, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(ends, "LISTENING", NEVER)
    with contextlib.ExitStack() as stack:
        if place == "pgbouncer":
            if BINARY is None:
                pytest.skip(MISSING)
            connector = adjourn.PsycopgConnector(stack.enter_context(pgbouncer(database)), max_size=2)
        else:
            connector = adjourn.PsycopgConnector(database, max_size=2)
            monkeypatch.setattr("adjourn._sync.connectors.psycopg_session.SyncPsycopgSession.can_listen", False)
            connect = connector.session
            monkeypatch.setattr(connector, "session", lambda: mute(connect()))
        async with made(connector).open_async() as app:
            job_id = await app.tasks["double"].defer_async(n=3)
            waiting = asyncio.create_task(app.job_manager.get_result_async(job_id, BOUND))
            await until_async(lambda: app.job_manager.results.ends.expected() == [job_id])
            await Bench(app).drain(listen_notify=False)
            assert await waiting == 6


def mute(session: Any) -> Any:
    session.can_listen = False
    return session


async def test_a_wait_does_not_wait_for_who_has_locked_the_job(
    stored: adjourn.App, stored_bench: Bench, database: str, notified: None
) -> None:
    job_id = await stored.tasks["double"].defer_async(n=5)
    async with await psycopg.AsyncConnection.connect(database) as other:
        await other.execute("select from adjourn.adjourn_jobs for update")
        with pytest.raises(exceptions.WaitTimeout):
            await stored.job_manager.wait_for_job_async(job_id, timeout=0.05)
        waiting = asyncio.create_task(wait(stored, job_id))
        await until_async(lambda: stored.job_manager.results.ends.expected() == [job_id])
    async with stored_bench.working():
        assert (await waiting).result == 10


async def test_a_job_that_is_passed_over_while_a_wait_marks_it_runs_afterwards(
    stored: adjourn.App, stored_bench: Bench, database: str
) -> None:
    manager = stored.job_manager
    async with stored_bench.working(fetch_job_polling_interval=NEVER[0]) as worker:
        await until_async(lambda: worker._exchange is not None and worker._exchange._is_listening)
        await manager.pause_queue_async("default")
        job_id = await stored.tasks["double"].defer_async(n=5)
        await asyncio.sleep(0.2)  # the worker is idle
        async with await psycopg.AsyncConnection.connect(database) as other:
            await other.execute("select adjourn.adjourn_watch_jobs_v1(array[%s::bigint])", [job_id])
            await manager.resume_queue_async("default")
            await asyncio.sleep(0.2)  # it looks in vain
            assert await stored_bench.status(job_id) == "todo"
        await stored_bench.ended(job_id)


async def test_a_wait_that_is_cancelled_leaves_nothing_and_the_thread_ends_with_the_app(
    stored: adjourn.App, sessions: Sessions
) -> None:
    job_id = await stored.tasks["double"].defer_async(n=5)
    waiting = asyncio.create_task(wait(stored, job_id))
    await heard(stored)
    listener: Any = stored.job_manager.results.ends
    session = [listener._session.connection.info.backend_pid]
    waiting.cancel()
    await asyncio.wait([waiting])
    assert stored.job_manager.results.ends.expected() == []
    await stored.job_manager.results.close_async()
    assert "adjourn-waits" not in [thread.name for thread in threading.enumerate()]
    await until_async(
        lambda: not sessions.observer.execute("select from pg_stat_activity where pid = %s", session).fetchone()
    )


async def test_who_waits_when_the_app_is_closed_is_told(database: str) -> None:
    app = made(adjourn.PsycopgConnector(database))
    async with app.open_async():
        job_id = await app.tasks["double"].defer_async(n=5)
        waiting = asyncio.create_task(app.job_manager.wait_for_job_async(job_id))
        await until_async(lambda: app.job_manager.results.ends.expected() == [job_id])
        await heard(app)
    with pytest.raises(exceptions.AppNotOpen):
        await waiting


async def test_a_lost_connection_is_made_again(
    stored: adjourn.App, stored_bench: Bench, sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = await stored.tasks["double"].defer_async(n=5)
    waiting = asyncio.create_task(wait(stored, job_id))
    await heard(stored)
    listener: Any = stored.job_manager.results.ends
    first = listener._session
    sessions.observer.execute("select pg_terminate_backend(%s)", [first.connection.info.backend_pid])
    await until_async(lambda: listener._session not in (None, first))
    await stored_bench.drain()
    assert (await waiting).status == "succeeded"
    (record,) = [record for record in caplog.records if record.name == "adjourn.waits"]
    assert record.levelno == logging.WARNING
    assert vars(record)["action"] == "wait_failed"


def test_a_forked_child_waits_by_itself(database: str, sessions: Sessions) -> None:
    run_silently(FORKING, database)
    assert sessions.settle(0) == 0


async def test_a_blocking_wait_on_the_thread_of_the_event_loop_is_refused(stored: adjourn.App) -> None:
    job_id = await stored.tasks["double"].defer_async(n=5)
    with pytest.raises(exceptions.WrongCaller, match=r"Await the `_async` form here"):
        stored.job_manager.wait_for_job(job_id)
    assert stored.job_manager.results.ends.expected() == []


async def test_a_task_may_wait_in_its_thread_and_that_is_said_once(
    stored: adjourn.App, stored_bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    @stored.task(name="outer", store_result=True)
    def outer(n: int) -> int:
        inner = stored.tasks["double"].defer(n=n)
        value: int = stored.job_manager.get_result(inner, timeout=BOUND)
        return value + 1

    ids = [await outer.defer_async(n=n) for n in range(2)]
    async with stored_bench.working(concurrency=4):
        jobs = await stored.job_manager.wait_for_jobs_async(ids, BOUND)
    assert [job.result for job in jobs] == [1, 3]
    said = [record for record in caplog.records if record.name == "adjourn.waits"]
    assert [vars(record)["action"] for record in said] == ["wait_in_task"]
