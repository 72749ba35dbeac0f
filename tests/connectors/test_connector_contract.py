"""Every connector keeps the contract that a third party's would have to keep."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

import adjourn
from adjourn.connector import BaseConnector
from adjourn.contrib.psycopg2 import AsyncPsycopg2Connector, Psycopg2Connector
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector, SQLAlchemyPsycopg2Connector, SQLAlchemyPsycopgConnector
from adjourn.testing import ConnectorContract, InMemoryConnector, SyncInMemoryConnector
from support.addresses import address


class TestInMemoryConnector(ConnectorContract):
    executes_sql = False

    def make_connector(self) -> BaseConnector:
        return InMemoryConnector()


class TestSyncInMemoryConnector(ConnectorContract):
    executes_sql = False

    def make_connector(self) -> BaseConnector:
        return SyncInMemoryConnector()


class OnPostgres(ConnectorContract):
    """A contract that is kept with the database of the tests."""

    @pytest.fixture(autouse=True)
    def _database(self, database: str, tmp_path: Path) -> None:
        self.dsn = database
        self.nowhere = str(tmp_path)


class TestPsycopgConnector(OnPostgres):
    def make_connector(self) -> BaseConnector:
        return adjourn.PsycopgConnector(self.dsn, min_size=1, max_size=2)

    def make_unreachable_connector(self) -> BaseConnector:
        return adjourn.PsycopgConnector(host=self.nowhere)

    @contextlib.asynccontextmanager
    async def _made_pool(self) -> AsyncIterator[Any]:
        async with AsyncConnectionPool(self.dsn, min_size=1, max_size=2, open=False) as pool:
            yield pool

    def make_pool(self) -> AbstractAsyncContextManager[Any]:
        return self._made_pool()


class TestSyncPsycopgConnector(OnPostgres):
    def make_connector(self) -> BaseConnector:
        return adjourn.SyncPsycopgConnector(self.dsn, min_size=1, max_size=2)

    def make_unreachable_connector(self) -> BaseConnector:
        return adjourn.SyncPsycopgConnector(host=self.nowhere)

    @contextlib.contextmanager
    def _made_pool(self) -> Iterator[Any]:
        with ConnectionPool(self.dsn, min_size=1, max_size=2, open=True) as pool:
            yield pool

    def make_pool(self) -> AbstractContextManager[Any]:
        return self._made_pool()


class TestAsyncPsycopg2Connector(OnPostgres):
    def make_connector(self) -> BaseConnector:
        return AsyncPsycopg2Connector(self.dsn, maxconn=2)

    def make_unreachable_connector(self) -> BaseConnector:
        return AsyncPsycopg2Connector(host=self.nowhere)


class TestPsycopg2Connector(OnPostgres):
    def make_connector(self) -> BaseConnector:
        return Psycopg2Connector(self.dsn, maxconn=2)

    def make_unreachable_connector(self) -> BaseConnector:
        return Psycopg2Connector(host=self.nowhere)


class OnSQLAlchemy(OnPostgres):
    driver: str
    connector: type[BaseConnector]

    def make_connector(self) -> BaseConnector:
        return self.connector(dsn=address(self.dsn, self.driver), pool_size=2, max_overflow=0)  # type: ignore[call-arg]

    def make_unreachable_connector(self) -> BaseConnector:
        return self.connector(dsn=f"postgresql+{self.driver}://localhost:1/nowhere")  # type: ignore[call-arg]


class TestSQLAlchemyConnectorOnPsycopg(OnSQLAlchemy):
    driver, connector = "psycopg", SQLAlchemyConnector


class TestSQLAlchemyConnectorOnAsyncpg(OnSQLAlchemy):
    driver, connector = "asyncpg", SQLAlchemyConnector


class TestSQLAlchemyPsycopgConnector(OnSQLAlchemy):
    driver, connector = "psycopg", SQLAlchemyPsycopgConnector


class TestSQLAlchemyPsycopg2Connector(OnSQLAlchemy):
    driver, connector = "psycopg2", SQLAlchemyPsycopg2Connector
