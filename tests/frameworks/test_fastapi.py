"""`adjourn.contrib.fastapi`: dependencies, on FastAPI applications that are real."""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import fastapi
import httpx2
import psycopg
import pytest
from fastapi import Depends, FastAPI, WebSocket
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import adjourn
from adjourn.contrib.fastapi import Deferred, DurableTasks, Transaction, durable_tasks, lifespan, transaction
from adjourn.exceptions import InvalidOption
from adjourn.workflows import WorkflowState
from support.addresses import address
from support.apps import make_app
from support.sessions import Sessions


def stored(observer: psycopg.Connection) -> tuple[list[str], list[str]]:
    """Return what has been committed: the names of the user's rows, and of jobs."""
    rows = observer.execute("SELECT name FROM scratch ORDER BY 1").fetchall()
    jobs = observer.execute("SELECT args ->> 'name' FROM adjourn.adjourn_jobs ORDER BY 1").fetchall()
    return [name for (name,) in rows], [name for (name,) in jobs]


@pytest.fixture
def app(database: str, scratch: str) -> adjourn.App:
    """An app with a task, whose pool has four connections."""
    return make_app(adjourn.PsycopgConnector(database, min_size=1, max_size=4))


async def test_a_hundred_endpoints_of_each_kind_share_one_pool(
    app: adjourn.App, observer: psycopg.Connection, sessions: Sessions
) -> None:
    web = FastAPI(lifespan=lifespan(app))

    @web.post("/async")
    async def awaited(jobs: Deferred, name: str) -> int:
        return await jobs.tasks["add"].defer_async(name=name)

    @web.post("/sync")
    def blocking(jobs: Deferred, name: str) -> int:
        return jobs.tasks["add"].defer(name=name)

    async with (
        web.router.lifespan_context(web),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(web), base_url="http://shop") as client,
    ):
        paths = [f"/{kind}?name={kind}{number:02}" for number in range(100) for kind in ("async", "sync")]
        answers = await asyncio.gather(*map(client.post, paths))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json() for answer in answers}) == 200
        assert 1 <= sessions.count() <= 4
    assert len(stored(observer)[1]) == 200


def test_an_endpoint_returns_the_state_of_a_workflow(app: adjourn.App) -> None:
    web = FastAPI(lifespan=lifespan(app))

    # Annotations are text here, and names of a function would not be seen.
    @web.get("/workflows/{number}")
    def show(number: int) -> WorkflowState:
        return app.job_manager.get_workflow(number)

    with TestClient(web) as client:
        stored = app.workflow("import").open()
        answer = client.get(f"/workflows/{stored.id}").json()
    assert (answer["id"], answer["name"], answer["status"], answer["is_open"]) == (stored.id, "import", "running", True)


def test_a_websocket_defers_as_well(app: adjourn.App, observer: psycopg.Connection) -> None:
    web = FastAPI(lifespan=lifespan(app))

    @web.websocket("/ws")
    async def talk(socket: WebSocket, jobs: Deferred) -> None:
        await socket.accept()
        await socket.send_json(await jobs.tasks["add"].defer_async(name="ann"))
        await socket.close()

    with TestClient(web) as client, client.websocket_connect("/ws") as socket:
        assert socket.receive_json() > 0
    assert stored(observer)[1] == ["ann"]


INSERT = text("INSERT INTO scratch (name) VALUES (:name)")
UNIQUE_AT_COMMIT = """
    DROP TABLE scratch;
    CREATE TABLE scratch (name text UNIQUE DEFERRABLE INITIALLY DEFERRED);
    INSERT INTO scratch VALUES ('ann');
"""


class Shop:
    """A web application whose orders are stored in a session, with a job each.

    Parameters
    ----------
    database
        Its address.
    app
        The app of adjourn's.
    scope
        That of the session's dependency; None is FastAPI's default.
    """

    def __init__(self, database: str, app: adjourn.App, scope: Any) -> None:
        self.web = web = FastAPI(lifespan=lifespan(app))
        self._engine_async = engine_async = create_async_engine(address(database, "psycopg"))
        self._engine = engine = create_engine(address(database, "psycopg"))
        add = app.tasks["add"]

        async def get_session() -> AsyncIterator[AsyncSession]:
            async with AsyncSession(engine_async) as session, session.begin():
                yield session

        def get_sync_session() -> Iterator[Session]:
            with Session(engine) as session, session.begin():
                yield session

        # Names of a function are not seen by FastAPI where annotations are text.
        one, other = Depends(get_session, scope=scope), Depends(get_sync_session, scope=scope)
        one_transaction, other_transaction = transaction(one), transaction(other)
        tasks_of_one, tasks_of_other, tasks_of_none = durable_tasks(one), durable_tasks(other), durable_tasks()

        @web.post("/async/{name}")
        async def order_async(name: str, session: Any = one, jobs: Any = one_transaction) -> int:
            await session.execute(INSERT, {"name": name})
            assert isinstance(jobs, Transaction)
            return int(await jobs.defer_async(add, name=name))

        @web.post("/sync/{name}")
        def order(name: str, session: Any = other, jobs: Any = other_transaction) -> int:
            session.execute(INSERT, {"name": name})
            return int(jobs.defer(add, name=name))

        @web.post("/committed/{name}")
        async def order_committed(name: str, session: Any = one, jobs: Any = one_transaction) -> int:
            job = await jobs.defer_async(add, name=name)
            await session.commit()
            return int(job)

        @web.post("/tasks/{name}")
        async def order_tasks(name: str, session: Any = one, tasks: Any = tasks_of_one) -> None:
            await session.execute(INSERT, {"name": name})
            tasks.add_task(add, name)
            if name == "bad":
                raise fastapi.HTTPException(418)

        @web.post("/sync_tasks/{name}")
        def order_sync_tasks(name: str, session: Any = other, tasks: Any = tasks_of_other) -> None:
            session.execute(INSERT, {"name": name})
            tasks.add_task(add, name)

        @web.post("/plain/{name}")
        async def plain(name: str, tasks: Any = tasks_of_none) -> None:
            assert isinstance(tasks, DurableTasks)
            tasks.add_task(add, name)
            if name == "bad":
                raise fastapi.HTTPException(418)

    def close(self) -> None:
        """Close both engines."""
        self._engine.dispose()
        asyncio.run(self._engine_async.dispose())

    def post(self, path: str, *, is_raising: bool = False) -> int:
        """Post a request, and return the status of its answer."""
        with TestClient(self.web, raise_server_exceptions=is_raising) as client:
            try:
                return client.post(path).status_code
            finally:
                # Connections belong to the client's event loop.
                client.portal.call(self._engine_async.dispose)  # type: ignore[union-attr]


