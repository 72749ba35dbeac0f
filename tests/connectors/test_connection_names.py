"""Who looks at the sessions of a server sees which of them are adjourn's, and what each is there for, unless the user has said something else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import psycopg
import psycopg.conninfo
import pytest

import adjourn
from adjourn._domain.callings import LONGEST, connecting_as, connection_name
from adjourn.connectors.faces import AsynchronousConnector
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector, SQLAlchemyPsycopg2Connector, SQLAlchemyPsycopgConnector
from adjourn.doctor.patient import Listener
from adjourn.monitor import Monitor
from adjourn.types import Statement
from dispatch.pairs import DRIVERS, PSYCOPG, PSYCOPG2, SQLALCHEMY_PSYCOPG, Pair
from support.addresses import address
from support.waiting import until_async

NAME = Statement("name", "SELECT current_setting('application_name') AS name")


@pytest.fixture(params=DRIVERS, ids=str)
def pair(request: pytest.FixtureRequest) -> Pair:
    """The connectors of one test."""
    found: Pair = request.param
    return found


@pytest.fixture(params=[PSYCOPG, PSYCOPG2, SQLALCHEMY_PSYCOPG], ids=str)
def libpq(request: pytest.FixtureRequest) -> Pair:
    """Connectors on libpq."""
    found: Pair = request.param
    return found


def names(observer: psycopg.Connection) -> list[str]:
    """Return what the sessions of the test's database are called."""
    sql = "select application_name from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    return sorted(name for (name,) in observer.execute(sql))


def with_parameter(pair: Pair, dsn: str, name: str, value: str) -> AsynchronousConnector:
    """Return a connector whose address has one more parameter of libpq's."""
    if pair.name == "sqlalchemy-psycopg":
        return SQLAlchemyConnector(dsn=address(dsn, "psycopg").update_query_dict({name: value}))
    return pair.connector(psycopg.conninfo.make_conninfo(dsn, **{name: value}), 3, 20)


def on_asyncpg(dsn: str, **settings: str) -> SQLAlchemyConnector:
    """Return a connector on asyncpg with settings of its server."""
    return SQLAlchemyConnector(dsn=address(dsn, "asyncpg"), connect_args={"server_settings": settings})


async def test_each_connection_says_what_it_is_for(database: str, pair: Pair) -> None:
    connector = pair.connector(database, 3, 20)
    async with adjourn.App(connector=connector).open_async():
        assert await connector.execute_async(NAME) == [{"name": "adjourn app"}]
        session = await connector.session_async()
        assert await session.execute_async(NAME) == [{"name": "adjourn app"}]
        await session.close_async()
        with connecting_as("worker", "mail 1"):
            session = await connector.session_async()
            blocking = connector.session()
        assert await session.execute_async(NAME) == [{"name": "adjourn worker mail 1"}]
        assert blocking.execute(NAME) == [{"name": "adjourn worker mail 1"}]
        await session.close_async()
        blocking.close()


def test_so_do_those_of_blocking_calls(database: str, pair: Pair) -> None:
    app = adjourn.App(connector=pair.connector(database, 3, 20))
    with app.open():
        assert app.connector.get_sync_connector().execute(NAME) == [{"name": "adjourn app"}]


SYNCHRONOUS = {
    "psycopg": adjourn.SyncPsycopgConnector,
    "psycopg2": adjourn.Psycopg2Connector,
    "sqlalchemy-psycopg": lambda dsn: SQLAlchemyPsycopgConnector(dsn=dsn),
    "sqlalchemy-psycopg2": lambda dsn: SQLAlchemyPsycopg2Connector(dsn=dsn),
}


@pytest.mark.parametrize("make", SYNCHRONOUS.values(), ids=SYNCHRONOUS)
def test_so_do_those_of_synchronous_connectors(database: str, make: Callable[[str], adjourn.BaseConnector]) -> None:
    connector = make(database)
    with adjourn.App(connector=connector).open(), contextlib.closing(connector.session()) as session:
        assert connector.execute(NAME) == session.execute(NAME) == [{"name": "adjourn app"}]


async def said(connector: adjourn.BaseConnector) -> set[str]:
    """Return what the connections of a connector are called."""
    async with adjourn.App(connector=connector).open_async():
        session = await connector.session_async()
        found = [*await connector.execute_async(NAME), *await session.execute_async(NAME)]
        await session.close_async()
    return {row["name"] for row in found}


async def test_a_name_in_the_address_is_kept(database: str, libpq: Pair) -> None:
    assert await said(with_parameter(libpq, database, "application_name", "shop")) == {"shop"}


async def test_a_name_in_the_settings_of_asyncpg_is_kept(database: str) -> None:
    assert await said(on_asyncpg(database, application_name="shop")) == {"shop"}


async def test_a_name_in_the_environment_is_kept(database: str, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGAPPNAME", "shop")
    assert await said(pair.connector(database, 3, 20)) == {"shop"}


@pytest.mark.parametrize("is_in_environment", [False, True])
async def test_a_name_in_libpqs_options_is_kept(
    database: str, libpq: Pair, monkeypatch: pytest.MonkeyPatch, is_in_environment: bool
) -> None:
    option = "-c application_name=shop"
    if is_in_environment:
        monkeypatch.setenv("PGOPTIONS", option)
        assert await said(libpq.connector(database, 3, 20)) == {"shop"}
    else:
        assert await said(with_parameter(libpq, database, "options", option)) == {"shop"}


async def test_other_settings_of_asyncpg_are_kept(database: str) -> None:
    connector = on_asyncpg(database, work_mem="5MB")
    async with adjourn.App(connector=connector).open_async():
        memory = Statement("memory", "SELECT current_setting('work_mem') AS name")
        assert await connector.execute_async(memory) == [{"name": "5MB"}]
        assert await connector.execute_async(NAME) == [{"name": "adjourn app"}]


async def test_a_worker_has_its_name(database: str, pair: Pair, observer: psycopg.Connection) -> None:
    app = adjourn.App(connector=pair.connector(database, 3, 20))
    async with app.open_async():
        worker = asyncio.create_task(app.run_worker_async(name="Köln 1", install_signal_handlers=False))
        name = "adjourn worker K?ln 1"
        await until_async(lambda: names(observer) == ["adjourn app", name, name])
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker


def test_who_watches_says_so(database: str, observer: psycopg.Connection) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    with contextlib.closing(Monitor(app)) as monitor:
        monitor.look()
        assert names(observer) == ["adjourn monitor"]
    with contextlib.closing(Listener(app)):
        assert "adjourn doctor" in names(observer)


def test_a_name_has_as_many_bytes_as_postgres_shows() -> None:
    with connecting_as("worker", "é" * 100):
        assert connection_name() == f"adjourn worker {'?' * (LONGEST - len('adjourn worker '))}"
    with connecting_as("worker", "worker"):
        assert connection_name() == "adjourn worker"
    assert connection_name() == "adjourn app"
