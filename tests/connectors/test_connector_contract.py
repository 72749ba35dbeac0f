"""Every connector keeps the contract that a third party's would have to keep."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from adjourn.connector import BaseConnector
from adjourn.testing import ConnectorContract, InMemoryConnector, SyncInMemoryConnector
from dispatch import pairs

Managed = AbstractContextManager[Any] | AbstractAsyncContextManager[Any]


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
        self.nowhere = f"host={tmp_path}"

    def make(self, dsn: str, size: int, timeout: float) -> BaseConnector:
        raise NotImplementedError

    def make_connector(self) -> BaseConnector:
        return self.make(self.dsn, 2, 30)

    def make_unreachable_connector(self) -> BaseConnector:
        return self.make(self.nowhere, 2, 30)

    def make_impatient_connector(self) -> BaseConnector:
        return self.make(self.dsn, 2, 0.2)


class OfPair(OnPostgres):
    """An asynchronous connector."""

    pair: pairs.Pair

    def make(self, dsn: str, size: int, timeout: float) -> BaseConnector:
        return self.pair.connector(dsn, size, timeout)

    def make_pool(self) -> Managed:
        assert self.pair.pool_async is not None
        return self.pair.pool_async(self.dsn)

    def make_connection(self) -> Managed:
        assert self.pair.connect_async is not None
        return self.pair.connect_async(self.dsn)


class TestPsycopgConnector(OfPair):
    pair = pairs.PSYCOPG


class TestAsyncPsycopg2Connector(OfPair):
    pair = pairs.PSYCOPG2


class TestSQLAlchemyConnectorOnPsycopg(OfPair):
    pair = pairs.SQLALCHEMY_PSYCOPG


class TestSQLAlchemyConnectorOnAsyncpg(OfPair):
    pair = pairs.SQLALCHEMY_ASYNCPG


class Synchronous(OnPostgres):
    """A connector that is synchronous and nothing else."""

    name: str

    def make(self, dsn: str, size: int, timeout: float) -> BaseConnector:
        return pairs.SYNCHRONOUS[self.name](dsn, size, timeout)

    def make_pool(self) -> Managed:
        return pairs.POOLS[self.name](self.dsn)

    def make_connection(self) -> Managed:
        return pairs.CONNECTIONS[self.name](self.dsn)


class TestSyncPsycopgConnector(Synchronous):
    name = "SyncPsycopgConnector"


class TestPsycopg2Connector(Synchronous):
    name = "Psycopg2Connector"


class TestSQLAlchemyPsycopgConnector(Synchronous):
    name = "SQLAlchemyPsycopgConnector"


class TestSQLAlchemyPsycopg2Connector(Synchronous):
    name = "SQLAlchemyPsycopg2Connector"