@pytest.fixture
def shop(request: pytest.FixtureRequest, database: str, app: adjourn.App) -> Iterator[Shop]:
    """A shop; its session is in the scope of the endpoint's function, unless the test says otherwise."""
    shop = Shop(database, app, getattr(request, "param", "function"))
    yield shop
    shop.close()


@pytest.mark.parametrize("path", ["/async/bob", "/sync/bob", "/tasks/bob", "/sync_tasks/bob"])
def test_jobs_are_committed_with_the_requests_data_or_not_at_all(
    shop: Shop, observer: psycopg.Connection, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    observer.execute(UNIQUE_AT_COMMIT)
    assert shop.post(path) == 200
    assert stored(observer) == (["ann", "bob"], ["bob"])
    # The constraint is checked at the commit, when the endpoint has returned.
    assert shop.post(path) == 500
    assert stored(observer) == (["ann", "bob"], ["bob"])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_an_error_of_the_commit_is_the_drivers_own(shop: Shop, observer: psycopg.Connection) -> None:
    observer.execute(UNIQUE_AT_COMMIT)
    with pytest.raises(IntegrityError):
        shop.post("/async/ann", is_raising=True)


@pytest.mark.parametrize("shop", [None], indirect=True)
@pytest.mark.parametrize("path", ["/async", "/sync", "/tasks", "/sync_tasks"])
def test_in_the_default_scope_a_commit_after_the_answer_is_warned_of_once(
    shop: Shop, observer: psycopg.Connection, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("bob", "eve"):
        assert shop.post(f"{path}/{name}") == 200
    assert stored(observer)[1] == ["bob", "eve"]
    [record] = [record for record in caplog.records if record.name == "adjourn.contrib.fastapi"]
    assert "committed after its answer" in record.message
    assert 'session, scope="function")' in record.message


@pytest.mark.parametrize("shop", [None], indirect=True)
def test_nothing_is_warned_of_where_the_endpoint_commits_or_defers_nothing(
    shop: Shop, observer: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    assert shop.post("/committed/bob") in (200, 500)
    assert stored(observer)[1] == ["bob"]
    assert [record for record in caplog.records if record.name == "adjourn.contrib.fastapi"] == []


def test_durable_tasks_without_a_session_are_stored_unless_the_endpoint_raises(
    shop: Shop, observer: psycopg.Connection
) -> None:
    assert shop.post("/plain/ann") == 200
    assert shop.post("/plain/bad") == 418
    assert shop.post("/tasks/bad") == 418
    assert stored(observer) == ([], ["ann"])


async def test_durable_tasks_are_stored_before_the_first_byte_of_the_answer(
    shop: Shop, app: adjourn.App, observer: psycopg.Connection
) -> None:
    seen: list[list[str]] = []

    async def send(message: Any) -> None:
        seen.append(stored(observer)[1])

    async def receive() -> Any:
        return {"type": "http.request"}

    async with shop.web.router.lifespan_context(shop.web):
        for path in ("/plain/ann", "/sync_tasks/bob"):
            scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
            await shop.web(scope, receive, send)
    assert (seen[0], seen[2]) == (["ann"], ["ann", "bob"])


async def get_session() -> AsyncIterator[Any]:
    """Stand for a session's dependency."""
    yield None


def test_a_session_may_be_named_as_the_endpoints_have_it() -> None:
    depends = Depends(get_session, scope="function")
    for session in (Annotated[Any, depends], depends, get_session):
        assert transaction(session).scope == "function"
        assert durable_tasks(session).scope == "function"
    for wrong in (Annotated[Any, "x"], "session", None):
        with pytest.raises(InvalidOption, match="session="):
            transaction(wrong)


def test_without_fastapi_or_with_an_old_one_the_import_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "adjourn.contrib.fastapi")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "fastapi", None)
        with pytest.raises(ImportError, match=r"pip install 'adjourn\[fastapi\]'"):
            importlib.import_module("adjourn.contrib.fastapi")

    def depends(dependency: Any = None, *, use_cache: bool = True) -> None: ...

    monkeypatch.setattr(fastapi, "Depends", depends)
    with pytest.raises(ImportError, match=r"needs FastAPI 0\.121 or newer"):
        importlib.import_module("adjourn.contrib.fastapi")
