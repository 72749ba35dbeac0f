"""Indexes that a version of the schema adds to finished jobs, built while workers go on, also if that is interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

import adjourn
from adjourn import cli, exceptions, sql
from adjourn._sync.managers import indexes
from adjourn.schema import UnbuiltIndex
from dispatch.pairs import DRIVERS, Pair
from support.bench import Bench
from support.waiting import until

SCHEMA = "its own"
FINISHED = f'"{SCHEMA}".adjourn_finished_jobs'
NAME = "adjourn_finished_jobs_when"
STEP = """
create table @schema.adjourn_notes (id bigint primary key);
\\online create index adjourn_finished_jobs_when on @schema.adjourn_finished_jobs using brin (finished_at) with (pages_per_range = 32);
"""
_PARTS = f"from pg_inherits where inhparent = '{FINISHED}'::regclass"
PARTS = f"select count(*) {_PARTS}"
ALL_PARTS = f"select inhrelid::regclass::text {_PARTS}"
FIRST_WEEK = f"select min(inhrelid::regclass::text) {_PARTS}"
LAST_WEEK = f"select max(inhrelid::regclass::text) {_PARTS} and inhrelid::regclass::text not like '%_default'"
INDEXED = (
    "select count(*), bool_and(x.indisvalid) from pg_inherits h join pg_index x on x.indexrelid = h.inhrelid"
    " where inhparent = %s::regclass"
)
BUILDING = f"select pid from pg_stat_progress_create_index where relid in (select inhrelid {_PARTS})"
LEFTOVERS = f"""
    select count(*) from pg_index x join pg_class c on c.oid = x.indexrelid
    where c.relnamespace = '"{SCHEMA}"'::regnamespace and not x.indisvalid and c.relkind = 'i'
"""
WAITS = f"{BUILDING} and current_locker_pid <> 0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQL of adjourn, and one more version that has an online step."""
    folder = tmp_path_factory.mktemp("sql")
    for name in ("migrations", "functions"):
        shutil.copytree(Path(sql.__file__).parent / name, folder / name)
    (folder / "migrations" / f"{sql.latest_version() + 1:04}_when.sql").write_text(STEP)
    return folder


@pytest.fixture(scope="module")
def plain(dsn: str, observer: psycopg.Connection) -> Iterator[str]:
    """The address of the database, with the schema as it is now."""
    observer.execute(f'drop schema if exists "{SCHEMA}" cascade'.encode())
    with adjourn.App(connector=adjourn.SyncPsycopgConnector(dsn), schema=SCHEMA).open() as app:
        app.schema_manager.apply_schema()
    yield dsn
    observer.execute(f'drop schema "{SCHEMA}" cascade'.encode())


@pytest.fixture
def app(plain: str, observer: psycopg.Connection) -> Iterator[adjourn.App]:
    """An app with a finished job."""
    app = adjourn.App(connector=adjourn.PsycopgConnector(plain), schema=SCHEMA)
    app.task(name="any")(lambda: None)
    with app.open():
        app.configure_task("any").defer()
        app.run_worker(wait=False)
    yield app
    observer.execute(f'drop index if exists "{SCHEMA}".{NAME}; drop table if exists "{SCHEMA}".adjourn_notes'.encode())
    observer.execute(f'delete from "{SCHEMA}".adjourn_migrations where version > %s'.encode(), [sql.latest_version()])
    observer.execute(f"delete from {FINISHED}".encode())
    left = observer.execute(
        "select relname from pg_class where relnamespace = %s::regnamespace and relname like '%%_when' and relkind = 'i'",
        [f'"{SCHEMA}"'],
    )
    for (name,) in left.fetchall():
        observer.execute(f'drop index "{SCHEMA}".{name}'.encode())


@pytest.fixture
def pending(app: adjourn.App, folder: Path, observer: psycopg.Connection) -> adjourn.App:
    """The same, and the version with the online step has just been applied."""
    observer.execute(sql.versions(SCHEMA, folder)[-1].sql.encode())
    return app


@contextlib.contextmanager
def old_transaction(dsn: str) -> Iterator[psycopg.Connection]:
    """A session with a transaction that a concurrent build of an index has to wait for."""
    with psycopg.connect(dsn, application_name="a long report") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("select 1")
        yield connection


def build(observer: psycopg.Connection, partition: str) -> str:
    """Build the index of a partition, and return its name."""
    name = f"{partition.rpartition('.')[2]}_when"
    observer.execute(
        f"create index {name} on {partition} using brin (finished_at) with (pages_per_range = 32)".encode()
    )
    return name


