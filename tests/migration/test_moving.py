"""`move` and `history` take everything over that can be, once, and can be interrupted at any time."""

from __future__ import annotations

import datetime
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import adjourn
from adjourn.exceptions import ConnectorException, InvalidOption
from adjourn.jobs import Job
from adjourn.migration import Migration, MigrationRefused
from support.procrastinates import RELEASES, Old
from support.waiting import until

LATER = datetime.datetime(2050, 1, 1, tzinfo=datetime.UTC)
COLUMNS = "id, queue_name as queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts"


def move(migration: Migration, **options: Any) -> dict[str, Any]:
    """Move, and return the facts of the last report."""
    *_, last = migration.move(**options)
    return dict(last.facts)


def ours(old: Old, table: str = "adjourn_jobs") -> list[dict[str, Any]]:
    """Jobs in a table of adjourn, in the columns that both have."""
    columns = COLUMNS.replace("queue_name as ", "")
    return old.run(f"select {columns} from adjourn.{table} order by id")


def fill_many(old: Old, number: int, status: str = "todo", lock: str = "null") -> None:
    """Store many jobs at once."""
    old.run(
        "insert into procrastinate_jobs (queue_name, task_name, args, status, lock, priority, attempts)"
        f" select 'default', 'echo', jsonb_build_object('n', n), %s::procrastinate_job_status, {lock}, n %% 3, n %% 2"
        " from generate_series(1, %s::integer) n",
        status,
        number,
    )


@pytest.mark.parametrize("release", RELEASES)
def test_jobs_are_the_same_before_and_after(migration: Migration, old: Old, app: adjourn.App, release: str) -> None:
    old.defer(priority=-7, word="ü", deep={"list": [1, None, 2.5]})
    old.defer(queue="mail", lock="a", queueing_lock="q")
    old.defer(lock="a", at=LATER)
    old.defer("other")
    retried = old.defer(priority=9)
    running = old.fetch(old.register())
    assert running is not None
    assert running["id"] == retried
    old.retry(retried, LATER)
    before = old.run(f"select {COLUMNS} from procrastinate_jobs order by id")
    deferred_at = old.value("select min(at) from procrastinate_events")
    migration.start()
    assert move(migration)["moved"] == 5
    assert ours(old) == before
    assert old.jobs() == []
    assert old.value("select min(enqueued_at) from adjourn.adjourn_jobs") == deferred_at
    assert {row["id"]: row["hold"] for row in old.run("select id, hold from adjourn.adjourn_jobs")} == {
        1: 0,
        2: 3,
        3: 1,
        4: 0,
        5: 1,
    }
    assert move(migration)["moved"] == 0


def test_a_refused_job_stays_and_everything_else_moves(migration: Migration, old: Old) -> None:
    nameless = old.defer(queue="")
    listed = old.value(
        "insert into procrastinate_jobs (queue_name, task_name, args, lock) values ('q', 'echo', '[1]', 'bad') returning id"
    )
    behind = old.defer(lock="bad")
    moves = old.defer()
    plan = migration.plan()
    assert f"{nameless} (its queue has no name), {listed} (its arguments are no object)" in plan.as_text()
    migration.start()
    assert move(migration)["moved"] == 1
    assert old.jobs() == [nameless, listed, behind]
    assert [job["id"] for job in ours(old)] == [moves]
    # One that comes later stays, too.
    another = old.defer(queue="")
    assert old.jobs() == [nameless, listed, behind, another]
    report = list(migration.move())[-1]
    assert "3 jobs cannot be moved" in report.as_text()


def test_only_the_jobs_of_a_queue_are_moved(migration: Migration, old: Old) -> None:
    kept = [old.defer(), old.defer(lock="a")]
    kept.append(old.defer(queue="mail", lock="a"))
    moves = old.defer(queue="mail", lock="b")
    migration.start()
    assert move(migration, queue="mail")["moved"] == 1
    assert old.jobs() == kept
    assert [job["id"] for job in ours(old)] == [moves]


