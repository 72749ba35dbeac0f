"""`adjourn.contrib.starlette`: the lifespan, and durable background tasks."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

import adjourn
from adjourn.contrib.starlette import DurableTasks, get_app, lifespan
from adjourn.exceptions import (
    AlreadyEnqueued,
    ConnectorException,
    InvalidOption,
    InvalidTaskArguments,
    UnboundTaskError,
)
from adjourn.testing import InMemoryConnector
from support.addresses import address
from support.apps import make_app
from support.sessions import Sessions
from support.waiting import until, until_async

BOUND = 30


def names(observer: psycopg.Connection) -> list[str]:
    """Return the names of the jobs that are stored, finished ones included."""
    return [name for (name,) in observer.execute("SELECT args ->> 'name' FROM adjourn.adjourn_all_jobs ORDER BY id")]


@pytest.fixture
def app(database: str) -> adjourn.App:
    """An app with a task."""
    return make_app(adjourn.PsycopgConnector(database))


async def add(request: Request) -> Response:
    """Defer through the app of the request."""
    return JSONResponse(await get_app(request).tasks["add"].defer_async(name=request.query_params["name"]))


def add_sync(request: Request) -> Response:
    """The same, in a thread."""
    return JSONResponse(get_app(request).tasks["add"].defer(name=request.query_params["name"]))


def web(life: Any = None) -> Starlette:
    """A web application with both endpoints."""
    return Starlette(
        routes=[Route("/add", add, methods=["POST"]), Route("/sync", add_sync, methods=["POST"])], lifespan=life
    )


# The lifespan


def test_the_lifespan_opens_the_app_for_endpoints_of_both_kinds(
    app: adjourn.App, observer: psycopg.Connection, sessions: Sessions
) -> None:
    with TestClient(web(lifespan(app))) as client:
        assert client.post("/add?name=ann").status_code == 200
        assert client.post("/sync?name=bob").status_code == 200
    assert names(observer) == ["ann", "bob"]
    assert sessions.settle(0) == 0


def test_a_lifespan_of_the_users_runs_while_the_app_is_open(app: adjourn.App, observer: psycopg.Connection) -> None:
    @contextlib.asynccontextmanager
    async def inner(web: Starlette) -> AsyncIterator[Mapping[str, Any]]:
        await app.tasks["add"].defer_async(name="before")
        yield {"shop": "open"}
        await app.tasks["add"].defer_async(name="after")

    async def state(request: Request) -> Response:
        return JSONResponse(request.state.shop)

    shop = web(lifespan(app, inner=inner))
    shop.routes.append(Route("/state", state))
    with TestClient(shop) as client:
        assert client.get("/state").json() == "open"
    assert names(observer) == ["before", "after"]


def test_nested_lifespans_of_one_app_close_it_once_at_the_end(
    app: adjourn.App, observer: psycopg.Connection, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    close = app.connector.close_async

    async def counted() -> None:
        closed.append(1)
        await close()

    monkeypatch.setattr(app.connector, "close_async", counted)

    @contextlib.asynccontextmanager
    async def mounted(web: Starlette) -> AsyncIterator[None]:
        # What those do who run the lifespans of applications that they mount.
        async with lifespan(app)(web):
            yield
        assert closed == []
        await app.tasks["add"].defer_async(name="still open")

    for _ in range(2):
        closed.clear()
        with TestClient(web(lifespan(app, inner=mounted))):
            assert closed == []
        assert closed == [1]
    assert names(observer) == ["still open", "still open"]
    assert sessions.settle(0) == 0


async def test_without_its_lifespan_a_web_application_needs_nothing_open_in_memory() -> None:
    memory = InMemoryConnector()
    app = make_app(memory)
    shop = web(lifespan(app))
    with TestClient(shop) as client:
        assert client.post("/add?name=ann").status_code == 200
    assert TestClient(shop).post("/sync?name=bob").status_code == 200
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(shop), base_url="http://shop") as client:
        assert (await client.post("/add?name=eve")).status_code == 200
    assert [row["args"]["name"] for row in memory.jobs.values()] == ["ann", "bob", "eve"]


def test_an_application_without_an_app_says_what_to_do(app: adjourn.App) -> None:
    others = [lifespan(app), lifespan(make_app(InMemoryConnector()))]
    with pytest.raises(UnboundTaskError, match=r"lifespan=lifespan\(app\).*web\.state\.adjourn = app"):
        TestClient(web()).post("/add?name=ann")
    shop = web()
    shop.state.adjourn = make_app(InMemoryConnector())
    assert TestClient(shop).post("/add?name=ann").status_code == 200
    assert len(others) == 2


def test_a_mounted_application_finds_the_app_of_the_one_around_it(app: adjourn.App) -> None:
    with TestClient(Starlette(routes=[Mount("/shop", web())], lifespan=lifespan(app))) as client:
        assert client.post("/shop/add?name=ann").status_code == 200
        assert client.post("/shop/sync?name=bob").status_code == 200


def test_a_worker_in_the_server_runs_jobs_and_ends_with_it(
    app: adjourn.App, observer: psycopg.Connection, sessions: Sessions
) -> None:
    with TestClient(web(lifespan(app, worker={"concurrency": 2, "fetch_job_polling_interval": 1}))) as client:
        client.post("/add?name=ann")
        query = "SELECT status FROM adjourn.adjourn_finished_jobs"
        client.portal.call(until_async, lambda: observer.execute(query).fetchall() == [("succeeded",)])  # type: ignore[union-attr]
    assert sessions.settle(0) == 0


def test_a_worker_that_cannot_start_stops_the_server(scratch: str, observer: psycopg.Connection) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(scratch), schema="nowhere")
    with pytest.raises(adjourn.exceptions.SchemaOutOfDate), TestClient(web(lifespan(app, worker={}))):
        pass


def test_a_worker_that_ends_early_is_logged(app: adjourn.App, caplog: pytest.LogCaptureFixture) -> None:
    app.import_paths = ("nowhere_to_be_found",)

    def errors() -> list[str]:
        return [record.message for record in caplog.records if record.levelno == logging.ERROR]

    with TestClient(web(lifespan(app, worker={}))):
        until(errors)
    [said] = errors()
    assert said.startswith("The worker in the server has ended: ")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: lifespan("shop.app"), "app='shop.app'"),  # type: ignore[arg-type]
        (lambda: lifespan(make_app(InMemoryConnector()), worker=True), "worker=True"),  # type: ignore[arg-type]
        (lambda: lifespan(make_app(InMemoryConnector()), worker={"concurency": 2}), "'concurrency'"),  # type: ignore[arg-type]
        (lambda: lifespan(make_app(InMemoryConnector()), inner=1), "inner=1"),  # type: ignore[arg-type]
    ],
)
def test_a_lifespan_refuses_what_it_cannot_work_with_at_once(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(InvalidOption, match=said):
        make()


def test_an_unreachable_server_stops_the_start_within_the_time_out() -> None:
    app = make_app(adjourn.PsycopgConnector("postgresql://127.0.0.1:1/nothing", timeout=2))
    with pytest.raises(ConnectorException, match="Cannot connect") as caught, TestClient(web(lifespan(app))):
        pass
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_uvicorn_exits_with_the_message_as_its_last_line(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "import adjourn\n"
        "from adjourn.contrib.starlette import lifespan\n"
        "from starlette.applications import Starlette\n"
        "jobs = adjourn.App(connector=adjourn.PsycopgConnector('postgresql://127.0.0.1:1/nothing', timeout=2))\n"
        "web = Starlette(lifespan=lifespan(jobs))\n",
        "utf-8",
    )
    command = [sys.executable, "-m", "uvicorn", "--port", "0", "shop:web"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=BOUND, env=dict(os.environ))
    assert done.returncode != 0
    *_, message, end = (line for line in done.stderr.splitlines() if line)
    assert (message.startswith("adjourn.exceptions.ConnectorException: Cannot connect"), end) == (
        True,
        "ERROR:    Application startup failed. Exiting.",
    )
    assert "direct cause" not in done.stderr


# Durable background tasks


def test_anything_but_a_task_is_refused_by_name(app: adjourn.App) -> None:
    with pytest.raises(TypeError, match=r"print is not a task.*@app\.task"):
        DurableTasks().add_task(print, 1)  # type: ignore[arg-type]


async def test_positional_arguments_get_their_names_and_wrong_ones_are_refused_when_added() -> None:
    memory = InMemoryConnector()
    app = adjourn.App(connector=memory)

    @app.task(pass_context=True)
    def send(context: adjourn.JobContext, to: str, subject: str, *, urgent: bool = False) -> None: ...

    wrong: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (("ann", "hello", True), {}),
        (("ann",), {}),
        (("ann", "hello"), {"to": "bob"}),
        (("ann", "hello"), {"urgnt": True}),
        (("ann", object()), {}),
    ]
    tasks = DurableTasks()
    for args, kwargs in wrong:
        with pytest.raises(InvalidTaskArguments):
            tasks.add_task(send, *args, **kwargs)
    assert tasks.is_empty
    tasks.add_task(send, "ann", "hello", urgent=True)
    await tasks.store_async()
    [job] = memory.jobs.values()
    assert job["args"] == {"to": "ann", "subject": "hello", "urgent": True}


async def test_jobs_are_stored_before_the_first_byte_of_the_answer(
    app: adjourn.App, observer: psycopg.Connection
) -> None:
    async def sign_up(request: Request) -> Response:
        async with DurableTasks() as background:
            background.add_task(app.tasks["add"], "ann")
            background.add_task(app.tasks["add"], name="bob")
            assert names(observer) == []
        return Response()

    shop = Starlette(routes=[Route("/", sign_up)])
    seen: list[list[str]] = []

    async def send(message: Any) -> None:
        seen.append(names(observer))

    async def receive() -> Any:
        return {"type": "http.request"}

    async with app.open_async():
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
        await shop(scope, receive, send)
    assert seen[0] == ["ann", "bob"]


@pytest.mark.parametrize("kind", ["awaited", "blocking"])
async def test_jobs_are_stored_in_the_transaction_of_a_session(
    app: adjourn.App, database: str, observer: psycopg.Connection, kind: str
) -> None:
    if kind == "awaited":
        engine_async = create_async_engine(address(database, "psycopg"))
        async with AsyncSession(engine_async) as session:
            for ends in (session.rollback, session.commit):
                async with DurableTasks(session) as background:
                    background.add_task(app.tasks["add"], "ann")
                await ends()
        await engine_async.dispose()
    else:
        engine = create_engine(address(database, "psycopg"))
        with Session(engine) as blocking:
            for end in (blocking.rollback, blocking.commit):
                async with DurableTasks(blocking) as background:
                    background.add_task(app.tasks["add"], "ann")
                end()
        engine.dispose()
    assert names(observer) == ["ann"]


async def test_what_is_raised_within_the_block_stores_nothing(app: adjourn.App, observer: psycopg.Connection) -> None:
    async with app.open_async():
        with contextlib.suppress(ZeroDivisionError):
            async with DurableTasks() as background:
                background.add_task(app.tasks["add"], "ann")
                raise ZeroDivisionError
        await app.tasks["add"].configure(queueing_lock="q").defer_async(name="first")
        with pytest.raises(AlreadyEnqueued):
            await app.tasks["add"].configure(queueing_lock="q").defer_async(name="second")
    assert names(observer) == ["first"]


async def test_jobs_are_stored_all_or_none_and_can_be_stored_later(
    app: adjourn.App, observer: psycopg.Connection
) -> None:
    def once() -> None: ...

    locked = app.task(name="once", queueing_lock="q")(once)
    async with app.open_async():
        waiting = await locked.defer_async()
        tasks = DurableTasks()
        tasks.add_task(app.tasks["add"], "ann")
        tasks.add_task(locked)
        with pytest.raises(AlreadyEnqueued):
            await tasks.store_async()
        assert names(observer) == [None]
        await app.job_manager.cancel_job_by_id_async(waiting)
        await tasks.store_async()
        assert tasks.is_empty
        stored = await app.job_manager.list_jobs_async(status="todo")
    assert [job.task_name for job in stored] == [app.tasks["add"].name, "once"]


def test_without_starlette_the_import_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("adjourn.contrib.starlette")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(ImportError, match=r"pip install 'adjourn\[starlette\]'"):
        importlib.import_module("adjourn.contrib.starlette")
