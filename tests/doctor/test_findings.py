"""Each planted fault is found, and named with its remedy."""

from __future__ import annotations

import contextlib
import datetime
import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

import adjourn
from adjourn.doctor import CHECKS, Examination, Finding, Level, Thresholds, examine, patient
from adjourn.doctor.checks.connection import OLDEST_SERVER
from adjourn.doctor.checks.server import _slot
from adjourn.doctor.checks.vacuum import _begins
from adjourn.exceptions import InvalidOption
from adjourn.jobs import Author
from support.databases import apply_schema, new_database
from support.pooler import BINARY, MISSING, pgbouncer
from support.proxy import proxied
from support.sessions import BLOCKED
from support.waiting import until

AT_ONCE = Thresholds.of(
    {"transaction_warn": 0, "ready_warn": 0, "overdue_warn": 0, "lock_wait_warn": 0, "blocked_warn": 0}
)
Execute = Callable[[str], object]
NOT_HERE = ("pooler", "settings", "replication")
"""Checks that find something behind PgBouncer, and on a server that is set up for speed."""


@pytest.fixture(scope="module")
def address(server_dsn: str) -> Iterator[str]:
    name = f"adjourn_doctor_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with new_database(server_dsn, name) as address:
        apply_schema(address)
        yield address


@pytest.fixture
def app(address: str) -> adjourn.App:
    return adjourn.App(connector=adjourn.PsycopgConnector(conninfo=address))


@pytest.fixture
def execute(address: str) -> Iterator[Execute]:
    """Executes as the owner, and leaves the tables empty."""
    with psycopg.connect(address, autocommit=True) as connection:
        yield lambda text: connection.execute(text.encode())
        for table in ("jobs", "finished_jobs", "workers", "schedules", "headless_locks", "pauses", "stats", "audit"):
            connection.execute(f"delete from adjourn.adjourn_{table}".encode())


def findings(app: adjourn.App, check: str, thresholds: Thresholds | None = None) -> tuple[Finding, ...]:
    """All that a check finds."""
    return examine(app, only=[check], thresholds=thresholds, timeout=60).checks[0].findings


def found(
    app: adjourn.App, check: str, level: Level, thresholds: Thresholds | None = None, **options: str
) -> list[Finding]:
    """The findings of a check, all of the level."""
    (examined,) = examine(app, only=[check], thresholds=thresholds, timeout=60, **options).checks
    assert examined.level is level, examined
    return [each for each in examined.findings if each.level is level]


def lives(execute: Execute, name: str = "one", queues: str = "null", seconds: float = 60) -> None:
    """Register a worker that is alive, or silent for longer than its time."""
    execute(
        "insert into adjourn.adjourn_workers (name, queues, last_heartbeat_at, expires_at) values "
        f"('{name}', {queues}, now() - interval '{max(0, -seconds)} s', now() + interval '{seconds} s')"
    )


def stores(execute: Execute, hold: int = 0, columns: str = "", values: str = "", age: float = 0) -> None:
    """Store a job so many seconds ago."""
    execute(
        f"insert into adjourn.adjourn_jobs (queue, task_name, priority, args, hold, enqueued_at{columns}) values "
        f"('mail', 'send', 0, '{{}}', {hold}, now() - interval '{age} s'{values})"
    )


def test_a_database_without_faults_is_well(app: adjourn.App, execute: Execute) -> None:
    lives(execute)
    examination = examine(app, timeout=60)
    assert [each.id for each in examination.checks] == [check.id for check in CHECKS]
    wrong = [each for each in examination.checks if each.level is not Level.OK]
    # The tests' server is set up for speed.
    assert [each for each in wrong if each.id not in ("settings", "replication")] == []


def test_a_server_that_is_too_old_is_told(app: adjourn.App, monkeypatch: pytest.MonkeyPatch) -> None:
    assert OLDEST_SERVER == 150_000
    monkeypatch.setattr("adjourn.doctor.checks.connection.OLDEST_SERVER", 990_000)
    (finding,) = found(app, "version", Level.CRITICAL)
    assert "is too old" in finding.text
    assert "PostgreSQL 99 or later" in str(finding.remedy)


def test_numbers_that_nobody_has_counted_yet_are_not_said_to_be_none(app: adjourn.App, execute: Execute) -> None:
    (finding,) = found(app, "retention", Level.OK)
    assert finding.text == "No finished job is kept"
    assert "few or no jobs" in found(app, "bloat", Level.OK)[0].text
    finishes = (
        "insert into adjourn.adjourn_finished_jobs (id, queue, task_name, priority, args, attempts, losses, claim, abort_requested, "
        "enqueued_at, status, finished_at) select n, 'a', 't', 0, '{}', 1, 0, 1, false, now(), 'failed', now() "
        "from generate_series(%s, %s) n"
    )
    execute(finishes % (1, 1))
    (finding,) = found(app, "retention", Level.OK)
    assert finding.text.startswith("Finished jobs, not counted yet, are kept, the oldest of")
    execute("analyze adjourn.adjourn_finished_jobs")
    (finding,) = found(app, "retention", Level.OK)
    assert finding.text.startswith("About 1 finished job is kept, the oldest of")
    execute(finishes % (2, 5))
    execute("analyze adjourn.adjourn_finished_jobs")
    (finding,) = found(app, "retention", Level.OK, Thresholds.of({"history_warn": 6}))
    assert finding.text.startswith("About 5 finished jobs are kept, the oldest of")
    (finding,) = found(app, "retention", Level.WARN, Thresholds.of({"history_warn": 5}))
    assert "no periodic task of this app removes old ones" in finding.text
    execute("delete from adjourn.adjourn_finished_jobs where id > 1; analyze adjourn.adjourn_finished_jobs")


