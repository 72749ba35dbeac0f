"""One user's presence at a server: a connection to its supervisor, and on the way there perhaps the lock.

Both belong to open files that a forked child shares, so they are closed in the child. That takes nothing from the
parent: its own descriptors keep the connection, and the lock, alive.
"""

from __future__ import annotations

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
"""How many seconds a user waits for a supervisor that has to stop its server."""

QUESTION = struct.pack("!ii", 8, 80877103)
"""Postgres' request for encryption, which a server answers with a letter for yes or no."""

_all: weakref.WeakSet[Presence] = weakref.WeakSet()


class Presence:
    """What one user holds open.

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
        """Connect to the supervisor, if there is one that takes users.

        Raises
        ------
        EmbeddedServerError
            If it does not answer within the timeout, in seconds.
        PermissionError
            If its socket is out of reach.
        """
        self.connection = connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        try:
            connection.connect(str(self.sockets / supervisor.SUPERVISOR_SOCKET))
            line = supervisor.read_line(connection)
            # The supervisor may not know yet that its server was killed.
            is_alive = line.endswith(b"\n") and answers(self.sockets, timeout)
        except TimeoutError:
            raise EmbeddedServerError(
                f"The embedded server in {self.home} does not answer: end the process whose command "
                f"line ends in {self.home}, with all it has started."
            ) from None
        except PermissionError as error:
            raise PermissionError(error.errno, error.strerror, str(self.sockets)) from error
        except OSError:  # nobody there
            is_alive, line = False, b""
        if is_alive:
            return checked(line)
        self.drop()
        return None

    def take_lock(self, account: Account | None) -> bool:
        """Try to get the right to start a supervisor: nobody has it while one starts, serves, or ends.

        Raises
        ------
        FileNotFoundError
            If the directory has been removed in the meantime, as a temporary server that ends does.
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
        """Start a supervisor, hand the lock over to it, and wait for its server.

        Raises
        ------
        EmbeddedServerError
            If it could not start the server.
        """
        assert self.lock is not None
        self.connection, theirs = socket.socketpair()
        # The supervisor gives up by itself; this is for one that hangs.
        self.connection.settimeout(order["start_timeout"] + LEAVE_TIMEOUT)
        with tempfile.TemporaryFile() as complaints:
            try:
                process = subprocess.Popen(  # noqa: S603
                    # The last argument is for who looks at a list of processes.
                    [sys.executable, "-I", "-S", launcher.__file__, str(self.home)],
                    cwd="/",
                    env=environment(),
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=complaints,
                    pass_fds=[self.lock],
                    start_new_session=True,
                )
            except OSError as error:
                raise EmbeddedServerError(
                    f"The supervisor of the embedded server cannot be run by {sys.executable or 'this Python'}: {error}."
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
                # It detaches itself before it answers, so this waits for one only that did not even come to that.
                try:
                    process.wait(5.0)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if line.endswith(b"\n"):
                return checked(line)
            complaints.seek(0)
            raise EmbeddedServerError(
                f"The supervisor of the embedded server in {self.home} ended before the server had started. "
                f"{complaints.read(4000).decode(errors='replace').strip()}"
            )

    def leave(self) -> None:
        """Leave, and wait for the end of the server if we were the last.

        Raises
        ------
        EmbeddedServerError
            If the server did not stop in time.
        """
        if self.connection is None:
            return
        try:
            self.connection.settimeout(LEAVE_TIMEOUT)
            # The supervisor closes its end in answer: now if there are other users, else when all is done.
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(4096):
                pass
        except TimeoutError:
            raise EmbeddedServerError(
                f"The embedded server in {self.home} did not stop in {LEAVE_TIMEOUT:g} s: end the process "
                f"whose command line ends in {self.home}, with all it has started."
            ) from None
        except OSError:  # the supervisor is gone, and the server with it
            pass
        finally:
            self.drop()

    def drop(self) -> None:
        """Close what is open, and wait for nothing."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None


def answers(sockets: Path, timeout: float) -> bool:
    """Whether a living server takes connections: it is asked a question that needs no authentication.

    Raises
    ------
    TimeoutError
        If it takes them, but says nothing.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(sockets / f".s.PGSQL.{PORT}"))
            connection.sendall(QUESTION)
            return connection.recv(1) != b""
        except TimeoutError:
            raise
        except OSError:
            return False


def checked(line: bytes) -> supervisor.Greeting:
    """Read what a supervisor has said.

    Raises
    ------
    EmbeddedServerError
        If it had to say why it cannot serve.
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
