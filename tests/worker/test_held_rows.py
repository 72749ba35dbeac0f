"""Rows of running jobs that another transaction holds: the outcome of that job waits, everything else goes on."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import psycopg.rows
import pytest

import adjourn
from adjourn import events, sql
from adjourn.exceptions import ConnectorException, OutcomesNotStored
from adjourn.jobs import Status
from adjourn.manager import JobManager
from adjourn.worker import exchange
from support.bench import Bench
from support.outcomes import outcome_parameters
from support.sessions import BLOCKED
from support.waiting import until

pytestmark = pytest.mark.anyio

STATEMENTS = sql.statements()


@pytest.fixture
def holder(database: str) -> Iterator[psycopg.Connection[Any]]:
    """A caller who leaves a transaction open."""
    with contextlib.closing(psycopg.connect(database, row_factory=psycopg.rows.dict_row)) as connection:
        yield connection


def hold(holder: psycopg.Connection[Any], job_id: int | None) -> None:
    """Lock the row of a job until the caller commits."""
    holder.execute("select from adjourn.adjourn_jobs where id = %s for update", [job_id])


def run(connection: psycopg.Connection[Any], statement: str, **parameters: Any) -> list[Any]:
    """Execute one of adjourn's statements."""
    return connection.execute(STATEMENTS[statement].text.encode(), parameters).fetchall()


def claim(
    connection: psycopg.Connection[Any], worker_id: int, outcomes: list[dict[str, Any]] | None = None
) -> list[Any]:
    """Exchange for one job; the rows without the report."""
    rows = run(
        connection,
        "exchange",
        worker_id=worker_id,
        **outcome_parameters(outcomes or ()),
        limit=0 if outcomes else 1,
        queues=None,
        busy=False,
        probe=True,
        concurrency=1,
        running=0,
        apart=None,
        tasks=None,
        patience=60.0,
        listens=True,
        called=False,
        follow=0,
        floors=None,
        batches=None,
    )
    return rows[:-1]


@pytest.mark.parametrize("ends", ["succeeded", "retried", "failed"])
async def test_a_held_row_stops_its_own_outcome_and_no_other(
    app: adjourn.App, bench: Bench, holder: psycopg.Connection[Any], ends: str
) -> None:
    release = asyncio.Event()
    told: list[events.OutcomePostponed] = []
    app.events.subscribe(events.OutcomePostponed, told.append)

    @app.task(pass_context=True, retry=1 if ends == "retried" else False)
    async def work(context: adjourn.JobContext, is_held: bool) -> None:
        if is_held and context.job.attempts == 0:
            await release.wait()
            if ends != "succeeded":
                raise ValueError

    held = await work.defer_async(is_held=True)
    async with bench.working(concurrency=2, fetch_job_polling_interval=0.5):
        await bench.ended(held, "doing")
        hold(holder, held)
        release.set()
        await bench.until(lambda: told)
        # Others that were claimed later, or retried in the same exchange, do not wait for it.
        others = await work.batch_defer_async(*[{"is_held": False}] * 200)
        for job_id in others:
            await bench.ended(job_id)
        assert await bench.status(held) == "doing"
        holder.commit()
        job = await bench.ended(held, "failed" if ends == "failed" else "succeeded")
        assert job.attempts == (2 if ends == "retried" else 1)
    assert [(event.job_id, event.error) for event in told] == [(held, None)]


async def test_a_worker_that_ends_by_itself_waits_for_a_held_row(
    app: adjourn.App, bench: Bench, holder: psycopg.Connection[Any]
) -> None:
    told: list[events.OutcomePostponed] = []
    app.events.subscribe(events.OutcomePostponed, told.append)

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        await asyncio.to_thread(hold, holder, context.job.id)

    job_id = await work.defer_async()
    draining = asyncio.create_task(bench.drain())
    await bench.until(lambda: told)
    assert not draining.done()
    holder.commit()
    await draining
    assert await bench.status(job_id) == "succeeded"


async def test_a_stop_does_not_wait_for_ever_for_a_held_row_and_names_the_job(
    app: adjourn.App, bench: Bench, holder: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "HELD_PATIENCE", 0.5)
    postponed: list[events.OutcomePostponed] = []
    lost: list[events.OutcomeLost] = []
    app.events.subscribe(events.OutcomePostponed, postponed.append)
    app.events.subscribe(events.OutcomeLost, lost.append)

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        if context.job.attempts == 0:
            await asyncio.to_thread(hold, holder, context.job.id)

    job_id = await work.defer_async()
    with pytest.raises(OutcomesNotStored):
        async with bench.working():
            await bench.until(lambda: postponed)
    assert [event.job_id for event in lost] == [job_id]
    holder.commit()
    # It is run again, as if its worker had died.
    await app.job_manager.prune_stalled_workers_async(1000)
    await bench.drain()
    assert (await bench.job(job_id)).attempts == 2