def parts(observer: psycopg.Connection) -> int:
    (number,) = observer.execute(PARTS).fetchone() or (0,)
    return int(number)


def assert_built(observer: psycopg.Connection) -> None:
    """Every partition has the index, all are valid, and nothing is left over."""
    number = parts(observer)
    assert observer.execute(INDEXED, [f'"{SCHEMA}".{NAME}']).fetchone() == (number, True)
    assert observer.execute(
        "select indisvalid from pg_index where indexrelid = %s::regclass", [f'"{SCHEMA}".{NAME}']
    ).fetchone() == (True,)
    brins = observer.execute(
        "select count(*) from pg_class c join pg_am a on a.oid = c.relam where a.amname = 'brin' and c.relkind = 'i'"
        " and c.relnamespace = %s::regnamespace",
        [f'"{SCHEMA}"'],
    ).fetchone()
    assert brins == (number,)


def test_a_version_with_an_online_step_is_told_and_its_text_says_so(folder: Path) -> None:
    *others, version = sql.versions(SCHEMA, folder)
    assert version.online_indexes == (NAME,)
    assert not any(each.online_indexes for each in others)
    assert f"`adjourn schema --apply` has to build indexes afterwards, while workers go on: {NAME}." in version.sql
    assert all("build indexes afterwards" not in each.sql for each in others)


@pytest.mark.parametrize(
    "line",
    [
        "\\online create unique index adjourn_finished_jobs_x on @schema.adjourn_finished_jobs (id);",
        "\\online create index adjourn_jobs_x on @schema.adjourn_jobs (id);",
        "\\online create index mine on @schema.adjourn_finished_jobs (id);",
        "\\online drop index @schema.adjourn_finished_jobs_unsuccessful;",
        "\\online create index adjourn_finished_jobs_x on @schema.adjourn_finished_jobs (id)",
    ],
)
def test_an_online_step_of_another_kind_is_refused(tmp_path: Path, line: str) -> None:
    for name in ("functions", "migrations"):
        (tmp_path / name).mkdir()
    (tmp_path / "migrations" / "0001_any.sql").write_text(line + "\n")
    with pytest.raises(LookupError, match="in one line"):
        sql.versions(SCHEMA, tmp_path)


def test_where_no_job_has_ended_the_text_alone_makes_the_index(
    app: adjourn.App, folder: Path, observer: psycopg.Connection
) -> None:
    observer.execute(f"delete from {FINISHED}".encode())
    observer.execute(sql.versions(SCHEMA, folder)[-1].sql.encode())
    with app.open():
        assert app.schema_manager.list_unbuilt_indexes() == []
        assert app.schema_manager.apply_schema() == []
    assert observer.execute(INDEXED, [f'"{SCHEMA}".{NAME}']).fetchone() == (parts(observer), True)


def test_applying_the_schema_builds_the_index_on_each_partition(
    pending: adjourn.App, observer: psycopg.Connection
) -> None:
    number = parts(observer)
    with pending.open():
        assert pending.schema_manager.list_unbuilt_indexes() == [UnbuiltIndex(name=NAME, partitions=number, built=0)]
        pending.schema_manager.check_version()
        assert pending.schema_manager.apply_schema() == [f"built index {NAME} on {number} partitions"]
        assert pending.schema_manager.list_unbuilt_indexes() == []
        assert pending.schema_manager.apply_schema() == []
    assert_built(observer)


@pytest.mark.parametrize("pair", DRIVERS, ids=str)
async def test_every_driver_can_build_it(
    pending: adjourn.App, pair: Pair, plain: str, observer: psycopg.Connection
) -> None:
    app = adjourn.App(connector=pair.connector(plain, 2, 30), schema=SCHEMA)
    async with app.open_async():
        (said,) = await app.schema_manager.apply_schema_async()
    assert said.startswith(f"built index {NAME}")
    assert_built(observer)


async def test_jobs_are_deferred_and_run_and_a_week_is_made_while_a_build_waits(
    pending: adjourn.App, plain: str, observer: psycopg.Connection
) -> None:
    number = parts(observer)
    async with pending.open_async():
        bench = Bench(pending)
        async with bench.working(fetch_job_polling_interval=0.1):
            with old_transaction(plain) as report:
                applying = asyncio.create_task(pending.schema_manager.apply_schema_async())
                await bench.until(lambda: observer.execute(WAITS).fetchone())
                (index,) = await pending.schema_manager.list_unbuilt_indexes_async()
                assert (index.partitions, index.built, index.waits_for) == (number, 0, report.info.backend_pid)
                assert f"on 0 of {number} partitions" in str(index)
                assert f"waits for session {report.info.backend_pid}" in str(index)
                for job_id in [await pending.configure_task("any").defer_async() for _ in range(20)]:
                    await bench.ended(job_id)
                (week,) = observer.execute(LAST_WEEK).fetchone() or ("",)
                observer.execute(f"drop table {week}".encode())
                observer.execute(f'select "{SCHEMA}".adjourn_partition_v1(8)'.encode())
                assert parts(observer) == number
                assert not applying.done()
                report.rollback()
            (said,) = await applying
            # The week that was made meanwhile has the index from the start.
            assert said == f"built index {NAME} on {number - 1} partitions"
            await bench.ended(await pending.configure_task("any").defer_async())
    assert_built(observer)


