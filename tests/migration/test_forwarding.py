"""From `start` on, what old programs do and what new ones do is one queue."""

from __future__ import annotations

import datetime
import threading
from collections import Counter

import psycopg
import pytest

import adjourn
from adjourn.jobs import Job
from adjourn.migration import Migration
from support.procrastinates import Old
from support.sessions import BLOCKED
from support.waiting import until

LATER = datetime.datetime(2050, 1, 1, tzinfo=datetime.UTC)


def ours(app: adjourn.App, **filters: object) -> list[Job]:
    """The jobs that wait or run in adjourn's tables, by id."""
    found = app.job_manager.list_jobs(**filters)  # type: ignore[arg-type]
    return sorted((job for job in found if job.status in ("todo", "doing")), key=lambda job: job.id or 0)


def holds(old: Old) -> dict[int, int]:
    """The column ``hold`` of adjourn's jobs."""
    return {row["id"]: row["hold"] for row in old.run("select id, hold from adjourn.adjourn_jobs")}


def test_a_job_that_an_old_producer_defers_is_adjourns_at_its_commit(
    migration: Migration, old: Old, app: adjourn.App
) -> None:
    migration.start()
    with old.connection.transaction():
        job_id = old.defer(queue="mail", priority=3, lock="a", queueing_lock="q", at=LATER, word="ü%")
        assert old.jobs() == [job_id]
        assert ours(app) == []
    assert old.jobs() == []
    (job,) = ours(app)
    assert (job.id, job.queue, job.task_name, job.priority) == (job_id, "mail", "echo", 3)
    assert (job.lock, job.queueing_lock, job.task_kwargs, job.scheduled_at) == ("a", "q", {"word": "ü%"}, LATER)
    assert (job.attempts, job.status) == (0, "todo")


def test_what_a_producer_rolls_back_is_nowhere(migration: Migration, old: Old, app: adjourn.App) -> None:
    migration.start()
    with old.connection.transaction(force_rollback=True):
        old.defer(lock="a")
    assert old.jobs() == []
    assert ours(app) == []


def test_ids_of_new_jobs_are_beyond_those_of_old_ones(migration: Migration, old: Old, app: adjourn.App) -> None:
    first = old.defer()
    migration.start(id_gap=1000)
    assert app.tasks["echo"].defer() == first + 1001
    assert old.defer() == first + 1
    assert migration.status().facts["ids_left"] == 1000


def test_a_queueing_lock_is_taken_for_both(migration: Migration, old: Old, app: adjourn.App) -> None:
    old.defer(queueing_lock="theirs")
    migration.start()
    with pytest.raises(adjourn.exceptions.AlreadyEnqueued):
        app.configure_task("echo", queueing_lock="theirs").defer()
    app.configure_task("echo", queueing_lock="ours").defer()
    with pytest.raises(psycopg.errors.UniqueViolation) as refusal:
        old.defer(queueing_lock="ours")
    # By these Procrastinate recognises it.
    assert refusal.value.diag.constraint_name == "procrastinate_jobs_queueing_lock_idx_v1"
    assert refusal.value.diag.message_detail == "Key (queueing_lock)=(ours) already exists."
    old.defer(queueing_lock="forwarded")
    with pytest.raises(psycopg.errors.UniqueViolation):
        old.defer(queueing_lock="forwarded")
    assert [job.queueing_lock for job in ours(app)] == ["forwarded", "ours"]


def test_two_producers_that_take_a_queueing_lock_at_once_lose_no_job(
    migration: Migration, old: Old, app: adjourn.App, both: str
) -> None:
    migration.start()
    second = Old(both)
    with old.connection.transaction():
        old.defer(queueing_lock="q")
        thread = threading.Thread(target=second.defer, kwargs={"queueing_lock": "q", "word": 2})
        thread.start()
        until(lambda: app.connector.execute_query_all(BLOCKED))
    thread.join()
    second.connection.close()
    assert len(ours(app)) == 2
    assert old.jobs() == []


def test_two_open_transactions_of_both_systems_may_take_one_queueing_lock(
    migration: Migration, old: Old, app: adjourn.App, both: str
) -> None:
    migration.start()
    with psycopg.connect(both) as connection:
        app.configure_task("echo", queueing_lock="q", connection=connection).defer()
        thread = threading.Thread(target=old.defer, kwargs={"queueing_lock": "q"})
        thread.start()
        until(lambda: app.connector.execute_query_all(BLOCKED))
        connection.commit()
    thread.join()
    # The page says so: nobody is told, and both run.
    app.run_worker(wait=False)
    assert [job.status for job in app.job_manager.list_jobs(task="echo")] == ["succeeded", "succeeded"]


