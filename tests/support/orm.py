"""The ORM sessions of SQLAlchemy's, with a name for each colour."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession as AsyncOrmSession
from sqlalchemy.orm import Session as SyncOrmSession

__all__ = ["AsyncOrmSession", "SyncOrmSession"]
