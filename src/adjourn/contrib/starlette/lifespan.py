"""The lifespan of a web application that has an app of adjourn's."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import weakref
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import attrs
from starlette.requests import HTTPConnection
from starlette.types import Lifespan

from adjourn.app import App
from adjourn.exceptions import AdjournException, InvalidOption, UnboundTaskError
from adjourn.types import WorkerOptions
from adjourn.worker.options import checked_options

logger: logging.Logger = logging.getLogger(__name__)

STATE = "adjourn"
"""The name of the app in the state of a web application."""
PATIENCE = 10.0
"""Seconds that the jobs of a worker in the server may take to end when the server stops, unless it is told."""

_apps: weakref.WeakSet[App] = weakref.WeakSet()
"""The apps that a lifespan was made for."""


def lifespan(app: App, *, worker: WorkerOptions | None = None, inner: Lifespan[Any] | None = None) -> Lifespan[Any]:
    """Return a lifespan for ``Starlette(lifespan=...)`` or ``FastAPI(lifespan=...)``, which opens an app on the server's
    event loop, and closes it.

    Lifespans of one app may be nested: the last to end closes it.

    Parameters
    ----------
    app
        The app.
    worker
        Options of a worker that runs in the server's process, for development: it shares the server's event loop, and leaves
        signals to the server. It is stopped before the app is closed; jobs that run then have ten seconds to end, unless
        ``shutdown_graceful_timeout`` is among the options. Default: None, no worker.
    inner
        A lifespan of your own, which runs while the app is open; what it yields is yielded. Default: None.

    Raises
    ------
    InvalidOption
        If ``app`` is not an app, ``inner`` is not a lifespan, or an option of the worker is not valid.
    """
    if not isinstance(app, App):
        raise InvalidOption(f"app={app!r}: pass an adjourn.App.")
    if inner is not None and not callable(inner):
        raise InvalidOption(f"inner={inner!r}: pass a function that returns an asynchronous context manager.")
    options = None if worker is None else _checked(worker)
    _apps.add(app)

    @contextlib.asynccontextmanager
    async def opened(web: Any) -> AsyncIterator[Mapping[str, Any] | None]:
        async with _open(app), _working(app, options):
            if hasattr(web, "state"):
                setattr(web.state, STATE, app)
            if inner is None:
                yield None
                return
            async with inner(web) as state:
                yield state

    return cast("Lifespan[Any]", opened)


def get_app(connection: HTTPConnection) -> App:
    """Return the app of a request or a websocket: the one that the lifespan has opened.

    In an application that is mounted, it is the one that the server's lifespan has opened. If no lifespan has run, as in some
    tests, it is the only app that a lifespan was made for.

    Parameters
    ----------
    connection
        The request or websocket.

    Raises
    ------
    UnboundTaskError
        If the web application has none; the message says what to do.
    """
    web = connection.scope.get("app")
    found = getattr(getattr(web, "state", None), STATE, None)
    if found is not None:
        return cast("App", found)
    apps = [app for app, opened in tuple(_opened.items()) if opened.count and opened.loop.is_running()]
    if not apps:
        gc.collect()  # apps that nobody uses any more may still exist, in circles
        apps = list(_apps)
    if len(apps) == 1:
        return apps[0]
    raise UnboundTaskError(
        "This web application has no app of adjourn's. Give it `lifespan=lifespan(app)` of adjourn.contrib.starlette; or, "
        f"where its lifespan does not run, set `web.state.{STATE} = app`."
    )


def _checked(worker: WorkerOptions) -> WorkerOptions:
    if not isinstance(worker, Mapping):
        raise InvalidOption(f"worker={worker!r}: pass a dictionary of options, {{}} for the defaults.")
    checked = checked_options("worker", worker)
    return {"shutdown_graceful_timeout": PATIENCE, **checked, "install_signal_handlers": False}


@attrs.define
class _Opened:
    """On which event loop lifespans have opened an app, and how many of them there are."""

    loop: asyncio.AbstractEventLoop
    count: int = 0


_opened: weakref.WeakKeyDictionary[App, _Opened] = weakref.WeakKeyDictionary()


@contextlib.asynccontextmanager
async def _open(app: App) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    opened = _opened.get(app)
    if opened is None or opened.loop is not loop:
        # The loop of another one has ended before it was closed.
        opened = _opened[app] = _Opened(loop)
    try:
        await app.open_async()
    except AdjournException as error:
        # Servers print a traceback, whose last line should say it all. What the driver raised is in the message.
        error.args = (" ".join(str(error).split()),)
        raise error.with_traceback(None) from None
    opened.count += 1
    try:
        yield
    finally:
        opened.count -= 1
        if not opened.count:
            await app.close_async()


@contextlib.asynccontextmanager
async def _working(app: App, options: WorkerOptions | None) -> AsyncIterator[None]:
    """Run a worker as long as the block lasts."""
    if options is None:
        yield
        return
    await app.schema_manager.check_version_async()
    task = asyncio.create_task(app.run_worker_async(**options), name="adjourn worker")
    task.add_done_callback(_tell)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error(
            "The worker in the server has ended: %s",
            error,
            exc_info=error,
            extra={"action": "worker_in_server_ended"},
        )