def test_the_growth_of_history_is_told_by_the_last_week(app: adjourn.App, execute: Execute) -> None:
    finishes = (
        "insert into adjourn.adjourn_finished_jobs (id, queue, task_name, priority, args, attempts, losses, claim, abort_requested, "
        "enqueued_at, status, finished_at) select n, 'a', 't', 0, '{}', 1, 0, 1, false, now(), 'failed', %s from generate_series(1, 140) n"
    )
    monday = datetime.datetime.now(datetime.UTC).date()
    monday -= datetime.timedelta(days=monday.weekday() + 7)
    table = f"adjourn.adjourn_finished_jobs_{monday:%Y%m%d}"
    execute(
        f"create table {table} partition of adjourn.adjourn_finished_jobs for values "
        f"from ('{monday}T00:00Z') to ('{monday + datetime.timedelta(days=7)}T00:00Z')"
    )
    try:
        execute(finishes % f"'{monday}T12:00Z'")
        execute("analyze adjourn.adjourn_finished_jobs")
        (finding,) = found(app, "retention", Level.OK)
        assert "; some 20 jobs and 0.0 MB a day have come of late" in finding.text
    finally:
        execute(f"drop table {table}")


def test_what_would_help_on_a_bad_day_is_a_hint_and_no_warning(
    app: adjourn.App, execute: Execute, address: str
) -> None:
    role = f"hints_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    execute(f"drop role if exists {role}; create role {role} login superuser")
    values = {
        "jit": "on",
        "log_lock_waits": "off",
        "track_io_timing": "off",
        "idle_in_transaction_session_timeout": "0",
    }
    try:
        for name, value in values.items():
            execute(f"alter role {role} set {name} = '{value}'")
        plain = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=address, user=role))
        (hint,) = [each for each in findings(plain, "settings") if each.level is Level.OK]
        told = [*values, *(["track_cost_delay_timing"] if "track_cost_delay_timing" in hint.remedy else [])]
        assert f"suit a queue; {len(told)} hints would help on bad days" in hint.text
        for name in told:
            assert f"{name} is " in hint.remedy
            assert f" {name} = " in hint.statement
        assert hint.statement.endswith("select pg_reload_conf();")
        for name, other in {
            "jit": "off",
            "log_lock_waits": "on",
            "track_io_timing": "on",
            "idle_in_transaction_session_timeout": "60000",
        }.items():
            execute(f"alter role {role} set {name} = '{other}'")
        assert not [each for each in findings(plain, "settings") if any(name in each.remedy for name in values)]
    finally:
        execute(f"drop role {role}")


def slot(**facts: object) -> dict[str, object]:
    """A row of a replication slot that is not in use, as servers since 17 tell it."""
    return {
        "slot_name": "copy",
        "active": False,
        "bytes": 5e6,
        "inactive_for": 7300.0,
        "wal_status": "reserved",
        **facts,
    }


@pytest.mark.parametrize(
    ("row", "most", "server", "level", "words"),
    [
        (slot(), "-1", 180_000, Level.OK, "is not in use for 2 h; nothing limits how much of the log it keeps"),
        (slot(inactive_for=None), "-1", 150_000, Level.OK, "is not in use; nothing limits"),
        (slot(), "1024", 180_000, None, ""),
        (slot(active=True, inactive_for=None), "-1", 180_000, None, ""),
        (slot(bytes=2e10), "-1", 180_000, Level.WARN, "is not in use for 2 h, and keeps 20.0 GB"),
        (slot(invalidation_reason="rows_removed"), "-1", 180_000, Level.WARN, "was made invalid (rows_removed)"),
        (slot(wal_status="lost", inactive_for=None), "64", 150_000, Level.WARN, "was made invalid (wal_removed)"),
    ],
)
def test_what_is_said_of_a_replication_slot(
    row: dict[str, object], most: str, server: int, level: Level | None, words: str
) -> None:
    finding = _slot(row, most, server)
    if finding is None:
        assert level is None
        return
    assert (finding.level, words in finding.text) == (level, True)
    assert ("idle_replication_slot_timeout" in finding.remedy) is (server >= 180_000 and level is Level.OK)


@pytest.mark.parametrize(
    ("options", "rows", "most", "begins"),
    [
        ({}, 1000, "-1", 250),
        ({"autovacuum_vacuum_threshold": "1000", "autovacuum_vacuum_scale_factor": "0"}, 1e6, "-1", 1000),
        ({}, 1e9, "100000000", 1e8),
        ({"autovacuum_vacuum_max_threshold": "5000"}, 1e9, "100000000", 5000),
        ({"autovacuum_vacuum_max_threshold": "-1"}, 1000, "100", 250),
        ({}, -1, "-1", 50),
    ],
)
def test_at_how_many_dead_rows_autovacuum_begins(
    options: dict[str, str], rows: float, most: str, begins: float
) -> None:
    assert _begins(options, rows, most) == begins


