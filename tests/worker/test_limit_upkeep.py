"""What the worker that places jobs does for limits beside giving places."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn import Limit, Rate
from adjourn._domain.outcomes import Ended
from adjourn._domain.upkeep import Timetable
from adjourn._sync.managers import caretaker
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn.jobs import Job
from adjourn.sql.constants import Hold
from support.bench import Bench
from support.waiting import BOUND


class Upkeep:
    """An app with a task whose jobs have a limit of their key, and a worker that the test speaks for."""

    def __init__(self, app: adjourn.App, manager: SyncWorkerManager) -> None:
        self.app = app
        self.manager = manager

    def task(self, limit: Limit) -> Any:
        @self.app.task(name="task", limits=limit)
        def task(tenant: str = "t") -> None:
            """Do nothing."""

        return task

    def claim(self, worker: int, queues: list[str] | None = None) -> list[Job]:
        """Claim all there is, as this worker."""
        while True:
            exchanged = self.manager.exchange(worker, [], limit=100, queues=queues)
            placed = self.manager.place(200)
            if exchanged.jobs or not (placed or exchanged.repeat):
                return exchanged.jobs

    def heal(self, page: int = 1000) -> int:
        """Look through all there is, in pages of this size, place what was noted, and return how many pages there were."""
        rest, pages = None, 0
        while pages == 0 or rest is not None:
            _, rest = self.manager.heal(rest, page)
            pages += 1
            self.manager.place(200)
        return pages


@pytest.fixture
def upkeep(database: str) -> Iterator[Upkeep]:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with app.open():
        session = app.connector.session()
        yield Upkeep(app, SyncWorkerManager(session, app.connector.json_loads))
        session.close()


def test_starts_of_a_busy_key_are_merged_and_none_is_forgotten_too_early(
    upkeep: Upkeep, observer: psycopg.Connection
) -> None:
    task = upkeep.task(Limit(key="tenant", rate=[Rate(10, 1), Rate(5000, 3600)]))
    worker = upkeep.manager.register_worker("one", None, 600)
    task.batch_defer(*[{}] * 20)
    upkeep.manager.place(200)
    observer.execute(
        "insert into adjourn.adjourn_starts (limit_id, limit_key, at, n)"
        " select l.id, 't', clock_timestamp() - n * interval '0.8 s', 1 from adjourn.adjourn_limits l cross join generate_series(2, 4988) n"
    )
    counts = "select count(*), sum(n) from adjourn.adjourn_starts where at > clock_timestamp() - interval '1 hour'"
    rows, starts = observer.execute(counts).fetchone() or (0, 0)
    assert rows > 4000
    assert len(upkeep.claim(worker)) <= 10
    for _ in range(2):
        observer.execute("update adjourn.adjourn_due_rates set at = now()")
        upkeep.manager.place(200)
    merged, kept = observer.execute(counts).fetchone() or (0, 0)
    assert merged <= 402
    assert kept >= starts
    late = "select count(*) from adjourn.adjourn_starts where at > clock_timestamp() - interval '0.8 s' and n > 10"
    assert observer.execute(late).fetchone() == (0,), "starts of the hour count as starts of this second"


def test_a_queue_that_no_worker_serves_keeps_no_places_from_others(upkeep: Upkeep) -> None:
    task = upkeep.task(Limit(key="tenant", concurrency=1))
    worker = upkeep.manager.register_worker("one", ["served"], 600)
    first = task.configure(queue="deserted").defer()
    upkeep.manager.place(200)
    second = task.configure(queue="served").defer()
    assert upkeep.claim(worker, ["served"]) == []
    upkeep.heal()
    (job,) = upkeep.claim(worker, ["served"])
    assert job.id == second
    # It does not get the place back while there is nobody for it.
    third = task.configure(queue="served").defer()
    upkeep.app.job_manager.finish_job(job, adjourn.Status.SUCCEEDED)
    upkeep.heal()
    (job,) = upkeep.claim(worker, ["served"])
    assert job.id == third
    (waiting,) = upkeep.app.job_manager.list_jobs(status="todo")
    assert waiting.id == first
    upkeep.app.job_manager.finish_job(job, adjourn.Status.SUCCEEDED)
    other = upkeep.manager.register_worker("other", ["deserted"], 600)
    (job,) = upkeep.claim(other, ["deserted"])
    assert job.id == first


@pytest.mark.parametrize("resumed", ["task", "queue"])
def test_jobs_of_which_something_else_is_still_paused_do_not_keep_the_others_from_going_on(
    upkeep: Upkeep, observer: psycopg.Connection, resumed: str
) -> None:
    upkeep.task(Limit(concurrency=1000))
    worker, manager = upkeep.manager.register_worker("one", None, 600), upkeep.app.job_manager
    task, queue = ("task", "paused") if resumed == "task" else ("paused", "queue")
    manager.pause_task("task" if resumed == "task" else "paused")
    manager.pause_queue("paused" if resumed == "task" else "queue")
    upkeep.app.configure_task(task, queue=queue).batch_defer(*[{}] * 1010)
    (job_id,) = upkeep.app.configure_task("task", queue="queue").batch_defer({})
    # As if each had waited for a place when something was paused.
    observer.execute("update adjourn.adjourn_jobs set hold = %s, special = true", (Hold.PAUSED,))
    (manager.resume_task if resumed == "task" else manager.resume_queue)(resumed)
    assert upkeep.manager.place(200).moved
    assert [job.id for job in upkeep.manager.exchange(worker, [], limit=10, queues=None).jobs] == [job_id]
    assert not upkeep.manager.place(200).moved, "it is done, and not begun again and again"


def test_a_line_of_jobs_with_a_limit_does_not_wait_for_all_that_have_none(upkeep: Upkeep) -> None:
    task = upkeep.task(Limit(key="tenant", concurrency=1))
    worker = upkeep.manager.register_worker("one", None, 600)
    limited = set(task.batch_defer(*[{}] * 3))
    upkeep.app.configure_task("plain").batch_defer(*[{}] * 1000)
    upkeep.manager.place(200)
    started: list[int] = []
    outcomes: list[Ended] = []
    while not limited <= set(started):
        exchanged = upkeep.manager.exchange(worker, outcomes, limit=20, queues=None)
        started += [job.id or 0 for job in exchanged.jobs]
        outcomes = [Ended(job.id or 0, job.claim, "succeeded") for job in exchanged.jobs]
    assert len(started) <= 260


async def test_a_short_rate_is_kept_in_every_window_and_its_jobs_do_not_wait_for_the_next_poll(bench: Bench) -> None:
    @bench.app.task(name="task", limits=Limit(rate=Rate(2, 0.05)))
    async def task() -> None:
        """Do nothing."""

    ids = await task.batch_defer_async(*[{}] * 12)
    async with bench.working(fetch_job_polling_interval=600.0), bench.working(fetch_job_polling_interval=600.0):
        await bench.app.job_manager.wait_for_jobs_async(ids, timeout=BOUND)
    jobs = await bench.app.job_manager.list_jobs_async(task="task")
    assert [job.status for job in jobs] == ["succeeded"] * 12
    # Not `started_at`, when the transaction began, which may have had to wait for another one.
    rows = await bench.app.connector.execute_query_all_async("SELECT at, n FROM adjourn.adjourn_starts")
    assert rows
    for first in rows:
        end = first["at"] + datetime.timedelta(seconds=0.05)
        assert sum(row["n"] for row in rows if first["at"] <= row["at"] < end) <= 2


def test_limits_are_looked_through_in_pages(upkeep: Upkeep, observer: psycopg.Connection) -> None:
    task = upkeep.task(Limit(key="tenant", concurrency=1))
    worker = upkeep.manager.register_worker("one", ["served"], 600)
    tenants = [f"tenant {number}" for number in range(7)]
    task.configure(queue="deserted").batch_defer(*({"tenant": tenant} for tenant in tenants))
    upkeep.manager.place(200)
    waiting = task.configure(queue="served").batch_defer(*({"tenant": tenant} for tenant in tenants))
    assert upkeep.claim(worker, ["served"]) == []
    assert upkeep.heal(page=3) == 3
    assert {job.id for job in upkeep.claim(worker, ["served"])} == set(waiting)


def test_a_limit_without_a_free_place_is_not_noted(upkeep: Upkeep) -> None:
    task = upkeep.task(Limit(key="tenant", concurrency=1))
    worker = upkeep.manager.register_worker("one", None, 600)
    task.batch_defer({}, {})
    upkeep.manager.place(200)
    assert len(upkeep.claim(worker)) == 1
    assert upkeep.manager.heal(None, 100) == (0, None)


def test_starts_that_no_rate_asks_for_are_forgotten_in_pages(upkeep: Upkeep, observer: psycopg.Connection) -> None:
    task = upkeep.task(Limit(key="tenant", rate=Rate(10, 3600)))
    task.defer()
    observer.execute(
        "insert into adjourn.adjourn_starts (limit_id, limit_key, at, n)"
        " select l.id + other, 't' || n % 3, now() - n * interval '1 minute', 1"
        " from adjourn.adjourn_limits l cross join generate_series(0, 1) other cross join generate_series(1, 100) n"
    )
    assert upkeep.heal(page=30) == 7
    kept = "select count(*), bool_and(limit_id in (select id from adjourn.adjourn_limits)), min(at) > now() - interval '1 hour' from adjourn.adjourn_starts"
    assert observer.execute(kept).fetchone() == (59, True, True)


def test_a_rate_is_free_again_soon_after_the_clock_of_the_database_was_set_back(
    upkeep: Upkeep, observer: psycopg.Connection
) -> None:
    task = upkeep.task(Limit(key="tenant", rate=Rate(2, 60)))
    worker = upkeep.manager.register_worker("one", None, 600)
    ids = task.batch_defer(*[{}] * 4)
    upkeep.manager.place(200)
    assert [job.id for job in upkeep.claim(worker)] == ids[:2]
    # What the tables hold after it.
    for table in ("starts", "due_rates"):
        observer.execute(f"update adjourn.adjourn_{table} set at = at + interval '1 hour'".encode())
    upkeep.heal()
    assert [job.id for job in upkeep.claim(worker)] == ids[2:]


def test_a_worker_that_died_before_the_clock_was_set_back_is_dead_after_its_time(
    upkeep: Upkeep, observer: psycopg.Connection
) -> None:
    task = upkeep.task(Limit(key="tenant", concurrency=9))
    lost, other = (upkeep.manager.register_worker(name, None, 30) for name in ("lost", "other"))
    job_id = task.defer()
    upkeep.manager.place(200)
    assert [job.id for job in upkeep.claim(lost)] == [job_id]
    observer.execute(
        "update adjourn.adjourn_workers set started_at = started_at + interval '1 hour',"
        " last_heartbeat_at = last_heartbeat_at + interval '1 hour', expires_at = expires_at + interval '1 hour'"
    )
    # The other one lives.
    upkeep.manager.heartbeat(other, 30, (), (), None)
    upkeep.heal()
    left = "select extract(epoch from max(expires_at) - now()) between 25 and 31, count(*) from adjourn.adjourn_workers"
    assert observer.execute(left).fetchone() == (True, 2)
    observer.execute("update adjourn.adjourn_workers set expires_at = expires_at - interval '31 s' where name = 'lost'")
    assert upkeep.manager.heartbeat(other, 30, (), (), None).expired
    assert upkeep.manager.rescue(5, 0).counts == (1, 0)


def test_a_worker_that_meets_another_goes_on_later_from_where_it_was(
    upkeep: Upkeep, observer: psycopg.Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upkeep.manager.register_worker("one", None, 600)
    for number in range(7):
        upkeep.app.configure_task("any", lock=f"lock {number}", allow_unknown=True).batch_defer({}, {})
    upkeep.manager.place(200)
    observer.execute("delete from adjourn.adjourn_jobs where hold = 0 and lock = 'lock 6'")
    _, rest = upkeep.manager.heal(None, 3)
    monkeypatch.setattr(caretaker, "HEALED", 3)
    timetable = Timetable(healed_to=rest)
    ours = caretaker.SyncCaretaker(upkeep.manager, "one", timetable, 30.0, 30, upkeep.app.events)
    with psycopg.connect(database) as other:
        other.execute("select adjourn.adjourn_heal_v1(null, 3)")
        ours.keep_up()
        assert timetable.healed_to == rest
        other.rollback()
    timetable.heal_at = 0.0
    ours.keep_up()
    assert timetable.healed_to is None
    row = observer.execute("select count(*) from adjourn.adjourn_jobs where hold = 0 and lock = 'lock 6'").fetchone()
    assert row == (1,)


@pytest.mark.parametrize("kind", ["locks", "limits", "starts"])
def test_each_kind_of_damage_is_looked_through_in_pages_by_a_function_of_its_own(
    upkeep: Upkeep, observer: psycopg.Connection, kind: str
) -> None:
    jobs = "insert into adjourn.adjourn_jobs (queue, task_name, priority, args, "
    rows = " from generate_series(1, 5) n"
    made, healed, left = {
        "locks": (
            jobs + "hold, lock) select 'default', 'task', 0, '{}', 2, 'key ' || n" + rows,
            "select following from adjourn.adjourn_heal_locks_v1(coalesce(%s::jsonb #>> '{}', ''), 2)",
            "select 5 - count(distinct lock) from adjourn.adjourn_headless_locks",
        ),
        "limits": (
            jobs
            + "hold, special, gate_id, gate_key) select 'default', 'task', 0, '{}', 7, true, 1, 'key ' || n"
            + rows,
            (
                "with begin(at) as (select coalesce(%s::jsonb, '[0, \"\"]'))"
                " select following from begin, adjourn.adjourn_heal_limits_v1((at ->> 0)::integer, at ->> 1, 2)"
            ),
            "select 5 - count(distinct limit_key) from adjourn.adjourn_open_limits",
        ),
        "starts": (
            "insert into adjourn.adjourn_starts (limit_id, limit_key, at, n) select 1, 'key ' || n, '2020-01-01', 1"
            + rows,
            (
                'with begin(at) as (select coalesce(%s::jsonb, \'[0, "", "-infinity"]\'))'
                " select following from begin,"
                " adjourn.adjourn_heal_starts_v1((at ->> 0)::integer, at ->> 1, (at ->> 2)::timestamptz, 2) following"
            ),
            "select count(*) from adjourn.adjourn_starts",
        ),
    }[kind]
    observer.execute(made)
    following, pages = None, 0
    while following is not None or pages == 0:
        (following,) = observer.execute(healed, [None if following is None else json.dumps(following)]).fetchone() or (
            None,
        )
        pages += 1
    assert pages in {2, 3}
    assert observer.execute(left).fetchone() == (0,)


def test_a_heartbeat_of_later_than_now_is_one_of_now(upkeep: Upkeep, observer: psycopg.Connection) -> None:
    worker = upkeep.manager.register_worker("one", None, 600)
    beats = "update adjourn.adjourn_workers set last_heartbeat_at = now() + interval '1 day', expires_at = now() + interval '1 day 30 s'"
    observer.execute(beats)
    observer.execute("select adjourn.adjourn_heal_heartbeats_v1()")
    later = "select id, expires_at - last_heartbeat_at, last_heartbeat_at <= now() from adjourn.adjourn_workers"
    assert observer.execute(later).fetchone() == (worker, datetime.timedelta(seconds=30), True)


@pytest.mark.parametrize("scope", ["queue", "task"])
def test_a_pause_sets_jobs_aside_in_pages_however_many_others_wait(
    upkeep: Upkeep, observer: psycopg.Connection, scope: str
) -> None:
    task = upkeep.task(Limit(key="tenant", concurrency=1))
    upkeep.manager.register_worker("one", None, 600)
    task.defer(tenant="another")
    number = 21_000
    # What other tests have left in the indexes would be read, too.
    observer.execute("vacuum (index_cleanup on) adjourn.adjourn_jobs")
    # Jobs that wait in one long line, in many short ones and in lines of several priorities, and places of jobs that have not begun.
    observer.execute(
        "insert into adjourn.adjourn_jobs"
        " (queue, task_name, priority, args, hold, special, limit_id, limit_key, gate_id, gate_key, key_slot)"
        " select case when n %% 1000 < 3 then 'paused' else 'queue' end, case when n %% 1000 < 3 then 'paused' else 'task' end, n %% 7, '{}',"
        " case when n %% 3 = 2 then 0 else 7 end, true, l.id, key, case when n %% 3 < 2 then l.id end, case when n %% 3 < 2 then key end,"
        " case when n %% 3 = 2 then 0 end from adjourn.adjourn_limits l, generate_series(1, %s) n,"
        " lateral (select case n %% 3 when 0 then 'one' else 'key ' || n end) k(key)",
        [number],
    )
    getattr(upkeep.app.job_manager, f"pause_{scope}")("paused")
    waiting = "select count(*) from adjourn.adjourn_jobs where queue = 'paused' and hold <> 8"
    assert observer.execute(waiting).fetchone() == (3 * number // 1000,)
    read = (
        "select sum(pg_stat_get_xact_tuples_returned(c.oid)) from pg_class c"
        " where c.oid = 'adjourn.adjourn_jobs'::regclass or c.relname ~ '^adjourn_jobs_'"
    )
    most, pages = 0, 0
    while observer.execute("select 1 from adjourn.adjourn_open_limits where limit_id = 0").fetchone():
        with observer.transaction():
            (before,) = observer.execute(read).fetchone() or (0,)
            observer.execute("select from adjourn.adjourn_place_v1(200)")
            (after,) = observer.execute(read).fetchone() or (0,)
        most, pages = max(most, after - before), pages + 1
        assert pages < number
    assert observer.execute(waiting).fetchone() == (0,)
    others = "select count(*) from adjourn.adjourn_jobs where queue <> 'paused' and hold = 8"
    assert observer.execute(others).fetchone() == (0,)
    assert pages > 1
    assert most < number / 2
    getattr(upkeep.app.job_manager, f"resume_{scope}")("paused")
    while (placed := upkeep.manager.place(200)).moved or placed.is_to_repeat:
        pass
    assert observer.execute("select count(*) from adjourn.adjourn_jobs where hold = 8").fetchone() == (0,)


@pytest.mark.parametrize("hold", [Hold.READY, Hold.APART, Hold.UNKNOWN])
@pytest.mark.parametrize("scope", ["key", "task"])
def test_a_job_of_a_paused_queue_leaves_its_place_to_other_queues(
    upkeep: Upkeep, observer: psycopg.Connection, scope: str, hold: Hold
) -> None:
    task = upkeep.task(Limit(key="tenant", concurrency=1) if scope == "key" else Limit(concurrency=1))
    if scope == "task":
        upkeep.app.job_manager.set_limit(task="task", concurrency=1)
    worker = upkeep.manager.register_worker("one", None, 600)
    first = task.configure(queue="paused").defer()
    upkeep.manager.place(200)
    # Two of its workers have died, or one has not known its task.
    columns = {Hold.APART: "doubts = 2", Hold.UNKNOWN: "unknown_since = now()"}.get(hold, "doubts = 0")
    change = f"update adjourn.adjourn_jobs set hold = %s, {columns} where coalesce(key_slot, task_slot) is not null returning id"
    assert observer.execute(change.encode(), [hold]).fetchall() == [(first,)]
    upkeep.app.job_manager.pause_queue("paused")
    upkeep.manager.place(200)
    second = task.configure(queue="open").defer()
    (job,) = upkeep.claim(worker)
    assert job.id == second
    upkeep.app.job_manager.finish_job(job, adjourn.Status.SUCCEEDED)
    upkeep.app.job_manager.resume_queue("paused")
    upkeep.manager.place(200)
    assert observer.execute("select hold from adjourn.adjourn_jobs").fetchall() == [(hold,)]


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_a_worker_that_registers_during_a_strict_transaction_learns_what_it_has_paused(
    upkeep: Upkeep, database: str, isolation: str
) -> None:
    upkeep.app.configure_task("any", queue="paused", allow_unknown=True).defer()
    with psycopg.connect(database) as connection:
        connection.execute(f"set transaction isolation level {isolation}".encode())
        connection.execute("select from adjourn.adjourn_jobs")
        worker = upkeep.manager.register_worker("one", None, 600)
        upkeep.app.job_manager.pause_queue("paused", connection=connection)
    upkeep.manager.place(200)
    assert upkeep.claim(worker) == []
    upkeep.app.job_manager.resume_queue("paused")
    assert len(upkeep.claim(worker)) == 1
