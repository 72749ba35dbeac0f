"""A pool full of connections to a server that takes no writes any more: it was demoted, and another one is the primary."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.testclient import TestClient

import adjourn
from adjourn import exceptions, web
from adjourn.doctor import examine
from adjourn.monitor.exports import Exports
from adjourn.testing.faces import Face
from adjourn.types import Statement
from connectors.test_silent_servers import CASES, ONE, Case
from dispatch.pairs import OwnPool
from support.addresses import address
from support.databases import apply_schema
from support.proxy import Proxy
from support.waiting import BOUND, until
from torture.postgres import DATABASE, SUPERUSER, Postgres, make_database

STORE = Statement("store", "INSERT INTO scratch (name) VALUES (%(name)s) RETURNING name")
SEVERAL = Statement("several", "INSERT INTO scratch (name) VALUES ('several'); SELECT 1")
PAUSE = Statement("pause", "SELECT pg_sleep(0.2)")

OWN_CASES = [case for case in CASES if case.has_pool]
each_case = pytest.mark.parametrize("case", OWN_CASES, ids=str)


@attrs.frozen
class Servers:
    """A primary, and a standby of it."""

    primary: Postgres
    standby: Postgres

    def stored(self) -> list[str]:
        """Return the names in the primary's table."""
        with self.primary.connect() as connection:
            return [name for (name,) in connection.execute("SELECT name FROM scratch ORDER BY name").fetchall()]

    def set_read_only(self, value: str) -> None:
        """Have the primary take no writes, or take them again."""
        with self.primary.connect() as connection:
            connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}".encode())
            connection.execute("SELECT pg_reload_conf()")
            shown = "SELECT 1 WHERE current_setting('default_transaction_read_only') = %s"
            until(lambda: connection.execute(shown, [value]).fetchone())
        time.sleep(0.2)  # the other sessions hear of it at the same time, but there is no way to ask them


@pytest.fixture(scope="module")
def pair() -> Iterator[Servers]:
    """Run both servers."""
    with tempfile.TemporaryDirectory(prefix="adjourn-pair-") as home:
        Path(home).chmod(0o755)  # root's servers run as another user
        servers = Servers(Postgres(Path(home, "one")), Postgres(Path(home, "two")))
        try:
            servers.primary.initialize()
            servers.primary.start()
            make_database(servers.primary)
            apply_schema(servers.primary.dsn)
            servers.standby.clone(servers.primary)
            servers.standby.start()
            yield servers
        finally:
            servers.standby.remove()
            servers.primary.remove()


@pytest.fixture
def servers(pair: Servers) -> Servers:
    """Return both servers, with an empty table."""
    with pair.primary.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS scratch")
        connection.execute("CREATE TABLE scratch (id integer GENERATED ALWAYS AS IDENTITY, name text UNIQUE)")
    with pair.standby.connect() as connection:
        there = "SELECT 1 FROM pg_class WHERE relname = 'scratch' AND pg_last_wal_replay_lsn() >= %s::pg_lsn"
        with pair.primary.connect() as primary:
            (position,) = primary.execute("SELECT pg_current_wal_lsn()::text").fetchone() or ("",)
        until(lambda: connection.execute(there, [position]).fetchone())
    return pair


@contextlib.contextmanager
def led_to(server: Postgres) -> Iterator[tuple[Proxy, str]]:
    """Run a proxy that leads to a server, and yield it and its address."""
    proxy = Proxy(("127.0.0.1", server.port))
    try:
        yield proxy, make_conninfo(host=proxy.host, port=proxy.port, user=SUPERUSER, dbname=DATABASE)
    finally:
        proxy.close()


async def warm(face: Face, number: int = 3) -> None:
    """Have a pool connect so many times."""
    await asyncio.gather(*(face.execute_statement(PAUSE) for _ in range(number)))


@pytest.fixture
async def demoted(case: Case, servers: Servers) -> AsyncIterator[Face]:
    """Open a connector, whose connections lead to the standby, while new ones lead to the primary."""
    with led_to(servers.standby) as (proxy, dsn):
        face = case.made(dsn, timeout=10, response_timeout=BOUND)
        async with face.opened():
            await warm(face)
            proxy.server = ("127.0.0.1", servers.primary.port)
            yield face


@each_case
async def test_calls_reach_the_new_primary(case: Case, demoted: Face, servers: Servers) -> None:
    names = [f"{number}" for number in range(6)]
    await asyncio.gather(*(demoted.execute_statement(STORE, {"name": name}) for name in names))
    assert servers.stored() == names


@each_case
async def test_a_text_of_several_commands_is_not_repeated_but_the_next_call_works(
    case: Case, demoted: Face, servers: Servers
) -> None:
    with pytest.raises(exceptions.ConnectorException) as error:
        await demoted.execute_statement(SEVERAL)
    assert error.value.sqlstate == "25006"
    await demoted.execute_statement(SEVERAL)
    assert servers.stored() == ["several"]


@each_case
async def test_a_server_that_stays_read_only_is_named_as_such(case: Case, servers: Servers) -> None:
    face = case.made(servers.standby.address(), timeout=10, response_timeout=BOUND)
    async with face.opened():
        for _ in range(3):
            with pytest.raises(exceptions.ConnectorException) as error:
                await face.execute_statement(STORE, {"name": "never"})
            assert error.value.sqlstate == "25006"
        assert await face.execute_statement(ONE) == [{"one": 1}]


