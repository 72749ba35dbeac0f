"""The database of the tests.

One server for the whole run, shared by all of its workers: the one that ``ADJOURN_TEST_DSN`` names, or an embedded one
that is gone afterwards however the run ends. On it each worker has a database of its own, which is emptied before every
test that asks for it: by DELETE, which takes about a millisecond, where TRUNCATE takes thirty and a new database up to
three hundred.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from adjourn import embedded
from support.databases import SETTINGS, apply_schema, new_database
from support.prepared import PreparedProcess
from support.sessions import Sessions, recover

# The suite's settings keep pytest from loading it by itself, before coverage is measured.
pytest_plugins = ["adjourn.testing.plugin", "pytester"]


@pytest.fixture(scope="session", autouse=True)
def _no_bytecode_of_programs() -> None:
    """Have the processes that tests start write no bytecode: of a program that is written twice within a second, Python
    would run the first one."""
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Asynchronous tests run on asyncio, by default on its own event loop."""
    return "asyncio", {"use_uvloop": os.environ.get("ADJOURN_TEST_LOOP") == "uvloop"}


@pytest.fixture(scope="session")
def server_dsn() -> Iterator[str]:
    """The address of the server that all workers of the run share."""
    if dsn := os.environ.get("ADJOURN_TEST_DSN"):
        yield dsn
        return
    # Without workers there is no name for the run.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"process-{os.getpid()}")
    path = Path(tempfile.gettempdir(), f"adjourn-tests-{run}")
    with embedded.Server(path, temporary=True, settings=SETTINGS) as server:
        yield server.dsn
        log = (path / "server.log").read_text(encoding="utf-8", errors="replace")
        assert "deadlock detected" not in log, "statements of adjourn have waited for each other; see the server's log"


@pytest.fixture(scope="session")
def dsn(server_dsn: str) -> Iterator[str]:
    """The address of a database that is this worker's own, and empty when the worker starts."""
    with new_database(server_dsn, f"adjourn_test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}") as address:
        yield address


@pytest.fixture(scope="session")
def observer(dsn: str) -> Iterator[psycopg.Connection]:
    """A connection that stays open for the run, for what tests do beside the code that is tested."""
    with psycopg.connect(dsn, autocommit=True, application_name="adjourn tests") as connection:
        # A test that has left a transaction open shall be the one to be noticed, not the next one's time limit.
        connection.execute("SET lock_timeout = '10s'")
        yield connection


@pytest.fixture(scope="session")
def tables(dsn: str, observer: psycopg.Connection) -> list[str]:
    """Apply the schema; the tables that tests fill."""
    apply_schema(dsn)
    # A partition is emptied with its table.
    rows = observer.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'adjourn'::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'adjourn_migrations'"
    )
    return [table for (table,) in rows]


@pytest.fixture
def database(dsn: str, tables: list[str], observer: psycopg.Connection) -> str:
    """The address of this worker's database, with adjourn's schema and no rows."""
    recover(observer)
    deletions = [f"DELETE FROM {table};" for table in tables]
    # The role spares us to find an order that suits the foreign keys, and the triggers' notifications.
    observer.execute(
        f"BEGIN; SET LOCAL session_replication_role = replica; {' '.join(deletions)} COMMIT".encode(), prepare=False
    )
    return dsn


@pytest.fixture
def scratch(dsn: str, observer: psycopg.Connection) -> str:
    """The address of this worker's database, with an empty table to play with."""
    observer.execute("DROP TABLE IF EXISTS scratch")
    observer.execute("CREATE TABLE scratch (id integer GENERATED ALWAYS AS IDENTITY, name text UNIQUE)")
    return dsn


@pytest.fixture
def sessions(observer: psycopg.Connection) -> Sessions:
    """Who is connected to this worker's database."""
    return Sessions(observer)


@pytest.fixture(scope="session")
def prepared() -> Iterator[PreparedProcess]:
    """What runs programs that need not import everything anew."""
    prepared = PreparedProcess()
    yield prepared
    prepared.close()
