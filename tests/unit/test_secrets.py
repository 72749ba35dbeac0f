"""The password of a database is in no error, no log record and no representation, whatever fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import adjourn
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector, SQLAlchemyPsycopg2Connector, SQLAlchemyPsycopgConnector
from adjourn.exceptions import AdjournException

SECRET = "hunter2"
CONNECTORS: dict[str, Callable[[str], Any]] = {
    "psycopg": lambda dsn: adjourn.PsycopgConnector(dsn, min_size=1, timeout=1),
    "psycopg, blocking": lambda dsn: adjourn.SyncPsycopgConnector(dsn, min_size=1, timeout=1),
    "psycopg2": lambda dsn: adjourn.connectors.Psycopg2Connector(dsn, timeout=1),
    "psycopg2, awaited": lambda dsn: adjourn.connectors.AsyncPsycopg2Connector(dsn, timeout=1),
    "SQLAlchemy on psycopg": lambda dsn: SQLAlchemyPsycopgConnector(dsn=dsn, pool_timeout=1),
    "SQLAlchemy on psycopg2": lambda dsn: SQLAlchemyPsycopg2Connector(dsn=dsn, pool_timeout=1),
    "SQLAlchemy on asyncpg": lambda dsn: SQLAlchemyConnector(dsn=dsn, pool_timeout=1),
}
ASYNCHRONOUS = ("psycopg", "psycopg2, awaited", "SQLAlchemy on asyncpg")
MALFORMED = [
    "postgresql:/me:{}@host/db",
    "postgresql://me:{}@host:port/db",
    "postgresql://me:{}@[::1/db",
    "postgresql://me:%{}@host/db",
    "postgresql://me:{}@host/db?nonsense=1",
    "postgresql://me:{}/x@host/db",
    "postgresql://me:{}?x@host/db",
    "postgresql://me:{}#x@host/db",
    "postgresql://me:{}:x@host/db",
    "postgresql://me:{}@host:99999/db",
    "postgresql://me:{}\0@host/db",
    "postgresql://me:{}\ud800@127.0.0.1:1/db",
    "host=h password='{}",
    "host=h password={} nonsense",
    "host=h {}",
    "mysql://me:{}@host/db",
    "{}",
]


def chain(error: BaseException | None, seen: set[int] | None = None) -> Iterator[BaseException]:
    """An exception, and all that it was raised from or during."""
    seen = set() if seen is None else seen
    if error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        yield from chain(error.__cause__, seen)
        yield from chain(error.__context__, seen)


def texts(error: BaseException) -> list[str]:
    """All that a person, or a service that collects errors, may be shown of it."""
    found = ["".join(traceback.format_exception(error))]
    return found + [text for each in chain(error) for text in (str(each), repr(each), repr(each.args))]


def fails(connector: Callable[[str], Any], dsn: str) -> tuple[BaseException | None, list[str]]:
    """Use a connector in each way; return what was raised, and what was seen."""
    seen: list[str] = []
    try:
        made = connector(dsn)
        app = adjourn.App(connector=made)
        seen += [repr(made), str(made), repr(app), str(app), repr(app.job_manager)]
        with app.open():
            app.check_connection()
    except BaseException as error:
        return error, [*seen, *texts(error)]
    return None, seen


async def fails_async(connector: Callable[[str], Any], dsn: str) -> tuple[BaseException | None, list[str]]:
    """The same for coroutines."""
    seen: list[str] = []
    try:
        app = adjourn.App(connector=connector(dsn))
        async with app.open_async():
            await app.check_connection_async()
    except BaseException as error:
        return error, [*seen, *texts(error)]
    return None, seen


def check(name: str, dsn: str, caplog: pytest.LogCaptureFixture, secret: str = SECRET) -> BaseException:
    caplog.clear()
    ways = [fails(CONNECTORS[name], dsn)]
    if name in ASYNCHRONOUS:
        ways.append(asyncio.run(fails_async(CONNECTORS[name], dsn)))
    for error, seen in ways:
        assert isinstance(error, AdjournException), repr(error)
        leaks = [text for text in seen if secret in text]
        assert not leaks, leaks[0]
    records = [f"{record.getMessage()} {record.args} {record.exc_text} {record.__dict__}" for record in caplog.records]
    assert not [record for record in records if secret in record]
    assert error is not None
    return error


@pytest.mark.parametrize("dsn", MALFORMED)
@pytest.mark.parametrize("name", CONNECTORS)
def test_a_dsn_that_cannot_be_read_is_not_shown(name: str, dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    check(
        name,
        dsn.replace("{}", SECRET).replace("@host", "@127.0.0.1").replace("host=h", "host=127.0.0.1 port=1"),
        caplog,
    )


@pytest.mark.parametrize("name", CONNECTORS)
def test_a_server_that_cannot_be_reached_is_named_without_the_password(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error = check(name, f"postgresql://me:{SECRET}@127.0.0.1:1/db", caplog)
    assert "127.0.0.1" in str(error)


class Refusing:
    """A server that asks for the password in clear text, and refuses whatever it gets."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.heard: list[bytes] = []
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self) -> Refusing:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self.socket, contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread, which closing alone does not
        self.thread.join()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:  # closed
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                while (start := connection.recv(10_000)) and start[4:8] in (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30"):
                    connection.sendall(b"N")  # neither TLS nor GSS
                connection.sendall(b"R" + struct.pack("!ii", 8, 3))
                self.heard.append(connection.recv(10_000))
                fields = b'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "me"\0\0'
                connection.sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)


@pytest.mark.parametrize("name", CONNECTORS)
def test_a_password_that_the_server_refuses_is_not_shown(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Refusing() as server:
        error = check(name, f"postgresql://me:{SECRET}@127.0.0.1:{server.port}/db", caplog)
    assert SECRET.encode() in b"".join(server.heard)
    assert "password authentication failed" in str(error)