@pytest.mark.parametrize("release", RELEASES)
def test_a_running_job_is_taken_over_only_on_request(
    migration: Migration, old: Old, app: adjourn.App, release: str
) -> None:
    job_id = old.defer(lock="a")
    behind = old.defer(lock="a")
    worker = old.register()
    old.fetch(worker)
    migration.start()
    assert move(migration, take_over_stalled=True, stalled_after=60)["moved"] == 0
    # Its worker is gone.
    if worker is not None:
        old.run("update procrastinate_workers set last_heartbeat = now() - interval '1 minute'")
        assert f"Job {job_id} of echo runs, and its worker is gone" in migration.plan().as_text()
        options: dict[str, Any] = {}
    else:
        old.run("update procrastinate_events set at = now() - interval '1 minute'")
        options = {"stalled_after": 30.0}
        with pytest.raises(MigrationRefused, match="--stalled-after"):
            move(migration, take_over_stalled=True)
    assert move(migration)["moved"] == 0
    assert old.jobs("doing") == [job_id]
    facts = move(migration, take_over_stalled=True, **options)
    assert (facts["moved"], facts["taken_over"]) == (2, 1)
    assert {job.id for job in app.job_manager.list_jobs()} == {job_id, behind}
    (taken,) = app.job_manager.list_jobs(id=job_id)
    assert taken.attempts == 1
    assert taken.errors[0]["message"] == "taken over from Procrastinate, whose worker was lost"


def test_a_lost_job_that_was_to_be_aborted_is_aborted(migration: Migration, old: Old, app: adjourn.App) -> None:
    job_id = old.defer()
    old.fetch()
    old.cancel(job_id, abort=True)
    migration.start()
    assert move(migration, take_over_stalled=True)["taken_over"] == 1
    assert app.job_manager.get_job_status(job_id) == "aborted"


def test_a_lock_that_is_always_busy_is_kept_from_old_workers_for_a_moment(
    migration: Migration, old: Old, both: str
) -> None:
    number, ran, stopped = 300, [], threading.Event()
    fill_many(old, number, lock="'a'")

    def work() -> None:
        busy = Old(both)
        worker = busy.register()
        while not stopped.is_set():
            if job := busy.fetch(worker):
                time.sleep(0.02)
                busy.end(job["id"])
                ran.append(job["id"])
        busy.connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        until(lambda: ran)
        migration.start()
        moved = move(migration)["moved"]
    finally:
        stopped.set()
        thread.join()
    assert moved > 0
    assert old.jobs() == []
    assert sorted([*ran, *(job["id"] for job in ours(old))]) == list(range(1, number + 1))


def test_the_dry_run_of_each_step_changes_nothing(app: adjourn.App, old: Old) -> None:
    old.defer(lock="a")
    fill_many(old, 5, "succeeded")
    dry, real = Migration(app, dry_run=True), Migration(app)
    assert "dry run" in dry.start().as_text()
    with pytest.raises(MigrationRefused, match="not been started"):
        real.status()
    real.start()
    before = (
        old.run("select * from procrastinate_jobs order by id"),
        old.run("select * from adjourn.adjourn_procrastinate"),
    )
    assert move(dry)["moved"] == 1
    assert dry.history().facts["copied"] == 5
    assert dry.rollback().facts["given_back"] == 0
    real.status()
    assert dry.finish(force=True).facts["commands"]
    assert (
        old.run("select * from procrastinate_jobs order by id"),
        old.run("select * from adjourn.adjourn_procrastinate"),
    ) == before
    assert ours(old) == []


def test_a_mover_that_is_killed_again_and_again_moves_all_once(
    migration: Migration, old: Old, both: str, tmp_path: Path
) -> None:
    number = 3000
    fill_many(old, number, lock="case when n % 5 = 0 then 'lock ' || n % 50 end".replace("%", "%%"))
    before = old.run(f"select {COLUMNS} from procrastinate_jobs order by id")
    migration.start()
    (tmp_path / "mover.py").write_text(MOVER)
    chance = random.Random(7)
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "mover.py", both], cwd=tmp_path, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    # What was under way is rolled back when the server notices.
    until(lambda: old.value("select count(*) from pg_stat_activity where application_name = 'mover'") == 0)
    moved = len(ours(old))
    assert len(old.jobs()) + moved == number
    list(migration.move(batch=100))
    assert ours(old) == before
    assert old.jobs() == []


MOVER = """
import sys, adjourn
from adjourn.migration import Migration

app = adjourn.App(connector=adjourn.SyncPsycopgConnector(conninfo=sys.argv[1], kwargs={"application_name": "mover"}))
with app.open():
    print("ready", flush=True)
    list(Migration(app).move(batch=20))
"""


