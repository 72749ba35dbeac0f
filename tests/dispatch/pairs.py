"""The connectors that are tested: asynchronous ones with the synchronous twin of each, and those that are synchronous only.

To have another one tested against the model (`properties.test_connectors`) and by the tests that say what holds for
each connector, append it to `PAIRS`; by all other tests of this directory too, to `DRIVERS`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import psycopg
import psycopg2
from psycopg2.pool import ThreadedConnectionPool
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import Session

import adjourn
from adjourn.connector import BaseConnector
from adjourn.connectors.adapted import SyncAdaptedConnector
from adjourn.connectors.faces import AsynchronousConnector
from adjourn.connectors.memory import SyncInMemoryConnector
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector, SQLAlchemyPsycopg2Connector, SQLAlchemyPsycopgConnector
from adjourn.testing import InMemoryConnector
from support.addresses import address


@attrs.frozen
class Pair:
    """An asynchronous connector that serves synchronous calls, by a twin or by its event loop.

    Attributes
    ----------
    name
        What the tests are called after.
    connector
        Makes one, given the database's address, the most connections that it may have, and seconds to wait.
    twin
        The class of its synchronous twin.
    pool
        Makes an open pool of the user's own for synchronous opening, and whatever closes it; None where there is none.
    pool_async
        The same for asynchronous opening, on the event loop it is called on.
    connect, connect_async
        Make a connection of the user's own on which a transaction begins with the first statement, for calls of either
        colour; None where such calls take none.
    names
        Reads the names of the jobs that a connector holds itself, where there is no database. Sessions are not counted
        then, and a child of a fork has jobs of its own.
    """

    name: str
    connector: Callable[[str, int, float], AsynchronousConnector]
    twin: type[BaseConnector]
    pool: Callable[[str], contextlib.AbstractContextManager[Any]] | None = None
    pool_async: Callable[[str], contextlib.AbstractAsyncContextManager[Any]] | None = None
    connect: Callable[[str], contextlib.AbstractContextManager[Any]] | None = None
    connect_async: Callable[[str], contextlib.AbstractAsyncContextManager[Any]] | None = None
    names: Callable[[BaseConnector], list[str]] | None = None

    @property
    def is_in_memory(self) -> bool:
        """Whether there is no database."""
        return self.names is not None

    @property
    def needs_opening(self) -> bool:
        """Whether calls are refused while the app is not open."""
        return not self.is_in_memory

    def __str__(self) -> str:
        return self.name


@contextlib.asynccontextmanager
async def own_connection(dsn: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """Make a connection of psycopg's that is awaited."""
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        yield connection


PSYCOPG = Pair(
    name="psycopg",
    connector=lambda dsn, size, timeout: adjourn.PsycopgConnector(dsn, min_size=1, max_size=size, timeout=timeout),
    twin=adjourn.SyncPsycopgConnector,
    pool=lambda dsn: ConnectionPool(dsn, min_size=1, max_size=1, open=True),
    pool_async=lambda dsn: AsyncConnectionPool(dsn, min_size=1, max_size=1, open=False),
    connect=psycopg.connect,
    connect_async=own_connection,
)


class OwnPool(ThreadedConnectionPool):
    """A pool of the user's, which a block closes."""

    def __enter__(self) -> OwnPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.closeall()

    async def __aenter__(self) -> OwnPool:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closeall()


def own_psycopg2_connection(dsn: str) -> contextlib.AbstractContextManager[Any]:
    """Make a connection of psycopg2's, which a block closes."""
    return contextlib.closing(psycopg2.connect(dsn))


@contextlib.asynccontextmanager
async def own_psycopg2_connection_async(dsn: str) -> AsyncIterator[Any]:
    """Make such a connection on an event loop."""
    with own_psycopg2_connection(dsn) as connection:
        yield connection


PSYCOPG2 = Pair(
    name="psycopg2",
    connector=lambda dsn, size, timeout: adjourn.AsyncPsycopg2Connector(dsn, maxconn=size, timeout=timeout),
    twin=adjourn.Psycopg2Connector,
    pool=lambda dsn: OwnPool(1, 2, dsn),
    pool_async=lambda dsn: OwnPool(1, 2, dsn),
    connect=own_psycopg2_connection,
    connect_async=own_psycopg2_connection_async,
)


@contextlib.contextmanager
def own_engine(dsn: str, driver: str = "psycopg") -> Iterator[Engine]:
    """Make an engine of the user's, which a block disposes of."""
    engine = create_engine(address(dsn, driver), pool_size=2, max_overflow=0)
    try:
        yield engine
    finally:
        engine.dispose()


@contextlib.contextmanager
def own_orm_session(dsn: str, driver: str = "psycopg") -> Iterator[Session]:
    """Make an ORM session of the user's, which a block closes."""
    with own_engine(dsn, driver) as engine, Session(engine) as session:
        yield session


