"""What SQLAlchemy calls things for blocking code. The same names as in `adjourn._drivers.sqlalchemy.names_async`."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.orm import Session as SyncOrmSession
from sqlalchemy.orm import scoped_session as SyncScopedSession  # noqa: N812

from adjourn._drivers.sqlalchemy.engines import run

__all__ = ["Connection", "Engine", "SyncOrmSession", "SyncScopedSession", "create_engine", "drivers", "run"]

drivers = ("psycopg", "psycopg2")
"""The drivers that can be used, the one to take first."""