@each_case
async def test_a_session_on_a_demoted_server_has_to_be_replaced(case: Case, servers: Servers) -> None:
    face = case.made(servers.standby.address())
    session = await face.session()
    with pytest.raises(exceptions.ConnectorException) as error:
        await session.execute_statement(STORE, {"name": "never"})
    assert error.value.sqlstate == "25006"
    with pytest.raises(exceptions.ConnectorException):
        await session.execute_statement(ONE)
    await session.close()


async def check_pool_of_the_users(
    servers: Servers, face: Face, pool: Callable[[str], Any], dsn_of: Callable[[str], Any] = str
) -> None:
    """Check that a pool of the user's reaches the new primary."""
    with led_to(servers.standby) as (proxy, dsn):
        made = pool(dsn_of(dsn))
        try:
            if isinstance(made, AsyncConnectionPool):
                await made.open(wait=True)
            await face.open(made)
            try:
                await warm(face)
                proxy.server = ("127.0.0.1", servers.primary.port)
                for name in "abcdef":
                    await face.execute_statement(STORE, {"name": name})
                assert servers.stored() == list("abcdef")
            finally:
                await face.close()
        finally:
            for close in ("closeall", "dispose", "close"):
                if hasattr(made, close):
                    ended = getattr(made, close)()
                    if asyncio.iscoroutine(ended):
                        await ended
                    break


USERS_POOLS: dict[str, tuple[Callable[[str], Any], str]] = {
    "psycopg, awaited": (lambda dsn: AsyncConnectionPool(dsn, min_size=3, max_size=3, open=False), ""),
    "psycopg, blocking": (lambda dsn: ConnectionPool(dsn, min_size=3, max_size=3, open=True), ""),
    "psycopg2, awaited": (lambda dsn: OwnPool(3, 3, dsn), ""),
    "psycopg2, blocking": (lambda dsn: OwnPool(3, 3, dsn), ""),
    "engine, psycopg, awaited": (lambda url: create_async_engine(url, pool_size=3), "psycopg"),
    "engine, asyncpg, awaited": (lambda url: create_async_engine(url, pool_size=3), "asyncpg"),
    "engine, psycopg, blocking": (lambda url: create_engine(url, pool_size=3), "psycopg"),
    "engine, psycopg2, blocking": (lambda url: create_engine(url, pool_size=3), "psycopg2"),
}


@each_case
async def test_a_pool_of_the_users_reaches_the_new_primary(case: Case, servers: Servers) -> None:
    pool, driver = USERS_POOLS[case.name]
    face = case.made("host=/nowhere")
    await check_pool_of_the_users(servers, face, pool, (lambda dsn: address(dsn, driver)) if driver else str)


def test_whoever_looks_at_a_standby_is_told_so_and_how_late_it_is(servers: Servers) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(servers.standby.dsn))
    primary = adjourn.App(connector=adjourn.PsycopgConnector(servers.primary.dsn))

    def exported(of: adjourn.App, name: str) -> dict[tuple[str, ...], float]:
        exports = Exports(of, 1.0)
        try:
            return next(dict(each.samples) for each in exports.families() if each.name == name)
        finally:
            exports.close()

    def said() -> str:
        (check,) = examine(app, only=["replication"], timeout=60).checks
        return " ".join(each.text for each in check.findings)

    with primary.open():
        job_id = primary.configure_task("any", queue="mail").defer()
    assert exported(primary, "adjourn_standby_lag_seconds") == {}
    until(lambda: exported(app, "adjourn_standby_lag_seconds") == {(): 0.0})
    assert set(exported(app, "adjourn_collector_success").values()) == {1.0}
    assert "This server is a standby, which stores nothing; it has all that the primary has stored" in said()
    with TestClient(web.create_app(app, auth=web.anybody)) as client:
        assert "standby, read only" in client.get("/").text
        page = client.get("/queues").text
        assert "mail" in page
        assert "/do/queue.pause" not in page
        assert "nothing is late" in client.get("/database").text
        answer = client.post("/do/queue.pause", data={"name": "mail"}, headers={"Sec-Fetch-Site": "same-origin"})
        assert answer.status_code == 409
        assert "This server is a standby" in answer.text
    with servers.standby.connect() as connection:
        connection.execute("select pg_wal_replay_pause()")
        with primary.open():
            primary.job_manager.cancel_job_by_id(job_id, delete_job=True)
        until(lambda: exported(app, "adjourn_standby_lag_seconds")[()] >= 1)
        assert "behind the primary" in said()
        connection.execute("select pg_wal_replay_resume()")


async def test_the_apps_own_calls_and_its_worker_move_to_the_promoted_standby(servers: Servers) -> None:
    """Last in this file, since the standby is one no more."""
    ran: list[str] = []
    with led_to(servers.primary) as (proxy, dsn):
        app = adjourn.App(connector=adjourn.PsycopgConnector(dsn, min_size=3))

        @app.task(name="note")
        async def note(name: str) -> None:
            ran.append(name)

        async def until_ran(name: str) -> None:
            deadline = time.monotonic() + BOUND
            while name not in ran:
                assert time.monotonic() < deadline, ran
                await asyncio.sleep(0.05)

        async with app.open_async():
            worker = asyncio.create_task(app.run_worker_async(install_signal_handlers=False))
            await note.defer_async(name="before")
            await until_ran("before")
            servers.standby.promote()
            servers.set_read_only("on")
            proxy.server = ("127.0.0.1", servers.standby.port)
            await note.defer_async(name="after")
            await until_ran("after")
            worker.cancel()
            await asyncio.wait([worker], timeout=BOUND)
    with psycopg.connect(servers.standby.dsn) as connection:
        count = connection.execute("SELECT count(*) FROM adjourn.adjourn_finished_jobs").fetchone()
    assert count is not None
    assert count[0] >= 1
