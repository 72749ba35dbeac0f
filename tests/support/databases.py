"""Databases on the tests' server."""

from __future__ import annotations

from urllib.parse import urlsplit

import psycopg.conninfo


def with_database(dsn: str, name: str) -> str:
    """The address of another database on the same server; a URI stays one, because some drivers take nothing else."""
    if "://" in dsn:
        return urlsplit(dsn)._replace(path=f"/{name}").geturl()
    return psycopg.conninfo.make_conninfo(dsn, dbname=name)


def apply_schema(dsn: str) -> None:
    """Make adjourn's tables."""
    # Here, so that tests which need no database do not need the whole package either.
    import adjourn

    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(conninfo=dsn))
    with app.open():
        app.schema_manager.apply_schema()
