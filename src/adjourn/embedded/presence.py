"""One user's connection to a server's supervisor, and the lock that a user holds while it starts the supervisor.

A forked child inherits both, so they are closed in the child. The parent loses nothing: its own descriptors keep the
connection and the lock.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path

from adjourn.embedded import directories, launcher, supervisor
from adjourn.embedded.accounts import Account, environment
from adjourn.embedded.cluster import PORT, STOP_TIMEOUT
from adjourn.embedded.exceptions import EmbeddedServerError

if sys.platform != "win32":  # where Server refuses to start
    import fcntl

LEAVE_TIMEOUT = STOP_TIMEOUT + 5.0
"""How many seconds the last user waits for the supervisor to stop the server."""

ENCRYPTION_REQUEST = struct.pack("!ii", 8, 80877103)
"""Postgres' SSLRequest message. A server answers it with one letter, before any authentication."""

_all: weakref.WeakSet[Presence] = weakref.WeakSet()


class Presence:
    """The connection and the lock of one user.

    Parameters
    ----------
    home
        The directory of the server.
    sockets
        The directory of its sockets.
    """

    def __init__(self, home: Path, sockets: Path) -> None:
        self.home = home
        self.sockets = sockets
        self.connection: socket.socket | None = None
        self.lock: int | None = None
        _all.add(self)

    def join(self, timeout: float) -> supervisor.Greeting | None:
        """Connect to the supervisor and return its greeting; None if there is no supervisor with a living server.

        Raises
        ------
        EmbeddedServerError
            If the supervisor or its server does not answer within `timeout` seconds.
        PermissionError
            If this user may not connect to the supervisor's socket.
        """
        self.connection = connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        try:
            connection.connect(str(self.sockets / supervisor.SUPERVISOR_SOCKET))
            line = supervisor.read_line(connection)
            # If the server was killed, the supervisor may not know it yet.
            is_alive = line.endswith(b"\n") and answers(self.sockets, timeout)
        except TimeoutError:
            raise EmbeddedServerError(
                f"The embedded server in {self.home} does not answer: kill the process whose command "
                f"line ends in {self.home}, and all processes that it started."
            ) from None
        except PermissionError as error:
            raise PermissionError(error.errno, error.strerror, str(self.sockets)) from error
        except OSError:  # there is no supervisor
            is_alive, line = False, b""
        if is_alive:
            return read_greeting(line)
        self.drop()
        return None

    def take_lock(self, account: Account | None) -> bool:
        """Take the lock that a user needs to start a supervisor; return False if it is held.

        It is held from the start of a supervisor to its end.

        Raises
        ------
        FileNotFoundError
            If the directory has been removed in the meantime, as happens when a temporary server stops.
        """
        self.lock = directories.open_lock_file(self.home, account)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.drop()
            return False
        if not os.path.samestat((self.home / directories.LOCK_FILE).lstat(), os.fstat(self.lock)):
            raise FileNotFoundError(self.home)
        return True

    def start_supervisor(self, order: supervisor.Order) -> supervisor.Greeting:
        """Start a supervisor, pass the lock to it, and wait until its server has started.

        Raises
        ------
        EmbeddedServerError
            If it could not start the server.
        """
        assert self.lock is not None
        self.connection, theirs = socket.socketpair()
        # A supervisor obeys the start timeout itself; this limit is for one that hangs.
        self.connection.settimeout(order["start_timeout"] + LEAVE_TIMEOUT)
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(  # noqa: S603
                    # The last argument only identifies the server in a list of processes.
                    [sys.executable, "-I", "-S", launcher.__file__, str(self.home)],
                    cwd="/",
                    env=environment(),
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    pass_fds=[self.lock],
                    start_new_session=True,
                )
            except OSError as error:
                raise EmbeddedServerError(
                    f"{sys.executable or 'This Python'} cannot run the supervisor of the embedded server: {error}."
                ) from error
            finally:
                theirs.close()
            os.close(self.lock)
            self.lock = None
            try:
                self.connection.sendall(json.dumps(order).encode() + b"\n")
                line = supervisor.read_line(self.connection)
            except ConnectionError:
                line = b""
            except TimeoutError:
                raise EmbeddedServerError(f"The supervisor of the embedded server in {self.home} hangs.") from None
            finally:
                # A supervisor detaches itself before it answers, so this waits only for one that failed before that.
                try:
                    process.wait(5.0)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if line.endswith(b"\n"):
                return read_greeting(line)
            errors.seek(0)
            raise EmbeddedServerError(
                f"The supervisor of the embedded server in {self.home} ended before the server had started. "
                f"{errors.read(4000).decode(errors='replace').strip()}"
            )

    def leave(self) -> None:
        """Disconnect from the supervisor; if this was the last user, wait until the server has stopped.

        Raises
        ------
        EmbeddedServerError
            If the server did not stop in time.
        """
        if self.connection is None:
            return
        try:
            self.connection.settimeout(LEAVE_TIMEOUT)
            # The supervisor then closes its end: at once if there are other users, otherwise when it has ended.
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(4096):
                pass
        except TimeoutError:
            raise EmbeddedServerError(
                f"The embedded server in {self.home} did not stop in {LEAVE_TIMEOUT:g} s: kill the process "
                f"whose command line ends in {self.home}, and all processes that it started."
            ) from None
        except OSError:  # the supervisor is gone, and the server with it
            pass
        finally:
            self.drop()

    def drop(self) -> None:
        """Close the connection and the lock, without waiting for the supervisor."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None


def answers(sockets: Path, timeout: float) -> bool:
    """Whether a living server answers a request that needs no authentication.

    Raises
    ------
    TimeoutError
        If it accepts the connection, but does not answer within `timeout` seconds.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(sockets / f".s.PGSQL.{PORT}"))
            connection.sendall(ENCRYPTION_REQUEST)
            return connection.recv(1) != b""
        except TimeoutError:
            raise
        except OSError:
            return False


def read_greeting(line: bytes) -> supervisor.Greeting:
    """Read the line that a supervisor has sent.

    Raises
    ------
    EmbeddedServerError
        If the line says why the server could not be started.
    """
    answer = json.loads(line)
    if "error" in answer:
        raise EmbeddedServerError(answer["error"])
    greeting: supervisor.Greeting = answer
    return greeting


def _drop_all() -> None:
    with contextlib.suppress(OSError):
        for presence in list(_all):
            presence.drop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_all)


def _leave_open() -> None:
    """Have the kernel close what a program has not closed, once all else of the program has ended; Python would close it
    earlier, and warn."""
    for presence in list(_all):
        if presence.connection is not None:
            presence.connection.detach()


atexit.register(_leave_open)