@pytest.mark.parametrize("release", RELEASES)
def test_history_has_the_times_of_events_and_tables_of_old_weeks(
    migration: Migration, old: Old, app: adjourn.App, release: str
) -> None:
    ids = {}
    for status in ("succeeded", "failed"):
        old.defer(priority=2, lock="a")
        job = old.fetch(old.register())
        assert job is not None
        ids[job["id"]] = status
        old.end(job["id"], status)
    cancelled = old.defer()
    old.cancel(cancelled)
    ids[cancelled] = "cancelled"
    bare = old.value(
        "insert into procrastinate_jobs (queue_name, task_name, status) values ('q', 'echo', 'succeeded') returning id"
    )
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(weeks=10)
    week = f"adjourn.adjourn_finished_jobs_{long_ago - datetime.timedelta(days=long_ago.weekday()):%Y%m%d}"
    old.run("update procrastinate_events set at = %s::timestamptz + id * interval '1 second'", long_ago)
    old.run("delete from procrastinate_events where job_id = %s", bare)
    migration.start()
    report = migration.history()
    assert report.facts["copied"] == 4
    assert {row["id"]: row["status"] for row in old.run("select id, status from adjourn.adjourn_finished_jobs")} == {
        **ids,
        bare: "succeeded",
    }
    first = min(ids)
    (row,) = old.run("select * from adjourn.adjourn_finished_jobs where id = %s", first)
    events = {
        row["type"]: row["at"]
        for row in old.run("select type::text, at from procrastinate_events where job_id = %s", first)
    }
    assert (row["enqueued_at"], row["started_at"], row["finished_at"]) == (
        events["deferred"],
        events["started"],
        events["succeeded"],
    )
    assert (row["attempts"], row["priority"], row["lock"]) == (1, 2, "a")
    assert old.value(f"select count(*) from {week}") == 3
    assert migration.history().facts["copied"] == 0
    # A week of them is dropped whole.
    app.job_manager.delete_old_jobs(24, include_failed=True, include_cancelled=True)
    assert old.value("select to_regclass(%s) is null", week)


def test_history_goes_on_where_it_was_and_finds_what_ended_meanwhile(migration: Migration, old: Old) -> None:
    late = old.defer()
    fill_many(old, 25, "succeeded")
    migration.start()
    old.fetch(old.register())
    assert migration.history(batch=10).facts["copied"] == 25
    old.end(late)
    assert migration.history(batch=10).facts["copied"] == 1
    assert migration.history().facts["copied"] == 0
    assert old.value("select count(*) from adjourn.adjourn_finished_jobs") == 26
    assert migration.status().facts["history_done"]


