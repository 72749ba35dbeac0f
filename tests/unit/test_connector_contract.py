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
from adjourn.testing import ConnectorContract, InMemoryConnector, SyncInMemoryConnector


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