def test_a_table_to_which_no_vacuum_has_come_for_an_hour_is_told(
    app: adjourn.App, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = patient.Patient.rows

    def rows(one: patient.Patient, name: str, /, **parameters: object) -> list[dict[str, object]]:
        found = said(one, name, **parameters)
        if name == "vacuum":
            found = [
                {**row, "options": None, "rows": 0, "dead": 120, "seconds": 7300.0}
                for row in found
                if row["name"] == "adjourn_jobs"
            ]
        return found

    monkeypatch.setattr(patient.Patient, "rows", rows)
    (finding,) = found(app, "autovacuum", Level.WARN)
    assert finding.text.endswith("has 120 dead rows, 2 times as many as autovacuum begins at, and was vacuumed 2 h ago")
    assert finding.statement == 'vacuum "adjourn"."adjourn_jobs";'


def test_a_queue_of_the_apps_tasks_that_nobody_serves_is_told_before_jobs_come(
    app: adjourn.App, execute: Execute
) -> None:
    served = adjourn.App(connector=app.connector)

    @served.task(name="send", queue="mail")
    def send() -> None: ...

    assert len(findings(served, "app")) == 1  # without any worker, another check tells that
    lives(execute, queues="'{print}'")
    _, note = found(served, "app", Level.OK)
    assert note.text == "No worker that is alive serves 1 queue of this app's tasks: 'mail'"
    assert note.statement == f"adjourn --app=... {SERVES_MAIL}"
    lives(execute, queues="'{mail}'")
    assert len(findings(served, "app")) == 1


def test_it_writes_nothing(app: adjourn.App, execute: Execute, address: str) -> None:
    """A session that may only read is enough for it. `test_only_reads` looks at each of its transactions."""
    reader = adjourn.App(
        connector=adjourn.PsycopgConnector(conninfo=address, options="-c default_transaction_read_only=on")
    )
    lives(execute)
    own = [check.id for check in CHECKS if check.id not in ("settings", "replication")]
    assert examine(reader, only=own, timeout=60).level is Level.OK


def test_an_open_transaction_is_named_with_what_ends_it(app: adjourn.App, address: str) -> None:
    with psycopg.connect(address, application_name="forgotten") as idle:
        idle.execute("insert into adjourn.adjourn_headless_locks values ('x')")
        (finding,) = [each for each in found(app, "xmin", Level.WARN, AT_ONCE) if "forgotten" in each.text]
        assert str(idle.info.backend_pid) in finding.text
        assert finding.statement == f"select pg_terminate_backend({idle.info.backend_pid});"
        idle.rollback()


@pytest.mark.parametrize(
    ("plant", "level", "words"),
    [
        ("drop index adjourn.adjourn_jobs_ready", Level.CRITICAL, "adjourn_jobs_ready is missing"),
        (
            "update pg_index set indisvalid = false where indexrelid = 'adjourn.adjourn_jobs_chain'::regclass",
            Level.CRITICAL,
            "adjourn_jobs_chain is invalid",
        ),
        ("create index mine on adjourn.adjourn_jobs (worker_id)", Level.WARN, "mine mentions worker_id"),
        ("create index mine on adjourn.adjourn_jobs (queue) where claim > 3", Level.WARN, "mine mentions claim"),
        (
            "create index adjourn_jobs_ready_ccnew on adjourn.adjourn_jobs (id)",
            Level.WARN,
            "build that was interrupted",
        ),
    ],
)
def test_an_index_that_is_not_as_it_should_be_is_mended_by_what_it_says(
    app: adjourn.App, execute: Execute, plant: str, level: Level, words: str
) -> None:
    execute(plant)
    (finding,) = found(app, "indexes", level)
    assert words in finding.text
    execute(finding.statement)
    assert found(app, "indexes", Level.OK)


@pytest.mark.parametrize(
    ("plant", "level", "words"),
    [
        ("drop index adjourn.adjourn_finished_jobs_unsuccessful", Level.CRITICAL, "unsuccessful is missing"),
        (
            "update pg_index set indisvalid = false where indexrelid = 'adjourn.adjourn_finished_jobs_unsuccessful'::regclass",
            Level.WARN,
            "unsuccessful is not on all partitions of adjourn_finished_jobs yet",
        ),
    ],
)
def test_an_index_of_finished_jobs_is_mended_by_applying_the_schema(
    app: adjourn.App, execute: Execute, plant: str, level: Level, words: str
) -> None:
    execute(plant)
    (finding,) = found(app, "indexes", level)
    assert words in finding.text
    assert "schema --apply" in finding.remedy
    if finding.statement:
        execute(finding.statement)
    app.schema_manager.apply_schema()
    assert found(app, "indexes", Level.OK)


def test_autovacuum_that_is_off_is_switched_on_by_what_it_says(app: adjourn.App, execute: Execute) -> None:
    execute("alter table adjourn.adjourn_jobs set (autovacuum_enabled = off)")
    (finding,) = found(app, "autovacuum", Level.CRITICAL)
    assert "adjourn_jobs" in finding.text
    execute(finding.statement)
    assert found(app, "autovacuum", Level.OK)


def test_jobs_in_the_default_partition_are_counted(app: adjourn.App, execute: Execute) -> None:
    execute(
        "insert into adjourn.adjourn_finished_jobs (id, queue, task_name, priority, args, attempts, losses, claim, abort_requested, "
        "enqueued_at, status, finished_at) select 1, 'a', 't', 0, '{}', 1, 0, 1, false, '1999-01-01', 'failed', '1999-01-01'"
    )
    (finding,) = found(app, "partitions", Level.WARN)
    assert finding.text.startswith("1 finished job")


def test_too_few_weeks_ahead_are_a_warning_and_none_is_critical(app: adjourn.App, execute: Execute) -> None:
    monday = datetime.datetime.now(datetime.UTC).date()
    monday -= datetime.timedelta(days=monday.weekday())
    week = [monday + datetime.timedelta(weeks=number) for number in range(9)]
    execute("".join(f"drop table adjourn.adjourn_finished_jobs_{day:%Y%m%d};" for day in week[2:]))
    assert "2 weeks" in found(app, "partitions", Level.WARN)[0].text
    execute(f"drop table adjourn.adjourn_finished_jobs_{monday:%Y%m%d}")
    assert "0 weeks" in found(app, "partitions", Level.CRITICAL)[0].text
    with app.open():
        app.schema_manager.apply_schema()  # what the remedy says
    assert found(app, "partitions", Level.OK)


def test_no_worker_is_critical_while_jobs_wait(app: adjourn.App, execute: Execute) -> None:
    assert found(app, "workers", Level.WARN)
    stores(execute, age=310)
    assert "5 min" in found(app, "workers", Level.CRITICAL)[0].text


def test_a_silent_worker_and_a_queue_that_nobody_serves_are_named(app: adjourn.App, execute: Execute) -> None:
    lives(execute, queues="'{print}'")
    lives(execute, name="gone", seconds=-120)
    stores(execute)
    texts = " ".join(each.text for each in found(app, "workers", Level.WARN))
    assert "'gone'" in texts
    assert "'mail'" in texts


def test_workers_that_were_declared_dead_of_late_are_named_with_where_they_ran(
    app: adjourn.App, execute: Execute
) -> None:
    lives(execute)
    for number, age in enumerate((70, 600, 4000)):
        lives(execute, name=f"w{number}", seconds=-120)
        execute(f'update adjourn.adjourn_workers set details = \'{{"host": "web-3", "pid": {number}}}\'')
        execute("select adjourn.adjourn_rescue_v1(5, '0', 'one', 'worker')")
        execute(f"update adjourn.adjourn_audit set at = now() - interval '{age} s' where at > now() - interval '5 s'")
    (finding,) = found(app, "workers", Level.WARN)
    assert finding.text.startswith("2 workers were declared dead in the last hour: 'w0' (")
    assert ") on web-3, pid 0, last heartbeat 2" in finding.text
    assert "+00:00 (2 min ago), which had no jobs; 'w1' (" in finding.text
    assert "out-of-memory killer" in finding.remedy
    assert found(app, "workers", Level.OK, Thresholds(deaths_warn=3))


@pytest.mark.parametrize(
    ("freed", "failed", "told"),
    [
        (4, 0, "4 of its jobs run again"),
        (1, 2, "1 of its jobs runs again, 2 failed"),
        (0, 1, "1 of its jobs failed"),
    ],
)
def test_what_became_of_the_jobs_of_a_dead_worker_is_told(
    app: adjourn.App, execute: Execute, freed: int, failed: int, told: str
) -> None:
    lives(execute)
    lives(execute, name="w1", seconds=-120)
    execute("select adjourn.adjourn_rescue_v1(5, '0', 'one', 'worker')")
    execute(f'update adjourn.adjourn_audit set details = details || \'{{"freed": {freed}, "failed": {failed}}}\'')
    (finding,) = found(app, "workers", Level.WARN)
    assert finding.text.endswith(f" ago), {told}")


def test_a_note_of_a_death_that_was_written_by_hand_is_left_out(app: adjourn.App, execute: Execute) -> None:
    lives(execute)
    lives(execute, name="w1", seconds=-120)
    execute("select adjourn.adjourn_rescue_v1(5, '0', 'one', 'worker')")
    whole = "(select details from adjourn.adjourn_audit where action = 'worker.died' order by id limit 1)"
    written = [
        *("null", "'null'", "'[]'", "'7'", "'{}'", f"{whole} - 'worker_id'", f"{whole} - 'freed'"),
        *(f'{whole} || \'{{"last_heartbeat_at": "{each}"}}\'' for each in ("soon", "2026-01-01 00:00:00", "infinity")),
        *(f"{whole} || '{{\"{each}\": null}}'" for each in ("name", "is_silent", "failed", "freed_ids")),
        f"{whole} || '{{\"freed\": true}}'",
    ]
    for number, details in enumerate(written):
        for target in (f"'hand {number}'", f"{whole} ->> 'target'"):
            execute(
                "insert into adjourn.adjourn_audit (actor, how, action, target, jobs, details, outcome) "
                f"values ('ann', 'program', 'worker.died', {target}, 0, {details}, 'written by hand')"
            )
    for at in ("'infinity'", "now() + interval '9000 years'", "now() + interval '2 days'"):
        execute(
            "insert into adjourn.adjourn_audit (at, actor, how, action, target, jobs, details, outcome) "
            f"values ({at}, 'ann', 'program', 'worker.died', 'hand', 0, {whole}, 'written by hand')"
        )
    execute(
        "insert into adjourn.adjourn_audit (actor, how, action, target, jobs, details, outcome) "
        f"values ('ann', 'program', 'worker.died', 'less', 0, {whole} - 'host' - 'pid' - 'rss', 'written by hand')"
    )
    (finding,) = found(app, "workers", Level.WARN)
    assert finding.text.startswith("2 workers were declared dead in the last hour: 'w1' (")


def test_deaths_are_told_beside_that_no_worker_is_alive(app: adjourn.App, execute: Execute) -> None:
    lives(execute, name="last", seconds=-120)
    execute("select adjourn.adjourn_rescue_v1(5, '0', 'one', 'worker')")
    texts = " ".join(each.text for each in found(app, "workers", Level.WARN))
    assert "declared dead" in texts
    assert "No worker is alive" in texts


def test_workers_of_several_versions_are_told(app: adjourn.App, execute: Execute) -> None:
    for number, version in enumerate(("1.2", "1.3", "1.3")):
        lives(execute, name=f"w{number}")
        execute(
            f"update adjourn.adjourn_workers set details = '{{\"version\": \"{version}\"}}' where name = 'w{number}'"
        )
        if number == 0:
            assert found(app, "workers", Level.OK)
    (finding,) = found(app, "workers", Level.WARN)
    assert finding.text == "Workers of 2 versions of adjourn are alive: 1.2 (1), 1.3 (2)"


def test_jobs_that_wait_are_told_by_what_they_until(app: adjourn.App, execute: Execute) -> None:
    lives(execute)
    stores(execute, age=700)
    assert "could have run for 12 min" in found(app, "jobs", Level.CRITICAL)[0].text
    execute("delete from adjourn.adjourn_jobs")
    stores(execute, hold=1, columns=", scheduled_at", values=", now() - interval '300 s'")
    stores(execute, hold=3, columns=", lock", values=", 'l'", age=180)
    stores(execute, hold=5, columns=", unknown_since", values=", now() - interval '240 s'")
    stores(execute, columns=", worker_id, started_at", values=", 999999, now()")
    texts = " ".join(each.text for each in found(app, "jobs", Level.WARN))
    for words in (
        "job of queue 'mail' has been due, or its lock free, for 5 min, and no worker has looked: its workers have not said",
        "knows task 'send': 1 job waits, the first for 4 min; the first fails in 56 min",
        "not alive",
    ):
        assert words in texts


SERVES_MAIL = "worker --queues=mail"


@pytest.mark.parametrize(
    ("details", "told", "remedy", "command"),
    [
        (
            '{"concurrency": 1}',
            "the one slot of its workers is busy, 1 with jobs of queue news",
            "Start more workers",
            SERVES_MAIL,
        ),
        ('{"concurrency": 2}', "its workers have free slots", "None of its jobs has ended", "shell list_workers"),
        (
            '{"concurrency": 2, "ending": true}',
            "worker one is ending and takes no jobs",
            "Start another worker for this queue.",
            SERVES_MAIL,
        ),
        (
            '{"concurrency": 2, "exchanged_ago": 75}',
            "worker one has looked for no jobs lately",
            "Start another worker for this queue, and see in its log",
            SERVES_MAIL,
        ),
        (None, "no worker that is alive serves it", "Start a worker for this queue", SERVES_MAIL),
    ],
)
def test_why_a_queue_is_late_is_what_the_dashboard_says(
    app: adjourn.App, execute: Execute, details: str | None, told: str, remedy: str, command: str
) -> None:
    lives(execute, queues="null" if details else "array['news']")
    stores(execute, age=700)
    if details:
        execute(f"update adjourn.adjourn_workers set details = '{details}'")
    stores(execute, columns=", worker_id, started_at", values=", (select max(id) from adjourn.adjourn_workers), now()")
    execute("update adjourn.adjourn_jobs set queue = 'news' where worker_id is not null")
    (finding,) = found(app, "jobs", Level.CRITICAL)
    assert finding.text.endswith(f"could have run for 12 min: {told}")
    assert finding.remedy.startswith(remedy)
    assert finding.statement == f"adjourn --app=... {command}"
    # It is the same for jobs that are due and that no worker has made ready.
    execute(
        "update adjourn.adjourn_jobs set hold = 1, enqueued_at = now() - interval '1 h', scheduled_at = now() - interval '700 s' "
        "where worker_id is null"
    )
    (finding,) = found(app, "jobs", Level.WARN)
    assert finding.text.endswith(f"for 12 min, and no worker has looked: {told}")
    assert finding.remedy == f"Workers see to this as they look for jobs. {remedy}" or remedy in finding.remedy
    assert finding.statement == f"adjourn --app=... {command}"


def ended(
    execute: Execute, jobs: int, *, age: str = "2 min", run_bucket: int = 1, wait_bucket: int = 1, level: int = 1
) -> None:
    """Say that jobs of the queue have ended, with all runs and waits in one bucket each, counted from one."""
    runs, waits = (
        ", ".join(str(jobs) if number == bucket else "0" for number in range(1, 18))
        for bucket in (run_bucket, wait_bucket)
    )
    execute(
        "insert into adjourn.adjourn_stats (at, level, queue, task_name, outcome, jobs, run_seconds, run_counts, wait_counts) values "
        f"(date_trunc('minute', now() - interval '{age}'), {level}, 'mail', 'send', 'succeeded', {jobs}, {jobs}, array[{runs}], array[{waits}])"
    )


def test_a_queue_that_moves_although_slots_are_free_needs_more_workers(app: adjourn.App, execute: Execute) -> None:
    """Its jobs are so short that at any time few of them run."""
    lives(execute)
    execute("update adjourn.adjourn_workers set details = '{\"concurrency\": 2}'")
    stores(execute, age=700)
    ended(execute, 9000)
    (finding,) = found(app, "jobs", Level.CRITICAL)
    assert finding.text.endswith("its workers have free slots now and then, and its jobs do end")
    assert "start more workers" in finding.remedy
    assert finding.statement == f"adjourn --app=... {SERVES_MAIL}"


def test_jobs_that_are_due_in_a_paused_queue_or_of_a_paused_task_are_told_as_that(
    app: adjourn.App, execute: Execute
) -> None:
    lives(execute)
    stores(execute, hold=1, columns=", scheduled_at", values=", now() - interval '300 s'")
    with app.open():
        app.job_manager.pause_queue("mail")
    (finding,) = found(app, "jobs", Level.WARN)
    assert finding.text.startswith("Queue 'mail' has been paused")
    with app.open():
        app.job_manager.resume_queue("mail")
        app.job_manager.pause_task("send")
    (finding,) = found(app, "jobs", Level.WARN)
    assert finding.text.startswith("Task 'send' has been paused")


@pytest.mark.parametrize(
    ("concurrency", "runs", "run_bucket", "wait_bucket", "is_told"),
    [
        (1, 20, 14, 14, True),
        (2, 20, 14, 14, False),
        (1, 19, 14, 14, False),
        (1, 20, 5, 14, False),
        (1, 20, 14, 5, False),
    ],
)
def test_one_slot_for_long_jobs_is_told_if_others_have_waited_behind_them(
    app: adjourn.App, execute: Execute, concurrency: int, runs: int, run_bucket: int, wait_bucket: int, is_told: bool
) -> None:
    lives(execute)
    execute(f"update adjourn.adjourn_workers set details = '{{\"concurrency\": {concurrency}}}'")
    stores(execute)
    ended(execute, runs, age="3 h", run_bucket=run_bucket, wait_bucket=wait_bucket, level=2)
    (finding,) = findings(app, "workers")
    assert (finding.level is Level.WARN) is is_told
    if is_told:
        assert finding.text.startswith("Queue 'mail' has one slot and long jobs")
        assert finding.statement == "adjourn --app=... worker --queues=mail --concurrency=4"


def test_a_queueing_lock_that_is_held_for_long_is_named_with_what_its_job_waits_for(
    app: adjourn.App, execute: Execute
) -> None:
    lives(execute)
    columns, values = ", queueing_lock, waiting_queueing_lock", ", 'nightly', 'nightly'"
    stores(execute, hold=2, columns=f"{columns}, lock", values=f"{values}, 'books'", age=3 * 86_400)
    stores(
        execute,
        hold=0,
        columns=f"{columns}, lock, worker_id, started_at",
        values=", 'x', null, 'books', (select max(id) from adjourn.adjourn_workers), now()",
    )
    (finding,) = found(app, "jobs", Level.WARN)
    assert "of task 'send' has held queueing lock 'nightly' for 3 days, as it waits for its lock" in finding.text
    assert finding.statement.startswith("adjourn --app=... shell show ")
    assert finding.threshold == "queueing_lock_warn=86400 s"
    assert found(app, "jobs", Level.OK, Thresholds(queueing_lock_warn=4 * 86_400))
    # One that is to run next week has a reason to hold it.
    execute(
        "update adjourn.adjourn_jobs set hold = 1, lock = null, scheduled_at = now() + interval '7 days' where waiting_queueing_lock is not null"
    )
    assert found(app, "jobs", Level.OK)


def test_of_a_task_that_this_app_declares_it_is_not_said_that_no_worker_knows_it(
    app: adjourn.App, execute: Execute
) -> None:
    lives(execute)
    stores(execute, hold=5, columns=", unknown_since", values=", now() - interval '240 s'")
    declares = adjourn.App(connector=app.connector)

    @declares.task(name="send")
    def send() -> None: ...

    (finding,) = found(declares, "jobs", Level.WARN)
    assert finding.text.startswith("A worker that does not know task 'send' has met its jobs: 1 job waits")
    assert "the first fails in 56 min" in finding.text
    assert "This app declares it" in finding.remedy


def test_when_jobs_of_an_unknown_task_fail_is_told(app: adjourn.App, execute: Execute) -> None:
    lives(execute)
    stores(execute, hold=5, columns=", unknown_since", values=", now() - interval '240 s'")
    patient_one = adjourn.App(connector=app.connector, worker_defaults={"unknown_task_timeout": 7200})
    (finding,) = found(patient_one, "jobs", Level.WARN)
    assert finding.text.endswith("the first for 4 min; the first fails in 116 min")
    assert "waited for 2 h" in finding.remedy
    (finding,) = found(
        adjourn.App(connector=app.connector, worker_defaults={"unknown_task_timeout": 60}), "jobs", Level.WARN
    )
    assert finding.text.endswith("the first is about to fail")
    stores(execute)
    (finding,) = found(app, "app", Level.WARN)
    assert "unknown_task_timeout" in finding.remedy


@pytest.mark.parametrize(
    ("runs", "seconds", "is_told"), [(100, 310, True), (100, 290, False), (99, 310, False), (0, 310, False)]
)
def test_a_job_that_runs_for_much_longer_than_its_task_does_is_told(
    app: adjourn.App, execute: Execute, runs: int, seconds: float, is_told: bool
) -> None:
    lives(execute)
    stores(
        execute,
        columns=", worker_id, started_at",
        values=f", (select max(id) from adjourn.adjourn_workers), now() - interval '{seconds} s'",
    )
    # All took from 10 to 30 seconds, so 99 of 100 at most 29.8.
    counts = ", ".join([*(["0"] * 11), str(runs), *(["0"] * 5)])
    execute(
        "insert into adjourn.adjourn_stats (at, level, queue, task_name, outcome, jobs, run_seconds, run_counts, wait_counts) values "
        f"(now() - interval '3 h', 2, 'mail', 'send', 'succeeded', {runs}, {runs} * 20, array[{counts}], array[{counts}])"
    )
    (finding,) = findings(app, "jobs")
    assert (finding.level is Level.WARN) is is_told
    if is_told:
        assert finding.text.endswith("of task 'send' has run for 5 min; 99 of 100 of its runs took 29.8 s at most")
        assert finding.statement.startswith("adjourn --app=... shell abort ")


def test_a_limit_is_told_besides_and_is_not_why_a_ready_job_waits(app: adjourn.App, execute: Execute) -> None:
    lives(execute, queues="null")
    execute("update adjourn.adjourn_workers set details = '{\"concurrency\": 2}'")
    with app.open():
        app.job_manager.set_limit(task="send", concurrency=1)
    stores(execute, age=700)
    (finding,) = found(app, "jobs", Level.CRITICAL)
    assert finding.text.endswith("its workers have free slots")
    gate = "(select id from adjourn.adjourn_limits where name = 'send')"
    stores(execute, hold=7, columns=", gate_id", values=f", {gate}", age=60)
    (finding,) = found(app, "jobs", Level.CRITICAL)
    assert finding.text.endswith("its workers have free slots; the limit of task send holds back 1 job")
    assert "limit" not in finding.remedy


def test_a_worker_that_runs_jobs_apart_is_why_jobs_wait(app: adjourn.App, execute: Execute) -> None:
    lives(execute, queues="null")
    execute("update adjourn.adjourn_workers set name = 'w4', apart = true, details = '{\"concurrency\": 2}'")
    stores(execute, age=700)
    (finding,) = found(app, "jobs", Level.CRITICAL)
    assert finding.text.endswith("worker w4 runs jobs apart and takes no others")
    assert finding.remedy.startswith("Start another worker")


def test_jobs_of_a_paused_queue_wait_for_its_end_and_not_for_workers(app: adjourn.App, execute: Execute) -> None:
    lives(execute, queues="'{print}'")
    stores(execute, age=700)
    with app.open():
        app.job_manager.pause_queue("mail")
        app.job_manager.pause_task("send")
        app.job_manager.acting_for(Author(name="bob@host", how="shell")).pause_queue(
            "news", seconds=7205, reason="of tests"
        )
    first, third, second = found(app, "jobs", Level.WARN)
    assert "Queue 'news' has been paused by bob@host for" in third.text
    assert "s (of tests), and will be for 2 h more: none of its jobs starts" in third.text
    assert "'mail'" in first.text
    assert first.statement == "adjourn --app=... resume --queue=mail"
    assert "'send'" in second.text
    assert second.statement == "adjourn --app=... resume --task=send"
    assert found(app, "workers", Level.OK)


def test_names_in_commands_are_quoted(app: adjourn.App, execute: Execute) -> None:
    """They are there to be pasted into a shell."""
    name = "<b>; reboot"

    @app.periodic(cron="*/10 * * * *")
    @app.task(name=name)
    def report(timestamp: int) -> None:
        """Do nothing."""

    stores(execute, age=700)
    execute(f"update adjourn.adjourn_jobs set queue = '{name}', task_name = '{name}'")
    stores(execute, columns=", lock", values=f", '{name}'")
    stores(execute, hold=2, columns=", lock", values=f", '{name}'", age=700)
    lives(execute, queues="'{print}'")
    execute(
        "insert into adjourn.adjourn_schedules (task_name, periodic_id, cron, timezone, last_tick) "
        f"values ('{name}', '', '*/10 * * * *', 'UTC', now() - interval '3 hours')"
    )
    examination = examine(app, only=["workers", "jobs", "locks", "schedules"], thresholds=AT_ONCE, timeout=60)
    statements = [each.statement for check in examination.checks for each in check.findings if "reboot" in each.text]
    words = [shlex.split(statement)[3:] for statement in statements if statement]
    for expected in ([f"lock={name}"], [f"task={name}", "status=todo"]):
        assert ["list_jobs", *expected] in words
    assert [f"--queues={name}"] in words


def test_a_lock_without_a_head_and_one_that_waits_for_long_are_named(app: adjourn.App, execute: Execute) -> None:
    stores(execute, hold=2, columns=", lock", values=", 'orphans'", age=310)
    texts = " ".join(each.text for each in found(app, "locks", Level.WARN, AT_ONCE))
    assert "none that may run: 'orphans'" in texts
    assert "has waited for 5 min behind another one" in texts


@contextlib.contextmanager
def blocked(address: str) -> Iterator[psycopg.Connection]:
    """Hold a lock on the table of schedules, for which another session waits; yield the connection that has it."""

    def wait() -> None:
        with (
            psycopg.connect(address, application_name="adjourn waits", autocommit=True) as connection,
            contextlib.suppress(psycopg.Error),
        ):
            connection.execute("select * from adjourn.adjourn_schedules where task_name = 'of ann'")

    with psycopg.connect(address) as holder, psycopg.connect(address, autocommit=True) as observer:
        holder.execute("lock table adjourn.adjourn_schedules in access exclusive mode")
        thread = threading.Thread(target=wait)
        thread.start()
        try:
            until(lambda: observer.execute(BLOCKED).fetchone())
            yield holder
        finally:
            holder.rollback()
            thread.join()


def test_who_waits_for_whom_is_told(app: adjourn.App, address: str) -> None:
    with blocked(address) as holder:
        (finding,) = found(app, "waits", Level.WARN, AT_ONCE)
        assert "for adjourn_schedules, which " in finding.text
        assert "it waits in: select * from adjourn.adjourn_schedules where task_name = ?" in finding.text
        assert f"{holder.info.backend_pid} (no name, idle in transaction) has executed: lock table" in finding.text
        assert "ann" not in finding.text
        assert finding.statement == f"select pg_terminate_backend({holder.info.backend_pid});"
        # Who waits keeps a transaction open as well, and is not the one to end.
        (victim,) = [each for each in found(app, "xmin", Level.WARN, AT_ONCE) if "'adjourn waits'" in each.text]
        assert "see the check waits" in victim.remedy
        assert not victim.statement
        # Another check that needs that table does not hold the others up.
        examination = examine(app, only=["schedules", "version"], timeout=60)
        assert [each.level for each in examination.checks] == [Level.OK, Level.UNKNOWN]


def test_who_waits_in_a_copy_of_the_database_is_not_told(app: adjourn.App, address: str, server_dsn: str) -> None:
    """Its tables have the same oids, and the server lists the locks of all databases."""
    name = psycopg.conninfo.conninfo_to_dict(address)["dbname"]
    with new_database(server_dsn, f"{name}_copy", template=str(name)) as copy, blocked(copy):
        assert found(app, "waits", Level.OK, AT_ONCE)


def test_a_schedule_whose_last_job_waits_is_not_on_time(app: adjourn.App, execute: Execute) -> None:
    @app.periodic(cron="* * * * *")
    @app.task(name="report")
    def report(timestamp: int) -> None:
        """Do nothing."""

    stores(execute, age=540)
    execute(
        "insert into adjourn.adjourn_schedules (task_name, periodic_id, cron, timezone, last_tick, last_job_id) values "
        "('report', '', '* * * * *', 'UTC', now(), (select max(id) from adjourn.adjourn_jobs))"
    )
    (finding,) = found(app, "schedules", Level.WARN)
    assert finding.text.startswith("The last job of")
    assert finding.text.endswith("has waited for 9 min for a worker")
    with app.open():
        app.job_manager.pause_queue("mail")
    (finding,) = found(app, "schedules", Level.WARN)
    assert finding.text.endswith("has waited for 9 min for the end of a pause")
    # It is late when the next one is to come, but a few minutes are too few for one that is daily.
    execute("update adjourn.adjourn_schedules set cron = '0 3 * * *'")
    assert found(app, "schedules", Level.OK)
    execute("update adjourn.adjourn_schedules set cron = '* * * * *'")
    execute("update adjourn.adjourn_jobs set enqueued_at = now() - interval '50 s'")
    assert found(app, "schedules", Level.OK)[0].text == "1 schedule is on time"


def test_an_overdue_tick_and_a_schedule_that_nobody_has_are_named(app: adjourn.App, execute: Execute) -> None:
    @app.periodic(cron="*/10 * * * *")
    @app.task(name="report")
    def report(timestamp: int) -> None:
        """Do nothing."""

    execute(
        "insert into adjourn.adjourn_schedules (task_name, periodic_id, cron, timezone, last_tick) values "
        "('report', '', '*/10 * * * *', 'UTC', now() - interval '3 hours'), ('old', '', '0 0 * * *', 'UTC', now())"
    )
    (finding,) = found(app, "schedules", Level.CRITICAL)
    assert "report is overdue" in finding.text
    assert "old" in " ".join(each.text for each in examine(app, only=["schedules"]).checks[0].findings)
    execute("update adjourn.adjourn_schedules set paused_at = now() - interval '10 min' where task_name = 'report'")
    (finding,) = [each for each in found(app, "schedules", Level.WARN) if "report" in each.text]
    assert "has been paused for 10 min" in finding.text
    assert finding.statement == "adjourn --app=... resume --schedule=report"


def test_an_old_schema_is_critical_and_none_is_told_once(app: adjourn.App, execute: Execute, server_dsn: str) -> None:
    execute("update adjourn.adjourn_migrations set version = version + 100")
    assert "this adjourn knows" in found(app, "schema", Level.WARN)[0].text
    execute("update adjourn.adjourn_migrations set version = version - 100")
    missing = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=server_dsn))
    examination = examine(missing, timeout=60)
    levels = {each.id: each.level for each in examination.checks}
    assert levels["schema"] is Level.CRITICAL
    assert levels["jobs"] is Level.UNKNOWN