HISTORY = """
import sys, adjourn
from adjourn.migration import Migration

app = adjourn.App(connector=adjourn.SyncPsycopgConnector(conninfo=sys.argv[1], kwargs={"application_name": "history"}))
with app.open():
    print(Migration(app).history(batch=int(sys.argv[2])).facts["copied"])
# `ru_maxrss` would count what the process was before it became this program.
(peak,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory as Linux tells it")
@pytest.mark.timeout(1800)
def test_a_long_history_is_copied_in_little_memory_and_goes_on_after_a_kill(
    migration: Migration, old: Old, both: str
) -> None:
    number, batch = (1_000_000, 10_000) if "ADJOURN_TEST_THOROUGH" in os.environ else (3_000, 100)
    fill_many(old, number, "succeeded")
    # They have ended in the course of ten weeks.
    old.run(
        "insert into procrastinate_events (job_id, type, at)"
        " select id, 'succeeded', now() - interval '10 weeks' * id / %s::float from procrastinate_jobs",
        number,
    )
    migration.start()
    line = [sys.executable, "-c", HISTORY, both, str(batch)]
    done = "select count(*) from adjourn.adjourn_finished_jobs"
    with subprocess.Popen(line) as killed:
        until(lambda: old.value(done) > number // 10)
        killed.kill()
    until(lambda: old.value("select count(*) from pg_stat_activity where application_name = 'history'") == 0)
    copied = old.value(done)
    assert number // 10 < copied < number
    again = subprocess.run(line, capture_output=True, text=True, check=True)
    rest, megabytes = map(int, again.stdout.split())
    assert (rest, old.value(done)) == (number - copied, number)
    assert megabytes < 200
    weeks = old.run(
        "select relname as name from pg_class where relname ~ 'adjourn_finished_jobs_[0-9]+$' and relkind = 'r' order by 1"
    )
    old.run(f"drop table adjourn.{weeks[1]['name']}")
    assert number * 0.8 < old.value(done) < number * 0.95


def test_history_since_a_time_leaves_older_jobs(migration: Migration, old: Old) -> None:
    job_id = old.defer()
    old.fetch()
    old.end(job_id)
    migration.start()
    now = datetime.datetime.now(datetime.UTC)
    assert migration.history(since=now + datetime.timedelta(hours=1)).facts["copied"] == 0


def test_a_failed_job_that_is_retried_after_it_was_copied_is_there_once(
    migration: Migration, old: Old, app: adjourn.App
) -> None:
    job_id = old.defer()
    old.fetch()
    old.end(job_id, "failed")
    migration.start()
    migration.history()
    old.retry(job_id)
    assert old.jobs() == []
    assert [(job.id, job.status) for job in app.job_manager.list_jobs()] == [(job_id, "todo")]


def test_jobs_get_new_ids_if_ours_has_theirs(app: adjourn.App, old: Old) -> None:
    app.tasks["echo"].defer()
    ended = old.defer()
    old.fetch(old.register())
    old.end(ended)
    waiting = old.defer(lock="a")
    migration = Migration(app)
    migration.start(map_ids=True)
    forwarded = old.defer(lock="b")
    list(migration.move())
    migration.history()
    new = {row["old_id"]: row["new_id"] for row in old.run("select * from adjourn.adjourn_migrated_ids")}
    assert sorted(new) == [ended, waiting, forwarded]
    assert sorted(job.id or 0 for job in app.job_manager.list_jobs()) == [1, 2, 3, 4]
    assert app.job_manager.get_job_status(new[ended]) == "succeeded"
    assert migration.status().facts["forwarded_last_hour"] == 3
    migration.finish(force=True)
    assert old.value("select count(*) from adjourn.adjourn_migrated_ids") == 3


@pytest.mark.parametrize("release", RELEASES)
def test_a_rollback_gives_everything_back_that_waits(
    migration: Migration, old: Old, app: adjourn.App, release: str
) -> None:
    number = 1000 if "ADJOURN_TEST_THOROUGH" in os.environ else 150
    fill_many(old, number, lock="case when n %% 10 = 0 then 'a' end")
    before = old.run(f"select {COLUMNS} from procrastinate_jobs order by id")
    migration.start()
    assert move(migration)["moved"] == number
    new = app.configure_task("echo", queueing_lock="q", lock="a").defer()
    job = Job(task_name="tick", queue="default", lock=None, queueing_lock=None, task_kwargs={"timestamp": 1_000_020})
    tick = app.job_manager.defer_periodic_job(job, "", 1_000_020)
    assert migration.rollback().facts["given_back"] == number + 2
    assert old.run(f"select {COLUMNS} from procrastinate_jobs where id <= %s order by id", number) == before
    assert old.jobs()[number:] == [new, tick]
    assert ours(old) == []
    assert old.defer() > max(new, tick or 0)
    assert old.defer_tick(1_000_020) is None
    worker, ran = old.register(), []
    while running := old.fetch(worker):
        ran.append(running["id"])
        old.end(running["id"])
    assert len(ran) == len(set(ran)) == number + 3
    # Everything that the migration made is gone.
    assert old.run("select tgname from pg_trigger where tgname ~ 'adjourn' and tgname !~ '^adjourn_workers_'") == []
    assert old.run("select proname from pg_proc where starts_with(proname, 'adjourn_procrastinate_')") == []
    migration.start()


def test_after_a_rollback_a_migration_begins_again_with_the_same_ids(
    migration: Migration, old: Old, app: adjourn.App
) -> None:
    copied, retried, ran, waits = (old.defer(n=number) for number in range(4))
    for job_id, status in ((copied, "succeeded"), (retried, "failed")):
        assert old.fetch(old.register())
        old.end(job_id, status)
    migration.start()
    migration.history()
    list(migration.move())
    app.job_manager.cancel_job_by_id(ran)
    new = app.configure_task("echo").defer()
    assert migration.rollback().facts["given_back"] == 2
    old.retry(retried)

    assert migration.plan().to_decide == []
    migration.start()
    list(migration.move())
    migration.history()
    migration.history()
    found = {job.id: job.status for job in app.job_manager.list_jobs()}
    assert found == {copied: "succeeded", retried: "todo", ran: "cancelled", waits: "todo", new: "todo"}
    assert old.value("select count(*) from adjourn.adjourn_all_jobs") == 5
    assert (app.configure_task("echo").defer() or 0) > new


def test_after_a_rollback_jobs_with_new_ids_keep_them_and_are_there_once(app: adjourn.App, old: Old) -> None:
    app.tasks["echo"].defer()  # its id is that of an old job
    ended, waits = old.defer(), old.defer()
    assert old.fetch(old.register())
    old.end(ended)
    migration = Migration(app)
    migration.start(map_ids=True)
    list(migration.move())
    migration.history()
    new = [app.tasks["echo"].defer(), app.tasks["echo"].defer()]
    before = old.value("select count(*) from adjourn.adjourn_all_jobs")
    assert migration.rollback().facts["given_back"] == len(new) + 2
    assert old.jobs("succeeded") == [ended]
    assert len(old.jobs()) == len(new) + 2
    migration.start(map_ids=True)
    list(migration.move())
    migration.history()
    assert old.value("select count(*) from adjourn.adjourn_all_jobs") == before
    assert waits not in old.jobs()


def test_a_rollback_and_a_move_do_not_take_jobs_from_each_other(migration: Migration, old: Old) -> None:
    fill_many(old, 20)
    migration.start()
    following = migration.move(follow=True)
    assert next(following).facts["moved"] == 20
    old.run("create function fail() returns trigger language plpgsql as 'begin raise exception ''no''; end'")
    old.run(
        "create trigger fail before insert on procrastinate_jobs for each row when (new.id = 20) execute function fail()"
    )
    with pytest.raises(ConnectorException, match="no"):
        migration.rollback(batch=5)
    with pytest.raises(MigrationRefused, match="not forwarded"):
        next(following)
    with pytest.raises(MigrationRefused, match="not forwarded"):
        move(migration)
    assert len(old.jobs()) == 15
    old.run("drop trigger fail on procrastinate_jobs")
    assert migration.rollback().facts["given_back"] == 5
    assert len(old.jobs()) == 20


def test_a_rollback_refuses_what_procrastinate_cannot_store_and_workers_that_run(
    migration: Migration, old: Old, app: adjourn.App
) -> None:
    migration.start()
    long = app.configure_task("x" * 129, allow_unknown=True).defer()
    with pytest.raises(MigrationRefused, match=f"128 characters.*{long}"):
        migration.rollback()
    app.job_manager.cancel_job_by_id(long)
    old.run("insert into adjourn.adjourn_workers (name, expires_at) values ('alive', now() + interval '1 minute')")
    with pytest.raises(MigrationRefused, match="Workers of adjourn are alive, or jobs run: 1 worker, 0 jobs"):
        migration.rollback(wait=0)
    assert old.run("select tgname from pg_trigger where tgname = 'to_adjourn'")


def test_finish_refuses_jobs_that_are_left_and_producers_that_still_store(migration: Migration, old: Old) -> None:
    waiting = old.defer(lock="a")
    old.fetch(old.register())
    migration.start()
    with pytest.raises(MigrationRefused, match="0 wait, 1 run"):
        migration.finish()
    with pytest.raises(MigrationRefused, match="--drop would delete"):
        migration.finish(force=True, drop=True)
    old.end(waiting)
    old.defer()
    with pytest.raises(MigrationRefused, match="within the last hour"):
        migration.finish()
    report = migration.finish(force=True)
    assert "drop table" in report.as_text()
    assert old.jobs("succeeded") == [waiting]
    with pytest.raises(MigrationRefused, match="not been started"):
        migration.status()


@pytest.mark.parametrize("release", RELEASES)
def test_finish_can_drop_all_that_procrastinate_has_made(
    migration: Migration, old: Old, app: adjourn.App, release: str
) -> None:
    old.defer_tick(1_000_000)
    migration.start()
    list(migration.move())
    migration.finish(force=True, drop=True)
    for catalog, name in (("pg_class", "relname"), ("pg_proc", "proname"), ("pg_type", "typname")):
        assert old.run(f"select {name} from {catalog} where {name} ~ 'procrastinate'") == []
    app.configure_task("echo", lock="a", queueing_lock="q").defer()
    assert len(ours(old)) == 2


def test_history_without_events_makes_no_tables_of_old_weeks(migration: Migration, old: Old) -> None:
    fill_many(old, 2, status="succeeded")
    old.run("delete from procrastinate_events")
    migration.start()
    facts = migration.history(since=datetime.datetime(1990, 1, 1, tzinfo=datetime.UTC)).facts
    assert (facts["copied"], facts["weeks"]) == (2, 0)


def test_numbers_that_the_database_cannot_hold_are_refused(migration: Migration) -> None:
    with pytest.raises(InvalidOption, match=r"id_gap=9223372036854775807: .* to 4,611,686,018,427,387,904"):
        migration.start(id_gap=2**63 - 1)
    with pytest.raises(InvalidOption, match=r"batch=10000000: .* to 1,000,000"):
        move(migration, batch=10_000_000)
    with pytest.raises(InvalidOption, match="batch=0"):
        migration.rollback(batch=0)
