"""What programs about forks and exits begin with: they say ``from support.program import *``.

Drivers are imported when a connector needs them, for programs that are over soon.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import adjourn
from adjourn import App
from adjourn.connector import BaseConnector
from adjourn.exceptions import AppNotOpen
from adjourn.types import Statement
from support.apps import add, make_app
from support.waiting import BOUND, until

__all__ = [
    "DSN",
    "PID",
    "App",
    "AppNotOpen",
    "add",
    "app_on",
    "asyncio",
    "backend",
    "backend_async",
    "backends",
    "in_child",
    "os",
    "own_pool",
    "refused",
    "signal",
    "sys",
    "threading",
    "time",
    "together",
    "warnings",
]

DSN = os.environ.get("PROGRAM_DSN", "")
BACKEND = "SELECT pg_backend_pid() AS pid"


PID = Statement("pid", BACKEND)

# What takes long on an event loop is of no interest here; asyncio's errors are.
logging.getLogger("asyncio").setLevel(logging.ERROR)
# Newer Pythons warn of forks beside threads; to survive them is what is tested.
warnings.filterwarnings("ignore", r".*fork\(\) may lead to deadlocks", DeprecationWarning)

SYNCHRONOUS = [
    "SyncPsycopgConnector",
    "Psycopg2Connector",
    "SQLAlchemyPsycopgConnector",
    "SQLAlchemyPsycopg2Connector",
]
ASYNCHRONOUS = [
    "PsycopgConnector",
    "AsyncPsycopg2Connector",
    "SQLAlchemyConnector on psycopg",
    "SQLAlchemyConnector on asyncpg",
]
KINDS = [*SYNCHRONOUS, *ASYNCHRONOUS]


def connector_of(kind: str, min_size: int, max_size: int, options: dict[str, Any]) -> BaseConnector:
    """Return a connector of a kind."""
    name, _, driver = kind.partition(" on ")
    if name.endswith("Psycopg2Connector") and not name.startswith("SQLAlchemy"):
        on_psycopg2: BaseConnector = getattr(adjourn, name)(DSN, minconn=min_size, maxconn=max_size, **options)
        return on_psycopg2
    if name.startswith("SQLAlchemy"):
        from adjourn.contrib import sqlalchemy as engines
        from support.addresses import address

        options = {"pool_timeout": options["timeout"]} if "timeout" in options else {}
        driver = driver or ("psycopg2" if "2" in name else "psycopg")
        url = address(DSN, driver)
        on_engine: BaseConnector = getattr(engines, name)(dsn=url, pool_size=max_size, max_overflow=0, **options)
        return on_engine
    on_psycopg: BaseConnector = getattr(adjourn, name)(DSN, min_size=min_size, max_size=max_size, **options)
    return on_psycopg


def app_on(kind: str, *, min_size: int = 2, max_size: int = 2, **options: Any) -> App:
    """Return an app on a connector of that kind, with a task to defer."""
    return make_app(connector_of(kind, min_size, max_size, options))


@contextmanager
def own_pool(kind: str) -> Iterator[Any]:
    """Make a pool of the user's for synchronous opening of an app on a connector of that kind."""
    if kind in ("SyncPsycopgConnector", "PsycopgConnector"):
        from psycopg_pool import ConnectionPool

        with ConnectionPool(DSN, min_size=1, max_size=1, open=True) as pool:
            yield pool
    elif kind in ("Psycopg2Connector", "AsyncPsycopg2Connector"):
        from psycopg2.pool import ThreadedConnectionPool

        threaded = ThreadedConnectionPool(1, 2, DSN)
        yield threaded
        threaded.closeall()
    else:
        from sqlalchemy import create_engine

        from support.addresses import address

        engine = create_engine(address(DSN, "psycopg2" if "2" in kind else "psycopg"), pool_size=2, max_overflow=0)
        yield engine
        engine.dispose()


def backend(app: App) -> int:
    """Say which session of the server serves a call."""
    return int(app.connector.get_sync_connector().execute_query_one(BACKEND)["pid"])


async def backend_async(app: App) -> int:
    """Say which session of the server serves an awaited call."""
    return int((await app.connector.execute_query_one_async(BACKEND))["pid"])


def backends(app: App) -> set[int]:
    """Say which sessions serve some calls."""
    return {backend(app) for _ in range(4)}


@contextmanager
def refused(error: type[Exception], text: str) -> Iterator[None]:
    """Fail unless the block is refused with an error that says so."""
    try:
        yield
    except error as refusal:
        if text not in str(refusal):
            raise
    else:
        raise AssertionError("this was not refused")


def together(number: int, call: Callable[[], object]) -> None:
    """Call something in so many threads, and wait for them."""
    done: list[object] = []
    threads = [threading.Thread(target=lambda: done.append(call()), daemon=True) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    assert len(done) == number


def in_child(call: Callable[[], object], *, at_once: bool = False) -> None:
    """Fork, call something in the child, and end it as a program ends, or at once; it must end soon, and with code 0."""
    child = os.fork()
    if child == 0:
        code = 0
        try:
            call()
        except Exception:
            traceback.print_exc()
            code = 1
        if at_once:
            os._exit(code)
        sys.exit(code)
    status = 0

    def has_ended() -> bool:
        nonlocal status
        ended, status = os.waitpid(child, os.WNOHANG)
        return ended == child

    try:
        until(has_ended)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    assert os.waitstatus_to_exitcode(status) == 0, status
