"""The connector of a Django project: statements on Django's own connection, in whatever transaction is open there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import weakref
from collections.abc import Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction

from adjourn._drivers.wrappers import is_wrapper
from adjourn.connectors.base import AsyncSession, BaseAsyncConnector, BaseConnector, SyncSession
from adjourn.contrib.django import cursors
from adjourn.contrib.django.parameters import connector_params, is_psycopg2, role
from adjourn.contrib.django.settings import settings
from adjourn.exceptions import InvalidConnection, InvalidOption, WrongCaller
from adjourn.types import JSONDumps, JSONLoads, Parameters, Row, Statement

__all__ = ["DjangoConnector"]


class DjangoConnector(BaseAsyncConnector):
    """Executes statements on Django's own connection of the calling thread.

    In ``transaction.atomic()``, a job that is deferred is committed and rolled back with the block. Outside of one it is
    committed at once. Awaited calls run in the thread in which Django's asynchronous ORM works.

    Nothing is opened or closed: `open` and `close` do nothing. Workers have connections of their own, see
    `get_worker_connector`.

    Parameters
    ----------
    alias
        The name of the database in ``DATABASES``. Default: ``ADJOURN_DATABASE_ALIAS``, read at each call.
    json_dumps, json_loads
        Functions that turn the arguments of jobs into JSON text and back; `json.dumps` and `json.loads` unless given.
    """

    needs_opening: bool = False
    applies_schema: str = "`manage.py migrate`"

    def __init__(
        self,
        alias: str | None = None,
        *,
        json_dumps: JSONDumps | None = None,
        json_loads: JSONLoads | None = None,
    ) -> None:
        if alias is not None and not isinstance(alias, str):
            raise InvalidOption(f"alias={alias!r}: pass the name of a database, as in DATABASES.")
        self._alias = alias
        self.json_dumps: JSONDumps = json.dumps if json_dumps is None else json_dumps
        self.json_loads: JSONLoads = json.loads if json_loads is None else json_loads
        self._made: weakref.WeakSet[BaseConnector] = weakref.WeakSet()

    @property
    def alias(self) -> str:
        """The name of the database in ``DATABASES``."""
        return settings.DATABASE_ALIAS if self._alias is None else self._alias

    @property
    def connection(self) -> Any:
        """Django's connection of this thread."""
        return connections[self.alias]

    def get_sync_connector(self) -> BaseConnector:
        """Return this connector."""
        return self

    def get_worker_connector(self) -> BaseConnector:
        """Return a connector to the same database with a pool of its own, for a worker.

        It has the parameters of Django's connection at this moment, the role of ``assume_role``, and ``ADJOURN_POOL`` as
        the options of its pool.

        Raises
        ------
        ImproperlyConfigured
            If ``ADJOURN_POOL`` has an option that a pool does not take.
        """
        connector = self._beside()
        connector.applies_schema = self.applies_schema
        self._made.add(connector)
        return connector

    def made(self, connector: BaseConnector) -> bool:
        """Return whether `get_worker_connector` of this connector has returned that one."""
        return connector in self._made

    def open(self, pool: Any = None) -> None:
        """Do nothing: Django connects when a connection is used.

        Raises
        ------
        ImproperlyConfigured
            If a pool is given.
        """
        if pool is not None:
            raise ImproperlyConfigured(
                "A DjangoConnector takes no pool: it uses Django's own connection. Give a worker's pool its options by "
                "ADJOURN_POOL, and Django's connections a pool by DATABASES[...]['OPTIONS']['pool']."
            )

    def close(self) -> None:
        """Do nothing: Django closes its connections."""

    async def open_async(self, pool: Any = None) -> None:
        """Do nothing, as `open` does."""
        self.open(pool)

    async def close_async(self) -> None:
        """Do nothing: Django closes its connections."""

    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement in the transaction that is open on Django's connection, or else committed on return.

        Parameters
        ----------
        statement
            The statement to execute.
        parameters
            The values of its ``%(name)s``; None sends the text as it is.
        connection
            Another connection to use: one of Django's, such as ``connections["other"]``, or a driver's own.

        Raises
        ------
        WrongCaller
            If an event loop runs in this thread.
        DjangoNotReady
            If Django's settings are not configured.
        TransactionManagementError
            If Django knows that the transaction is broken. Nothing is sent.
        UniqueViolation
            If a unique constraint was violated.
        ConnectorException
            For any other error of the database or of the connection to it.
        """
        if connection is not None and not is_wrapper(connection):
            return self._beside().execute(statement, parameters, connection=connection)
        _check_may_block()
        return cursors.execute(self.connection if connection is None else connection, statement, parameters)

    async def execute_async(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement in the thread in which Django's asynchronous ORM works. See `execute`."""
        if connection is not None and not is_wrapper(connection):
            return await self._beside().execute_async(statement, parameters, connection=connection)
        call = sync_to_async(self.execute, thread_sensitive=True)
        return await call(statement, parameters, connection=connection)

    def transaction(self) -> contextlib.AbstractContextManager[Any]:
        """Begin a transaction on Django's connection: ``transaction.atomic()``, whose block gets the connection."""
        _check_may_block()
        return self._atomic()

    @contextlib.contextmanager
    def _atomic(self) -> Iterator[Any]:
        with transaction.atomic(using=self.alias):
            yield self.connection

    def transaction_async(self) -> contextlib.AbstractAsyncContextManager[Any]:
        """Refuse: Django has no asynchronous transactions.

        Raises
        ------
        InvalidConnection
            Always.
        """
        raise InvalidConnection(
            "Django has no asynchronous transactions. Call context.transaction() in a function under `asgiref.sync.sync_to_async`, "
            "together with what the transaction stores."
        )

    def session(self) -> SyncSession:
        """Open another connection beside Django's, for the caller alone. See `BaseConnector.session`."""
        return self._beside().session()

    async def session_async(self) -> AsyncSession:
        """Open another connection beside Django's, for the caller alone. See `BaseConnector.session_async`."""
        return await self._beside().session_async()

    def _beside(self) -> BaseConnector:
        """Make a connector of the driver to the database that Django uses at this moment."""
        alias, pool = self.alias, dict(settings.POOL)
        parameters, own_role = connector_params(alias), role(alias)
        own = {"json_dumps": self.json_dumps, "json_loads": self.json_loads}
        try:
            # Each imports its driver, and the other one may not be there.
            if is_psycopg2(connections[alias]):
                from adjourn.contrib.django.psycopg2 import made_psycopg2_connector

                return made_psycopg2_connector(parameters, own_role, pool, own)
            from adjourn.contrib.django.psycopg import made_psycopg_connector

            return made_psycopg_connector(parameters, own_role, pool, own)
        except InvalidOption as error:
            raise ImproperlyConfigured(f"ADJOURN_POOL, or OPTIONS in DATABASES[{alias!r}]: {error}") from error


def _check_may_block() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    # Django lets its own connections be used here then, for notebooks.
    if not os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE"):
        raise WrongCaller(
            "An event loop runs in this thread, and Django's connection must not block it. Await the form of the call "
            "that ends in `_async`, such as `await task.defer_async(...)`. To defer in a transaction, do both in one "
            "function under `asgiref.sync.sync_to_async`."
        )