def test_a_schema_that_is_older_than_the_program_is_critical(app: adjourn.App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adjourn.sql.latest_version", lambda: 99)
    (finding,) = found(app, "schema", Level.CRITICAL)
    assert "this adjourn needs 99" in finding.text
    assert "schema --apply" in finding.remedy


def test_rights_that_are_missing_come_with_their_grants(app: adjourn.App, execute: Execute, address: str) -> None:
    role = f"doctor_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    execute(f"drop role if exists {role}; create role {role} login")
    try:
        plain = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=address, user=role))
        for kind in ("producer", "reader", "operator", "worker"):
            (finding,) = found(plain, "rights", Level.CRITICAL, role=kind)
            assert f"rights of a {kind}" in finding.text or f"right of a {kind}" in finding.text
            execute(finding.statement)
            assert found(plain, "rights", Level.OK, role=kind)
        lives(execute)
        with psycopg.connect(address, application_name="hidden") as idle:
            idle.execute("select txid_current()")
            (unseen,) = found(plain, "xmin", Level.UNKNOWN)
            assert "pg_monitor" in unseen.statement
        with blocked(address) as holder:
            seen, unseen = findings(plain, "waits", AT_ONCE)
            assert f"which {holder.info.backend_pid} holds" in seen.text
            assert "waits in" not in seen.text
            assert "1 wait has statements of other roles" in unseen.text
            assert unseen.level is Level.UNKNOWN
            execute(unseen.statement)
            (seen,) = findings(plain, "waits", AT_ONCE)
            assert "waits in: select" in seen.text
    finally:
        execute(f"drop owned by {role}; drop role {role}")


