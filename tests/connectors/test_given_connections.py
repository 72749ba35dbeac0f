"""Each connector is given each kind of connection as `connection=`: it is used, or refused with the remedy."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import psycopg
import psycopg2
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

import adjourn
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector, SQLAlchemyPsycopg2Connector, SQLAlchemyPsycopgConnector
from adjourn.exceptions import InvalidConnection
from support.addresses import address
from support.apps import make_app

BLOCKING_SESSIONS = ("SQLAlchemy Connection", "SQLAlchemy Session", "SQLAlchemy scoped_session")
"""Those on psycopg."""

TAKEN = {
    ("psycopg", "blocking"): {"psycopg", "Django on psycopg", *BLOCKING_SESSIONS},
    ("psycopg", "awaited"): {"psycopg, async", "SQLAlchemy AsyncSession on psycopg"},
    ("psycopg2", "blocking"): {"psycopg2", "Django on psycopg2", "SQLAlchemy Session on psycopg2"},
    ("psycopg2", "awaited"): {"psycopg2", "SQLAlchemy Session on psycopg2"},
    ("sqlalchemy", "blocking"): {*BLOCKING_SESSIONS, "SQLAlchemy Session on psycopg2", "psycopg"},
    ("sqlalchemy", "awaited"): {
        "SQLAlchemy AsyncSession on psycopg",
        "SQLAlchemy AsyncConnection",
        "SQLAlchemy AsyncSession",
        "SQLAlchemy async_scoped_session",
        "asyncpg",
        "asyncpg's pool",
        "psycopg, async",
    },
}
"""Which connections a call of a connector of that driver takes."""

OTHER_DRIVERS = {
    ("psycopg", "blocking"): {"SQLAlchemy Session on psycopg2"},
    ("psycopg", "awaited"): {
        "SQLAlchemy AsyncConnection",
        "SQLAlchemy AsyncSession",
        "SQLAlchemy async_scoped_session",
    },
    ("psycopg2", "blocking"): {*BLOCKING_SESSIONS},
    ("psycopg2", "awaited"): {*BLOCKING_SESSIONS},
}
"""Which connections would be taken if they were on that driver."""

AWAITED = "await the form of the call that ends in `_async`"
BLOCKING = "without `_async`"
ON_PSYCOPG, ON_PSYCOPG2, ON_ENGINES = "adjourn.PsycopgConnector", "adjourn.Psycopg2Connector", "SQLAlchemyConnector"

HOMES = {
    "psycopg": (ON_PSYCOPG, "blocking"),
    "psycopg, async": (ON_PSYCOPG, "awaited"),
    "Django on psycopg": (ON_PSYCOPG, "blocking"),
    "psycopg2": (ON_PSYCOPG2, "either"),
    "Django on psycopg2": (ON_PSYCOPG2, "blocking"),
    "SQLAlchemy Connection": (ON_ENGINES, "blocking"),
    "SQLAlchemy Session": (ON_ENGINES, "blocking"),
    "SQLAlchemy scoped_session": (ON_ENGINES, "blocking"),
    "SQLAlchemy Session on psycopg2": (ON_ENGINES, "blocking"),
    "SQLAlchemy AsyncConnection": (ON_ENGINES, "awaited"),
    "SQLAlchemy AsyncSession on psycopg": (ON_ENGINES, "awaited"),
    "SQLAlchemy AsyncSession": (ON_ENGINES, "awaited"),
    "SQLAlchemy async_scoped_session": (ON_ENGINES, "awaited"),
    "asyncpg": (ON_ENGINES, "awaited"),
    "asyncpg's pool": (ON_ENGINES, "awaited"),
}
"""The connector that takes a connection, and the colour of the calls that do."""

CALLS: dict[str, tuple[Callable[[], Any], str, str]] = {
    "SyncPsycopgConnector": (adjourn.SyncPsycopgConnector, "psycopg", "blocking"),
    "PsycopgConnector": (adjourn.PsycopgConnector, "psycopg", "blocking"),
    "PsycopgConnector, awaited": (adjourn.PsycopgConnector, "psycopg", "awaited"),
    "Psycopg2Connector": (adjourn.Psycopg2Connector, "psycopg2", "blocking"),
    "AsyncPsycopg2Connector": (adjourn.AsyncPsycopg2Connector, "psycopg2", "blocking"),
    "AsyncPsycopg2Connector, awaited": (adjourn.AsyncPsycopg2Connector, "psycopg2", "awaited"),
    "SQLAlchemyPsycopgConnector": (SQLAlchemyPsycopgConnector, "sqlalchemy", "blocking"),
    "SQLAlchemyPsycopg2Connector": (SQLAlchemyPsycopg2Connector, "sqlalchemy", "blocking"),
    "SQLAlchemyConnector": (SQLAlchemyConnector, "sqlalchemy", "blocking"),
    "SQLAlchemyConnector, awaited": (SQLAlchemyConnector, "sqlalchemy", "awaited"),
}


class LikeDjangos:
    """What is seen of a connection of Django's."""

    vendor = "postgresql"

    def __init__(self, connection: Any, database: Any) -> None:
        self.connection = connection
        self.Database = database

    def ensure_connection(self) -> None:
        """Do nothing: it is connected."""