async def test_a_row_that_is_held_for_a_moment_is_no_news(
    app: adjourn.App, bench: Bench, holder: psycopg.Connection[Any]
) -> None:
    postponed: list[events.OutcomePostponed] = []
    app.events.subscribe(events.OutcomePostponed, postponed.append)

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        await asyncio.to_thread(hold, holder, context.job.id)

    async with bench.working() as worker:
        job_id = await work.defer_async()
        exchanging = worker._exchange
        assert exchanging is not None
        await bench.until(lambda: exchanging._outbox._set_aside)
        holder.commit()
        await bench.ended(job_id)
    assert postponed == []


async def test_a_worker_that_is_stopped_with_a_held_row_says_that_it_is_gone(
    app: adjourn.App, bench: Bench, holder: psycopg.Connection[Any]
) -> None:
    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        await asyncio.to_thread(hold, holder, context.job.id)

    left: list[events.UnregisteringFailed] = []
    app.events.subscribe(events.UnregisteringFailed, left.append)
    postponed: list[events.OutcomePostponed] = []
    app.events.subscribe(events.OutcomePostponed, postponed.append)
    await work.defer_async()
    with pytest.raises(
        OutcomesNotStored,
        match="the outcome of 1 job that has ended is not stored, because other transactions have locked",
    ):
        async with bench.working():
            await bench.until(lambda: postponed)
    assert not left  # the database has answered all the time
    rows = await app.connector.execute_query_all_async("select dead from adjourn.adjourn_workers")
    assert [row["dead"] for row in rows] == [True]


async def test_a_worker_that_leaves_stores_what_can_be_stored(
    app: adjourn.App, bench: Bench, observer: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "HELD_PATIENCE", 0.0)
    begun: list[int] = []
    release = threading.Event()
    lost: list[events.OutcomeLost] = []
    app.events.subscribe(events.OutcomeLost, lost.append)

    @app.task
    def work(n: int) -> None:
        begun.append(n)
        release.wait(20)

    ids = await work.batch_defer_async(*({"n": n} for n in range(5)))
    observer.execute(
        "create function refuse() returns trigger language plpgsql as "
        f"$$ begin if new.id = {ids[2]} then raise check_violation; end if; return new; end $$".encode()
    )
    observer.execute(
        "create trigger refuse before insert on adjourn.adjourn_finished_jobs for each row execute function refuse()"
    )

    async def work_and_stop() -> None:
        async with bench.working(concurrency=5, fetch_job_polling_interval=0.5):
            await bench.until(lambda: len(begun) == 5)
            release.set()

    try:
        with pytest.raises(OutcomesNotStored):
            await work_and_stop()
        statuses = [await bench.status(job_id) for job_id in ids]
        assert statuses == ["succeeded", "succeeded", "doing", "succeeded", "succeeded"]
        assert [event.job_id for event in lost] == [ids[2]]
    finally:
        observer.execute("drop function refuse() cascade")


async def test_a_held_job_cannot_be_finished_by_hand(app: adjourn.App, holder: psycopg.Connection[Any]) -> None:
    await app.configure_task("any").defer_async()
    worker_id = await app.job_manager.register_worker_async()
    job = await app.job_manager.fetch_job_async(None, worker_id)
    assert job is not None
    assert job.id is not None
    hold(holder, job.id)
    with pytest.raises(ConnectorException, match="another transaction has locked"):
        await app.job_manager.finish_job_async(job, Status.SUCCEEDED)
    holder.commit()
    assert await app.job_manager.finish_job_async(job, Status.SUCCEEDED) is True


# A caller's transaction that comes too late does not keep a row


def waits(observer: psycopg.Connection[Any]) -> bool:
    """Whether a session waits for a lock."""
    return observer.execute(BLOCKED).fetchone() is not None


def is_free(observer: psycopg.Connection[Any], job_id: int) -> bool:
    """Whether nobody has locked the row of a job."""
    query = "select from adjourn.adjourn_jobs where id = %s for update skip locked"
    return observer.execute(query, [job_id]).fetchone() is not None


@pytest.mark.parametrize("delete", [True, False])
def test_a_cancel_that_meets_a_claim_keeps_no_row(
    database: str, observer: psycopg.Connection[Any], holder: psycopg.Connection[Any], delete: bool
) -> None:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with app.open(), psycopg.connect(database, row_factory=psycopg.rows.dict_row) as worker:
        ids = [app.configure_task("any").defer() for _ in range(2)]
        worker_id = app.job_manager.register_worker()
        assert [row["id"] for row in claim(worker, worker_id)] == ids[:1]
        cancelled: list[Any] = []
        cancel = threading.Thread(target=lambda: cancelled.extend(run(holder, "cancel_jobs", ids=ids, delete=delete)))
        cancel.start()
        until(lambda: waits(observer))
        worker.commit()
        cancel.join()
        assert [row["id"] for row in cancelled] == ids[1:]
        assert is_free(observer, ids[0])
        holder.commit()
        assert app.job_manager.get_job_status(ids[0]) == "doing"


