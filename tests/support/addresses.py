"""The address of a database, in SQLAlchemy's words."""

from __future__ import annotations

import psycopg.conninfo
from sqlalchemy.engine import URL


def address(dsn: str, driver: str) -> URL:
    """Return the address of a database, for a driver of SQLAlchemy's."""
    found = psycopg.conninfo.conninfo_to_dict(dsn)
    place: dict[str, str] = {name: str(value) for name, value in found.items() if name in ("host", "port")}
    username, password, database = (
        str(found[name]) if name in found else None for name in ("user", "password", "dbname")
    )
    return URL.create(f"postgresql+{driver}", username, password, database=database, query=place)