@contextlib.asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[dict[str, Any]]:
    """Make a connection of each kind, and some things that are none."""
    engine = create_engine(address(dsn, "psycopg"))
    engine_async = create_async_engine(address(dsn, "asyncpg"))
    others = create_engine(address(dsn, "psycopg2")), create_async_engine(address(dsn, "psycopg"))
    plain, plain_psycopg2 = psycopg.connect(dsn), psycopg2.connect(dsn)
    awaited, asyncpgs = await psycopg.AsyncConnection.connect(dsn), await asyncpg.connect(dsn)
    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=1)
    found = {
        "psycopg": plain,
        "psycopg, async": awaited,
        "Django on psycopg": LikeDjangos(plain, psycopg),
        "psycopg2": plain_psycopg2,
        "Django on psycopg2": LikeDjangos(plain_psycopg2, psycopg2),
        "SQLAlchemy Connection": engine.connect(),
        "SQLAlchemy Session": Session(engine),
        "SQLAlchemy scoped_session": scoped_session(sessionmaker(engine)),
        "SQLAlchemy Session on psycopg2": Session(others[0]),
        "SQLAlchemy AsyncSession on psycopg": AsyncSession(others[1]),
        "SQLAlchemy AsyncConnection": await engine_async.connect(),
        "SQLAlchemy AsyncSession": AsyncSession(engine_async),
        "SQLAlchemy async_scoped_session": async_scoped_session(async_sessionmaker(engine_async), lambda: None),
        "asyncpg": asyncpgs,
        "asyncpg's pool": await pool.acquire(),
        "an engine": engine,
        "an address": dsn,
        "an object": object(),
    }
    try:
        yield found
    finally:
        for name, connection in found.items():
            if name.startswith(("psycopg", "SQLAlchemy")) or name == "asyncpg":
                closing = connection.close()
                if inspect.isawaitable(closing):
                    await closing
        await pool.release(found["asyncpg's pool"])
        await pool.close()
        engine.dispose()
        await engine_async.dispose()
        others[0].dispose()
        await others[1].dispose()


@pytest.mark.parametrize("call", CALLS)
async def test_a_connection_is_used_or_refused_with_the_connector_or_the_colour_to_use(
    call: str, database: str, observer: psycopg.Connection
) -> None:
    make, driver, colour = CALLS[call]
    app = make_app(make())

    async def defer(connection: Any) -> None:
        deferrer = app.tasks["add"].configure(connection=connection)
        if colour == "blocking":
            deferrer.defer(name="x")
        else:
            await deferrer.defer_async(name="x")

    async with connected(database) as connections:
        for name, connection in connections.items():
            if name in TAKEN[driver, colour]:
                await defer(connection)
                continue
            with pytest.raises(
                InvalidConnection, match=r"^This (call takes a|\w*(S|s)ession is on|\w*Connection is on) "
            ) as caught:
                await defer(connection)
            said = str(caught.value)
            if name in OTHER_DRIVERS.get((driver, colour), ()):
                its_driver = "asyncpg" if "sync" in name else "psycopg2" if "psycopg2" in name else "psycopg"
                assert f"is on postgresql+{its_driver}," in said, (name, said)
                assert f"takes those on postgresql+{driver}." in said, (name, said)
                assert ON_ENGINES in said
                continue
            if name not in HOMES:
                assert "Pass a connection" in said, name
                continue
            home, its_colour = HOMES[name]
            # The connector that takes it, unless it is this one.
            blocking = {*TAKEN[driver, "blocking"], *OTHER_DRIVERS.get((driver, "blocking"), ())}
            assert home in said or name in blocking, (name, said)
            is_awaited = its_colour == "awaited"
            assert (AWAITED in said) is (is_awaited and colour == "blocking"), (name, said)
            if its_colour == "blocking" and colour == "awaited":
                assert BLOCKING in said, (name, said)
            if is_awaited:
                assert BLOCKING not in said, (name, said)
    # None was committed but where each statement is: these begin no transaction by themselves.
    committed = {"asyncpg", "asyncpg's pool"} & TAKEN[driver, colour]
    assert observer.execute("SELECT count(*) FROM adjourn.adjourn_jobs").fetchone() == (len(committed),)


@pytest.mark.parametrize("kind", [SQLAlchemyPsycopgConnector, SQLAlchemyPsycopg2Connector])
def test_a_synchronous_connector_does_not_ask_for_the_impossible(kind: Any, database: str) -> None:
    engine = create_async_engine(address(database, "asyncpg"))
    with pytest.raises(adjourn.exceptions.InvalidOption, match="on an asynchronous connector"):
        kind().open(engine)