def test_a_request_to_abort_that_meets_a_hand_back_keeps_no_row(
    database: str, observer: psycopg.Connection[Any], holder: psycopg.Connection[Any]
) -> None:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with app.open(), psycopg.connect(database, row_factory=psycopg.rows.dict_row) as worker:
        job_id = app.configure_task("any").defer()
        worker_id = app.job_manager.register_worker()
        (job,) = claim(worker, worker_id)
        worker.commit()
        claim(worker, worker_id, [{"id": job_id, "claim": job["claim"], "outcome": "handed_back"}])
        asked: list[Any] = []
        ask = threading.Thread(target=lambda: asked.extend(run(holder, "request_abort", ids=[job_id])))
        ask.start()
        until(lambda: waits(observer))
        worker.commit()
        ask.join()
        assert asked == []
        assert is_free(observer, job_id)


SQL = "select adjourn.adjourn_{}".format
CHANGES: dict[str, Callable[[JobManager, psycopg.AsyncConnection[Any]], Awaitable[Any]]] = {
    "pause of a queue": lambda manager, caller: manager.pause_queue_async("other", connection=caller),
    "end of a pause": lambda manager, caller: manager.resume_queue_async("paused", connection=caller),
    "pause of a task": lambda manager, caller: manager.pause_task_async("other", connection=caller),
    "limit of a queue": lambda manager, caller: caller.execute(SQL("set_limit_v1('queue', 'other', 1, null, false)")),
    "limit of a task": lambda manager, caller: caller.execute(SQL("set_limit_v1('task', 'other', 1, null, false)")),
    "limit that goes": lambda manager, caller: caller.execute(SQL("reset_limit_v1('queue', 'limited')")),
}
"""What people change that concerns no job of the worker."""


@pytest.mark.parametrize("what", CHANGES)
async def test_what_a_person_changes_in_an_open_transaction_stops_no_worker(
    app: adjourn.App, bench: Bench, database: str, what: str
) -> None:
    @app.task
    async def work() -> None: ...

    if what == "end of a pause":
        await app.job_manager.pause_queue_async("paused")
    elif what == "limit that goes":
        await app.job_manager.set_limit_async(queue="limited", concurrency=1)
    async with bench.working():
        await bench.ended(await work.defer_async())
        await asyncio.sleep(0.2)  # it has nothing to do, and its row says so soon
        async with await psycopg.AsyncConnection.connect(database) as caller:
            assert await CHANGES[what](app.job_manager, caller) is not None
            for _ in range(3):
                await bench.ended(await work.defer_async())
            async with bench.working():  # one that registers meanwhile
                await bench.ended(await work.defer_async())


@pytest.mark.parametrize("how", ["it was stored before", "it is new", "by a program whose app is not open"])
async def test_a_limit_that_an_open_transaction_changes_keeps_no_worker_from_starting(
    app: adjourn.App, bench: Bench, database: str, how: str
) -> None:
    told: list[events.LimitsHeldUp] = []
    app.events.subscribe(events.LimitsHeldUp, told.append)
    manager = app.job_manager

    async def numbers() -> list[int | None]:
        return [limit.concurrency for limit in await manager.list_limits_async() if limit.name == "shared"]

    def declare(app: adjourn.App, name: str, concurrency: int) -> Any:
        @app.task(name=name, limits=adjourn.Limit(key="tenant", concurrency=concurrency, name="shared"))
        async def work(tenant: str) -> None: ...

        return work

    if how == "it was stored before":
        await manager.limits.declare_async({("key", "shared"): adjourn.Limit(concurrency=1)})
    limited = declare(app, "work", 2)

    @app.task
    async def other() -> None: ...

    async with await psycopg.AsyncConnection.connect(database) as caller:
        if how == "by a program whose app is not open":
            closed = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=database))
            await declare(closed, "theirs", 3).configure(queue="theirs", connection=caller).defer_async(tenant="a")
        else:
            await caller.execute(
                SQL(
                    "set_limit_v1('key', 'shared', 1, null, true)"
                    if how == "it is new"
                    else "set_limit_v1('key', 'shared', 3, null, true)"
                )
            )
        await other.defer_async()
        await bench.drain()
        assert [event.limits for event in told] == [("key shared",)]
        async with bench.working(queues=["default"]):
            await bench.ended(await other.defer_async())
            await caller.commit()

            async def is_stored() -> bool:
                return await numbers() == [2]

            await bench.until(is_stored)
            await bench.ended(await limited.defer_async(tenant="a"))