def test_a_tick_is_deferred_by_one_of_both(migration: Migration, old: Old, app: adjourn.App) -> None:
    migration.start()
    job = Job(task_name="tick", queue="default", lock=None, queueing_lock=None, task_kwargs={"timestamp": 1_000_020})
    assert old.defer_tick(1_000_000) is not None
    assert old.defer_tick(1_000_000) is None
    assert app.job_manager.defer_periodic_job(job, "", 1_000_000) is None
    assert app.job_manager.defer_periodic_job(job, "", 1_000_020) is not None
    assert old.defer_tick(1_000_020) is None
    assert old.defer_tick(1_000_010) is None
    assert old.defer_tick(1_000_040) is not None
    assert len(ours(app)) == 3
    assert old.jobs() == []


def test_the_last_ticks_are_taken_over(migration: Migration, old: Old, app: adjourn.App) -> None:
    old.defer_tick(1_000_000)
    assert migration.start().facts["schedules"] == 1
    (schedule,) = app.job_manager.list_schedules()
    assert (schedule["task_name"], schedule["last_tick"].timestamp()) == ("tick", 1_000_000)
    assert old.defer_tick(1_000_000) is None


def test_a_job_stays_with_those_of_its_lock(migration: Migration, old: Old, app: adjourn.App) -> None:
    first = old.defer(lock="a")
    migration.start()
    assert old.fetch(old.register()) is not None
    second = old.defer(lock="a")
    assert old.jobs() == [second]
    other = old.defer(lock="b")
    assert [job.id for job in ours(app)] == [other]
    old.end(first)
    # The one that waits keeps the lock there.
    third = old.defer(lock="a")
    assert old.jobs() == [second, third]
    list(migration.move())
    assert old.jobs() == []
    assert [job.id for job in ours(app)] == sorted([second, third, other])


@pytest.mark.parametrize("saved", [False, True])
def test_jobs_of_one_lock_from_one_transaction_move_together(
    migration: Migration, old: Old, app: adjourn.App, saved: bool
) -> None:
    migration.start()
    with old.connection.transaction():
        if saved:
            with old.connection.transaction():
                old.defer(lock="a")
        else:
            old.defer(lock="a")
        old.defer(lock="a")
    assert old.jobs() == []
    assert len(ours(app)) == 2
    assert set(holds(old).values()) == {3}


def test_a_job_of_ours_is_held_while_its_lock_is_theirs(migration: Migration, old: Old, app: adjourn.App) -> None:
    theirs = old.defer(lock="a")
    old.fetch(old.register())
    migration.start()
    held = app.configure_task("echo", lock="a").defer()
    later = app.configure_task("echo", lock="a", schedule_at=LATER).defer()
    free = app.configure_task("echo", lock="b").defer()
    assert holds(old) == {held: 6, later: 6, free: 3}
    assert migration.status().facts["held"] == 2
    app.run_worker(wait=False)
    assert {job.id for job in ours(app)} == {held, later}
    # Rescheduling it does not let it go.
    app.job_manager.retry_job_by_id(held, datetime.datetime.now(datetime.UTC))
    assert holds(old)[held] == 6
    old.end(theirs)
    list(migration.move())
    assert holds(old) == {held: 3, later: 1}
    app.run_worker(wait=False)
    assert {job.id for job in ours(app)} == {later}


def test_a_retry_of_an_old_worker_moves_at_its_commit(migration: Migration, old: Old, app: adjourn.App) -> None:
    job_id = old.defer(lock="a")
    migration.start()
    old.fetch(old.register())
    old.retry(job_id, LATER)
    (job,) = ours(app)
    assert (job.id, job.attempts, job.scheduled_at) == (job_id, 1, LATER)


def test_a_trigger_that_fails_leaves_the_job_where_it_is(migration: Migration, old: Old, app: adjourn.App) -> None:
    migration.start()
    old.run("alter table adjourn.adjourn_jobs add constraint no_shoes check (task_name <> 'shoes')")
    job_id = old.defer("shoes")
    assert old.jobs() == [job_id]
    report = migration.status()
    assert report.facts["problems"][0]["what"] == "a job was not moved"
    assert "no_shoes" in report.as_text()


