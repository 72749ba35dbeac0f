"""A database for the tests: the one that DATABASE_URL names, or one that is gone afterwards."""

import os
from collections.abc import AsyncIterator

import httpx2
import pytest
from sqlalchemy import text

from adjourn import embedded

server = None
if "DATABASE_URL" not in os.environ:
    server = embedded.Server()
    server.start()
    os.environ["DATABASE_URL"] = server.dsn

from newsletter import database, jobs  # noqa: E402 - they read the address
from newsletter.web import web  # noqa: E402


def pytest_unconfigure() -> None:
    """Stop the server."""
    if server is not None:
        server.stop()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
async def tables() -> None:
    """Make all tables."""
    async with jobs.app.open_async():
        await jobs.app.schema_manager.apply_schema_async()
    await database.create_tables()


@pytest.fixture
async def client(tables: None) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the service, whose lifespan runs; and nothing in the database."""
    async with database.make_session.begin() as session:
        for table in (database.Subscriber, database.Mail):
            await session.execute(table.__table__.delete())
        for name in ("adjourn_jobs", "adjourn_finished_jobs"):
            await session.execute(text(f"DELETE FROM adjourn.{name}"))
    transport = httpx2.ASGITransport(web)
    async with (
        web.router.lifespan_context(web),
        httpx2.AsyncClient(transport=transport, base_url="http://newsletter") as client,
    ):
        yield client