@pytest.mark.parametrize("what", ["pause", "workflow", "lock", "limit"])
async def test_a_worker_that_does_not_wait_ends_though_a_person_holds_what_there_is_to_place(
    app: adjourn.App, bench: Bench, database: str, what: str
) -> None:
    @app.task
    async def work() -> None: ...

    @app.task(limits=adjourn.Limit(concurrency=1))
    async def limited() -> None: ...

    manager = app.job_manager
    kept: list[int] = []
    flow_id = 0
    if what == "pause":
        kept = [await work.configure(queue="paused").defer_async()]
        await manager.pause_queue_async("paused")
    elif what == "workflow":
        flow = app.workflow()
        flow.add(work)
        flow_id = (await flow.open_async()).id
    else:
        task = work.configure(lock="lock") if what == "lock" else limited
        await task.defer_async()
        kept = [await task.defer_async()]
    async with await psycopg.AsyncConnection.connect(database) as caller:
        if what == "pause":
            assert await manager.resume_queue_async("paused", connection=caller)
        elif what == "workflow":
            more = app.workflow(extends=flow_id)
            more.add(work)
            await more.defer_async(connection=caller)
        else:
            assert await manager.change_jobs_async(kept, priority=1, connection=caller) == kept
        other = await work.defer_async()
        await bench.drain()
        assert await bench.status(other) == "succeeded"
        assert [await bench.status(job_id) for job_id in kept] == ["todo"] * len(kept)
        await caller.commit()
    await bench.drain()
    assert [await bench.status(job_id) for job_id in kept] == ["succeeded"] * len(kept)
    if what == "workflow":
        assert await manager.close_workflow_async(flow_id)
        await bench.drain()
        assert (await manager.get_workflow_async(flow_id)).finished_at is not None


async def test_a_defer_of_what_an_open_transaction_is_storing_waits_for_ten_seconds_at_most(
    app: adjourn.App, database: str
) -> None:
    @app.task
    async def work() -> None: ...

    alike = [
        work.configure(queueing_lock="lock"),
        work.configure(queueing_lock="lock", priority=1, expires_in=60),
        work.configure(unique=adjourn.Unique(key="key")),
    ]
    async with await psycopg.AsyncConnection.connect(database) as caller:
        for deferrer in (alike[0], alike[2]):
            await app.job_manager.defer_job_async(deferrer.job, connection=caller)
        async with asyncio.timeout(25):
            answers = await asyncio.gather(
                *(deferrer.defer_async() for deferrer in alike),
                app.job_manager.batch_defer_jobs_async([alike[0].job, work.configure(queueing_lock="other").job]),
                return_exceptions=True,
            )
        for answer in answers:
            assert isinstance(answer, ConnectorException)
            assert "whose transaction takes long" in str(answer)
        await caller.rollback()
    assert await alike[0].defer_async()
    assert await alike[2].defer_async()


async def test_statements_of_callers_do_not_stop_a_worker(app: adjourn.App, bench: Bench, database: str) -> None:
    """Whatever a caller's transaction does with the jobs of a worker, that worker's other jobs end."""
    release = asyncio.Event()

    @app.task
    async def work(is_held: bool) -> None:
        if is_held:
            await release.wait()

    held = list(await work.batch_defer_async(*[{"is_held": True}] * 3))
    async with bench.working(concurrency=4, fetch_job_polling_interval=0.5):
        for job_id in held:
            await bench.ended(job_id, "doing")
        async with await psycopg.AsyncConnection.connect(database) as connection:
            manager = app.job_manager
            assert await manager.cancel_job_by_id_async(held[0], connection=connection) is False
            assert await manager.cancel_job_by_id_async(held[1], abort=True, connection=connection) is True
            await manager.retry_job_by_id_async(held[2], connection=connection)
            await work.configure(connection=connection).defer_async(is_held=False)
            release.set()
            for job_id in await work.batch_defer_async(*[{"is_held": False}] * 50):
                await bench.ended(job_id)
            assert [await bench.status(job_id) for job_id in held] == ["succeeded", "doing", "doing"]
        await bench.ended(held[1])
        job = await bench.ended(held[2])
        assert job.attempts == 2


async def test_a_worker_that_has_run_as_many_jobs_as_it_may_waits_for_a_held_row(
    app: adjourn.App, bench: Bench, holder: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "HELD_PATIENCE", 0.2)
    release = asyncio.Event()

    @app.task(name="t")
    async def task() -> None:
        await release.wait()

    job_id = await task.defer_async()
    running = asyncio.create_task(app.run_worker_async(max_jobs=1, install_signal_handlers=False))
    await bench.ended(job_id, "doing")
    hold(holder, job_id)
    release.set()
    done, _ = await asyncio.wait({running}, timeout=2)
    assert not done
    holder.commit()
    async with asyncio.timeout(30):
        await running
    assert await bench.status(job_id) == "succeeded"