def test_a_pooler_and_a_task_that_nobody_knows_are_told(app: adjourn.App, execute: Execute, address: str) -> None:
    pooled = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=address, pooler=True))
    assert "pooler" in found(pooled, "pooler", Level.WARN)[0].text
    stores(execute)
    assert "'send'" in found(app, "app", Level.WARN)[0].text


def test_notifications_that_get_lost_on_the_way_are_told(
    app: adjourn.App, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a proxy does that keeps a session of its own for whoever listens."""
    listen = patient.Listener.listen

    with proxied(address) as (proxy, dsn):

        def listening(listener: patient.Listener, channel: str) -> None:
            listen(listener, channel)
            proxy.links[-1].loses_answers = True

        monkeypatch.setattr(patient.Listener, "listen", listening)
        monkeypatch.setattr("adjourn.doctor.checks.connection.HEARD_WITHIN", 0.3)
        (finding,) = found(adjourn.App(connector=adjourn.PsycopgConnector(conninfo=dsn)), "pooler", Level.WARN)
    assert "A notification did not arrive within 0.3 s" in finding.text
    assert "give workers a direct address" in finding.remedy


@pytest.mark.skipif(BINARY is None, reason=MISSING)
def test_pgbouncer_is_recognized(address: str, execute: Execute) -> None:
    lives(execute)
    with pgbouncer(address) as dsn:
        pooled = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=dsn))
        (finding,) = found(pooled, "pooler", Level.WARN)
        others = examine(pooled, only=[check.id for check in CHECKS if check.id not in NOT_HERE], timeout=60)
    assert "pooler in transaction mode is in between" in finding.text
    assert "leads to the server directly" in finding.remedy
    assert others.level is Level.OK, others


def test_a_clock_that_is_wrong_is_told(app: adjourn.App, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    monkeypatch.setattr("adjourn.doctor.checks.connection.time.time", lambda: now() - 100)
    assert "100.0 s ahead of" in found(app, "clock", Level.CRITICAL)[0].text


@pytest.mark.parametrize("setting", ["statement_timeout", "synchronous_commit"])
def test_settings_of_the_role_are_mended_by_what_it_says(
    app: adjourn.App, execute: Execute, address: str, setting: str
) -> None:
    role = f"settings_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    execute(f"drop role if exists {role}; create role {role} login superuser")
    try:
        execute(f"alter role {role} set {setting} = {'5000' if setting == 'statement_timeout' else 'off'}")
        plain = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=address, user=role))
        check = "settings" if setting == "statement_timeout" else "replication"
        (finding,) = [each for each in findings(plain, check) if setting in each.text]
        execute(finding.statement)
        assert [each for each in findings(plain, check) if setting in each.text] == []
    finally:
        execute(f"drop role {role}")


def test_a_server_that_is_away_is_told_at_once() -> None:
    away = adjourn.App(connector=adjourn.PsycopgConnector(conninfo="postgresql://nobody:secret@127.0.0.1:1/none"))
    examination: Examination = examine(away, timeout=60)
    assert examination.checks[0].level is Level.CRITICAL
    assert {each.level for each in examination.checks[1:]} == {Level.UNKNOWN}
    assert "secret" not in examination.as_json()


def test_what_makes_no_sense_is_refused(app: adjourn.App) -> None:
    for options in ({"only": ["nonsense"]}, {"role": "nobody"}, {"timeout": -1}):
        with pytest.raises(InvalidOption):
            examine(app, **options)
    with pytest.raises(InvalidOption, match="in-memory"):
        examine(adjourn.App(connector=adjourn.testing.InMemoryConnector()))
    with pytest.raises(InvalidOption, match="ready_warn"):
        Thresholds.of({"ready": 1})


def test_a_job_that_has_not_waited_for_long_is_not_said_to_be_no_job(app: adjourn.App, execute: Execute) -> None:
    with app.open():
        app.configure_task("letter", allow_unknown=True).defer()
    [told] = findings(app, "jobs")
    assert told.text == "No job that could run has waited for long"