def sqlalchemy_pair(driver: str) -> Pair:
    """Return SQLAlchemy's pair on a driver of its asynchronous engines."""

    def connector(dsn: str, size: int, timeout: float) -> AsynchronousConnector:
        url = address(dsn, driver)
        return SQLAlchemyConnector(dsn=url, pool_size=size, max_overflow=0, pool_timeout=timeout)

    @contextlib.asynccontextmanager
    async def engine_async(dsn: str) -> AsyncIterator[AsyncEngine]:
        engine = create_async_engine(address(dsn, driver), pool_size=2, max_overflow=0)
        try:
            yield engine
        finally:
            await engine.dispose()

    @contextlib.asynccontextmanager
    async def connection_async(dsn: str) -> AsyncIterator[Any]:
        async with engine_async(dsn) as engine, engine.connect() as connection:
            yield connection

    return Pair(
        name=f"sqlalchemy-{driver}",
        connector=connector,
        twin=SQLAlchemyPsycopgConnector,
        pool=own_engine,
        pool_async=engine_async,
        connect=own_orm_session,
        connect_async=connection_async,
    )


SQLALCHEMY_PSYCOPG = sqlalchemy_pair("psycopg")
SQLALCHEMY_ASYNCPG = sqlalchemy_pair("asyncpg")


def names_in_memory(connector: BaseConnector) -> list[str]:
    """Return the names of the jobs that an in-memory connector holds."""
    assert isinstance(connector, InMemoryConnector)
    return [row["args"]["name"] for row in connector.jobs.values()]


MEMORY = Pair(
    name="memory",
    connector=lambda dsn, size, timeout: InMemoryConnector(),
    twin=SyncInMemoryConnector,
    names=names_in_memory,
)

DRIVERS = [PSYCOPG, PSYCOPG2, SQLALCHEMY_PSYCOPG, SQLALCHEMY_ASYNCPG]
"""What adjourn itself brings along for Postgres."""


def adapted_pair() -> Pair:
    """Return a third party's connector, the one that the documentation shows: blocking calls hop to a thread of it."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "connectors.md").read_text("utf-8")
    example = next(text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "AdaptedConnector" in text)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(example, "docs/how-to/connectors.md", "exec"), names)  # as a reader would

    @contextlib.asynccontextmanager
    async def shared(dsn: str) -> AsyncIterator[Any]:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            yield names["Shared"](connection)

    return Pair(
        name="adapted",
        connector=lambda dsn, size, timeout: names["TinyConnector"](dsn, timeout),
        twin=SyncAdaptedConnector,
        pool_async=shared,
        connect_async=own_connection,
    )


ADAPTED = adapted_pair()

PAIRS = [*DRIVERS, ADAPTED, MEMORY]


def sqlalchemy_synchronous(kind: type[Any], driver: str) -> Callable[[str, int, float], BaseConnector]:
    """Return what makes a synchronous connector of SQLAlchemy's."""

    def make(dsn: str, size: int, timeout: float) -> BaseConnector:
        url = address(dsn, driver)
        connector: BaseConnector = kind(dsn=url, pool_size=size, max_overflow=0, pool_timeout=timeout)
        return connector

    return make


SYNCHRONOUS: dict[str, Callable[[str, int, float], BaseConnector]] = {
    "SyncPsycopgConnector": lambda dsn, size, timeout: adjourn.SyncPsycopgConnector(
        dsn, min_size=1, max_size=size, timeout=timeout
    ),
    "Psycopg2Connector": lambda dsn, size, timeout: adjourn.Psycopg2Connector(dsn, maxconn=size, timeout=timeout),
    "SQLAlchemyPsycopgConnector": sqlalchemy_synchronous(SQLAlchemyPsycopgConnector, "psycopg"),
    "SQLAlchemyPsycopg2Connector": sqlalchemy_synchronous(SQLAlchemyPsycopg2Connector, "psycopg2"),
    "SyncInMemoryConnector": lambda dsn, size, timeout: SyncInMemoryConnector(),
}
"""Connectors that are synchronous and nothing else, made as `Pair.connector` makes its own."""

POOLS: dict[str, Callable[[str], contextlib.AbstractContextManager[Any]]] = {
    "SyncPsycopgConnector": lambda dsn: ConnectionPool(dsn, min_size=1, max_size=1, open=True),
    "Psycopg2Connector": lambda dsn: OwnPool(1, 2, dsn),
    "SQLAlchemyPsycopgConnector": own_engine,
    "SQLAlchemyPsycopg2Connector": lambda dsn: own_engine(dsn, "psycopg2"),
}
"""An open pool of the user's own for each of them that takes one, as in `Pair.pool`."""

CONNECTIONS: dict[str, Callable[[str], contextlib.AbstractContextManager[Any]]] = {
    "SyncPsycopgConnector": psycopg.connect,
    "Psycopg2Connector": own_psycopg2_connection,
    "SQLAlchemyPsycopgConnector": own_orm_session,
    "SQLAlchemyPsycopg2Connector": lambda dsn: own_orm_session(dsn, "psycopg2"),
}
"""A connection of the user's own for each of them that takes one, as in `Pair.connect`."""