def test_a_producer_needs_no_right_in_our_schema(migration: Migration, old: Old, app: adjourn.App, both: str) -> None:
    migration.start()
    old.run("drop role if exists migration_producer")
    old.run("create role migration_producer")
    old.run("grant select, insert, update, delete on all tables in schema public to migration_producer")
    old.run("grant usage on all sequences in schema public to migration_producer")
    try:
        old.run("set role migration_producer")
        job_id = old.defer(lock="a", queueing_lock="q")
        assert old.defer_tick(1_000_000) is not None
        assert old.jobs() == []
    finally:
        old.run("reset role")
        old.run("drop owned by migration_producer")
        old.run("drop role migration_producer")
    assert job_id in [job.id for job in ours(app)]


def test_without_forwarding_ticks_are_shared_and_locks_wait(migration: Migration, old: Old, app: adjourn.App) -> None:
    migration.start(forwarding=False)
    theirs = old.defer(lock="a")
    assert old.jobs() == [theirs]
    held = app.configure_task("echo", lock="b").defer()
    old.defer_tick(1_000_000)
    job = Job(task_name="tick", queue="default", lock=None, queueing_lock=None, task_kwargs={"timestamp": 1_000_000})
    assert app.job_manager.defer_periodic_job(job, "", 1_000_000) is None
    assert holds(old) == {held: 6}
    with pytest.raises(adjourn.exceptions.AdjournException, match="no-forwarding"):
        list(migration.move())
    migration.start()
    list(migration.move())
    assert old.jobs() == []
    assert held in holds(old)
    assert set(holds(old).values()) == {0, 3}


def test_a_job_that_stays_keeps_its_lock_there_until_its_commit(
    migration: Migration, old: Old, app: adjourn.App, both: str
) -> None:
    first = old.defer(lock="a")
    old.fetch(old.register())
    migration.start()
    with Old(both) as worker, Old(both) as producer:
        with producer.connection.transaction():
            second = producer.defer(lock="a")
            # The trigger decides now, and not only at the commit.
            producer.run("set constraints all immediate")
            ending = threading.Thread(target=worker.end, args=[first])
            ending.start()
            until(lambda: old.run(BLOCKED))
            held = app.configure_task("echo", lock="a").defer()
            assert [report.facts["moved"] for report in migration.move()] == [0]
            assert holds(old) == {held: 6}
        ending.join()
    assert old.jobs() == [second]
    list(migration.move())
    assert holds(old) == {second: 3, held: 3}


def test_a_large_batch_moves_at_its_commit(migration: Migration, old: Old, app: adjourn.App) -> None:
    migration.start()
    number = 500
    old.run(
        "select procrastinate_defer_jobs_v1(array(select row('q', 'echo', 0, 'a' || nullif(n % 7, 0), null, '{}', null)"
        "::procrastinate_job_to_defer_v1 from generate_series(1, 500) n))"
    )
    refused, queued = old.defer(queue=""), old.defer(queueing_lock="q")
    assert old.jobs() == [refused]
    assert len(holds(old)) == number + 1
    assert Counter(holds(old).values()) == {3: number - number // 7, 0: number // 7 + 1}
    assert queued in holds(old)


def test_a_producer_may_set_constraints_immediate(migration: Migration, old: Old) -> None:
    migration.start()
    with old.connection.transaction():
        old.run("set constraints all immediate")
        jobs = [old.defer(), old.defer(lock="a"), old.defer(queueing_lock="q")]
    assert old.jobs() == []
    assert list(holds(old)) == jobs


def test_the_jobs_of_a_transaction_wait_together_for_what_others_lock(
    migration: Migration, old: Old, both: str
) -> None:
    first = old.defer(lock="a")
    migration.start()
    with Old(both) as other, other.connection.transaction():
        other.run("select from procrastinate_jobs where id = %s for update", first)
        with old.connection.transaction():
            old.run("set local lock_timeout = '10s'")
            jobs = [old.defer(lock="a") for _ in range(4)]
            began = old.value("select clock_timestamp()")
            old.run("set constraints all immediate")
            waited = old.value("select clock_timestamp()") - began
            assert old.value("show lock_timeout") == "10s"
    assert waited < datetime.timedelta(seconds=4)
    assert old.jobs() == [first, *jobs]