@pytest.mark.parametrize("fault", ["pg_cancel_backend", "pg_terminate_backend"])
def test_what_an_interrupted_build_has_left_is_made_again(
    pending: adjourn.App, plain: str, observer: psycopg.Connection, fault: str
) -> None:
    number = parts(observer)
    with pending.open(), ThreadPoolExecutor(1) as executor:
        with old_transaction(plain):
            applying = executor.submit(pending.schema_manager.apply_schema)
            until(lambda: observer.execute(WAITS).fetchone())
            observer.execute(f"select {fault}(pid) from ({BUILDING}) building".encode())
            with pytest.raises(exceptions.ConnectorException):
                applying.result(30)
        assert observer.execute(LEFTOVERS).fetchone() == (1,)
        (index,) = pending.schema_manager.list_unbuilt_indexes()
        assert (index.built, index.building) == (0, None)
        assert pending.schema_manager.apply_schema() == [f"built index {NAME} on {number} partitions"]
    assert_built(observer)


@pytest.mark.parametrize(
    "sent",
    [
        signal.SIGINT,
        pytest.param(
            signal.SIGKILL,
            marks=pytest.mark.skipif(
                not os.environ.get("ADJOURN_TEST_THOROUGH"), reason="it takes seconds: run scripts/test-all"
            ),
        ),
    ],
)
def test_the_command_goes_on_where_it_was_ended(
    pending: adjourn.App,
    plain: str,
    observer: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sent: signal.Signals,
) -> None:
    (tmp_path / "shop_of_indexes.py").write_text(
        f"import adjourn\napp = adjourn.App(connector=adjourn.PsycopgConnector({plain!r}), schema={SCHEMA!r})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(indexes, "PAUSE", 0.02)
    command = ["--app=shop_of_indexes.app", "schema"]
    number = parts(observer)
    # The first partition has its index, the second is being built.
    (week,) = observer.execute(FIRST_WEEK).fetchone() or ("",)
    build(observer, week)
    with old_transaction(plain) as report:
        process = subprocess.Popen(
            [sys.executable, "-m", "adjourn", *command, "--apply"],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        until(lambda: observer.execute(WAITS).fetchone())
        process.send_signal(sent)
        output, errors = process.communicate(timeout=30)
        assert output == ""
        if sent is signal.SIGINT:
            assert process.returncode == 130
            assert f"interrupted; index {NAME} is on 1 of {number} partitions" in errors
            assert "The same command goes on" in errors
            until(lambda: observer.execute(BUILDING).fetchone() is None)
        assert cli.main([*command, "--version"]) == 0
        errors = capsys.readouterr().err
        assert f"Index {NAME} is on 1 of {number} partitions" in errors
        if sent is signal.SIGKILL:
            # The server does not notice that the client is gone: the build goes on, and whoever comes next waits for it.
            assert f"waits for session {report.info.backend_pid}" in errors
    assert cli.main([*command, "--apply"]) == 0
    assert f"Built index {NAME} on" in capsys.readouterr().out
    assert cli.main([*command, "--version"]) == 0
    assert capsys.readouterr().err == ""
    assert_built(observer)


def test_two_who_apply_the_schema_are_not_in_each_other_s_way(
    pending: adjourn.App, plain: str, observer: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes, "PAUSE", 0.02)
    monkeypatch.setattr(indexes, "ATTEMPTS", 1000)
    with pending.open(), ThreadPoolExecutor(2) as executor:
        with old_transaction(plain):
            both = [executor.submit(pending.schema_manager.apply_schema) for _ in range(2)]
            until(lambda: observer.execute(WAITS).fetchone())
            assert len(observer.execute(BUILDING).fetchall()) == 1
        assert any(each.result(30) for each in both)
    assert_built(observer)


def test_who_is_about_to_build_it_is_told_of(pending: adjourn.App, plain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "PAUSE", 0.0)
    monkeypatch.setattr(indexes, "ATTEMPTS", 2)
    with pending.open():
        with psycopg.connect(plain) as other:
            other.execute(sql.statements(SCHEMA)["try_lock_indexes"].text.encode())
            (said,) = pending.schema_manager.apply_schema()
            assert "because of another session that applies the schema; apply" in said
        monkeypatch.undo()
        assert pending.schema_manager.apply_schema()


def test_behind_a_pooler_it_is_built_without_a_lock_of_the_session(
    pending: adjourn.App, plain: str, observer: psycopg.Connection
) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(plain, pooler=True), schema=SCHEMA)
    with app.open(), psycopg.connect(plain) as other:
        other.execute(sql.statements(SCHEMA)["try_lock_indexes"].text.encode())
        other.commit()
        assert app.schema_manager.apply_schema()
    assert_built(observer)


def test_who_builds_it_already_is_named(
    pending: adjourn.App, plain: str, observer: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes, "PAUSE", 0.0)
    monkeypatch.setattr(indexes, "ATTEMPTS", 2)
    with pending.open(), ThreadPoolExecutor(1) as executor:
        with old_transaction(plain):
            first = executor.submit(pending.schema_manager.apply_schema)
            until(lambda: observer.execute(WAITS).fetchone())
            (pid,) = observer.execute(BUILDING).fetchone() or (0,)
            (said,) = pending.schema_manager.apply_schema()
            assert said.endswith(f"because of session {pid}, which builds it; apply the schema again")
        first.result(30)
    assert_built(observer)


@pytest.mark.parametrize("state", ["built", "invalid"])
def test_whoever_keeps_a_partition_locked_is_named(
    pending: adjourn.App,
    plain: str,
    observer: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    state: str,
) -> None:
    monkeypatch.setattr(indexes, "PAUSE", 0.0)
    monkeypatch.setattr(indexes, "ATTEMPTS", 2)
    monkeypatch.setattr(indexes, "WARNED", 1)
    (week,) = observer.execute(FIRST_WEEK).fetchone() or ("",)
    name, child = week.rpartition(".")[2], build(observer, week)
    observer.execute(
        "update pg_index set indisvalid = %s where indexrelid = %s::regclass", [state == "built", f'"{SCHEMA}".{child}']
    )
    with pending.open(), psycopg.connect(plain, application_name="a long report") as reader:
        reader.execute(f"select count(*) from {week}".encode())
        (said,) = pending.schema_manager.apply_schema()
        for text in (
            f"not on partition {name} yet",
            f"session {reader.info.backend_pid} ('a long report'",
            "apply the schema again",
        ):
            assert text in said
        assert {record.__dict__.get("action") for record in caplog.records} == {"index_waits"}
        reader.rollback()
        monkeypatch.undo()
        assert pending.schema_manager.apply_schema()
    assert_built(observer)


def test_an_index_whose_last_partition_was_dropped_becomes_valid(
    pending: adjourn.App, observer: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    (week,) = observer.execute(LAST_WEEK).fetchone() or ("",)
    for (name,) in observer.execute(ALL_PARTS).fetchall():
        if name != week:
            child = build(observer, name)
            observer.execute(f'alter index "{SCHEMA}".{NAME} attach partition "{SCHEMA}".{child}'.encode())
    observer.execute(f"drop table {week}".encode())
    with pending.open():
        assert pending.schema_manager.apply_schema() == [f"made partition {week.rpartition('.')[2]}"]
        assert pending.schema_manager.list_unbuilt_indexes() == []
    assert_built(observer)


def test_a_role_that_does_not_own_the_tables_is_told_so(
    pending: adjourn.App, plain: str, observer: psycopg.Connection
) -> None:
    observer.execute("drop role if exists adjourn_test_indexer")
    observer.execute("create role adjourn_test_indexer login")
    observer.execute(f'grant usage on schema "{SCHEMA}" to adjourn_test_indexer'.encode())
    observer.execute(f'grant select on all tables in schema "{SCHEMA}" to adjourn_test_indexer'.encode())
    guest = adjourn.App(connector=adjourn.PsycopgConnector(plain, user="adjourn_test_indexer"), schema=SCHEMA)
    try:
        with guest.open():
            (index,) = guest.schema_manager.list_unbuilt_indexes()
            assert index.name == NAME
            with pytest.raises(exceptions.ConnectorException, match="only that role, or a member of it, may change it"):
                guest.schema_manager.apply_schema()
    finally:
        observer.execute("drop owned by adjourn_test_indexer")
        observer.execute("drop role adjourn_test_indexer")
