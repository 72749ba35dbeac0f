"""Databases on the tests' server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import psycopg.conninfo

SETTINGS = {
    "max_connections": "200",
    # Nobody needs the data of a test after the machine has failed.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
}


def with_database(dsn: str, name: str) -> str:
    """The address of another database on the same server; a URI stays one, because some drivers take nothing else."""
    if "://" in dsn:
        return urlsplit(dsn)._replace(path=f"/{name}").geturl()
    return psycopg.conninfo.make_conninfo(dsn, dbname=name)


@contextlib.contextmanager
def new_database(server_dsn: str, name: str, encoding: str = "UTF8", template: str = "template0") -> Iterator[str]:
    """Make a database, empty or like another one, for as long as the block lasts, and yield its address."""
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        # Left over by an earlier run on a server that stays.
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        like = "" if encoding == "UTF8" else f" ENCODING '{encoding}' LOCALE 'C'"
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"{like}')
    yield with_database(server_dsn, name)
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def apply_schema(dsn: str) -> None:
    """Make adjourn's tables."""
    # Here, so that tests which need no database do not need the whole package either.
    import adjourn

    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(conninfo=dsn))
    with app.open():
        app.schema_manager.apply_schema()
