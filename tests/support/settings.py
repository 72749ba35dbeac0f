"""Settings that the role of a test has in the database of the test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
from psycopg.sql import SQL, Identifier, Literal


@contextlib.contextmanager
def role_has(observer: psycopg.Connection, **settings: str) -> Iterator[None]:
    """Have new sessions of this role in this database begin with these settings, for as long as the block lasts."""
    database, role = observer.info.dbname, observer.info.user
    who = SQL("ALTER ROLE {} IN DATABASE {} ").format(Identifier(role), Identifier(database))
    try:
        for name, value in settings.items():
            observer.execute(who + SQL("SET {} = {}").format(Identifier(name), Literal(value)))
        yield
    finally:
        observer.execute(who + SQL("RESET ALL"))
