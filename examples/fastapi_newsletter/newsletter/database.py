"""The models, and the session that endpoints and tasks work with."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

URL = os.environ.get("DATABASE_URL", "postgresql://localhost/newsletter")

engine = create_async_engine(make_url(URL).set(drivername="postgresql+psycopg"))
make_session = async_sessionmaker(engine)


class Base(DeclarativeBase):
    """The tables."""


class Subscriber(Base):
    """Somebody who gets the letters."""

    __tablename__ = "newsletter_subscribers"
    id: Mapped[int] = mapped_column(primary_key=True)
    mail: Mapped[str] = mapped_column(unique=True)


class Mail(Base):
    """A mail that was sent. A service that sends real ones would have none of this."""

    __tablename__ = "newsletter_mails"
    id: Mapped[int] = mapped_column(primary_key=True)
    to: Mapped[str]
    text: Mapped[str]


async def get_session() -> AsyncIterator[AsyncSession]:
    """Give a session to an endpoint, and commit it when the endpoint has returned."""
    async with make_session.begin() as session:
        yield session


# In this scope it commits before the answer is sent.
Session = Annotated[AsyncSession, Depends(get_session, scope="function")]


async def create_tables() -> None:
    """Make the tables. A real service would use Alembic."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(create_tables())
