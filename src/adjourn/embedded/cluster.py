"""A data directory of Postgres and its server: makes, starts and stops it, and removes what a dead server left behind.

The supervisor uses it in a bare interpreter (see `adjourn.embedded.launcher`), so it imports the standard library only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

try:
    import ctypes
except ImportError:  # a Python that was built without libffi
    ctypes = None  # type: ignore[assignment]

DATA_DIRECTORY = "data"
HALF_MADE_DATA_DIRECTORY = "data.new"
LOG_FILE = "server.log"
OLD_LOG_FILE = "server.log.1"
PID_FILE = "postmaster.pid"
LINE_OF_STATUS = 7
LINES_OF_LOG_IN_ERROR = 20

SUPERUSER = "postgres"
PORT = 5432
"""A part of the socket's file name; the server does not listen on TCP unless its settings ask for it."""

POLL_INTERVAL = 0.005
FAST_SHUTDOWN_TIMEOUT = 20.0
IMMEDIATE_SHUTDOWN_TIMEOUT = 10.0
KILL_TIMEOUT = 5.0
STOP_TIMEOUT = FAST_SHUTDOWN_TIMEOUT + IMMEDIATE_SHUTDOWN_TIMEOUT + 2 * KILL_TIMEOUT
"""The most seconds that it takes to stop a server, even one that hangs."""


class StartError(Exception):
    """The server cannot be started; the message is meant for the user."""


class Cluster:
    """The data directory of an embedded server, and the Postgres that runs on it.

    Parameters
    ----------
    home
        The directory of the server.
    socket_directory
        The directory of its socket.
    binaries
        The directory of the programs ``postgres`` and ``initdb``.
    settings
        The user's Postgres settings.
    temporary
        Whether the data is removed when the server stops.
    start_timeout
        Seconds that the whole start may take, including the creation of the data directory.
    """

    def __init__(
        self,
        home: Path,
        *,
        socket_directory: Path,
        binaries: Path,
        settings: Mapping[str, str],
        temporary: bool,
        start_timeout: float,
    ) -> None:
        self.home = home
        self.data: Path = home / DATA_DIRECTORY
        self.socket_directory = socket_directory
        self.binaries = binaries
        self.settings = settings
        self.temporary = temporary
        self.start_timeout = start_timeout
        self.deadline: float = time.monotonic() + start_timeout
        self.server: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        """Make the data directory if there is none, start the server, and wait until it accepts connections.

        Raises
        ------
        StartError
            If that fails, or takes longer than the start timeout.
        """
        with contextlib.suppress(FileNotFoundError):
            (self.home / LOG_FILE).replace(self.home / OLD_LOG_FILE)
        self.stop_orphans()
        if not self.data.exists():
            self.initialize()
        while True:
            self.server = server = self.run(
                [str(self.binaries / "postgres"), "-D", str(self.data), *self.options()],
                # The signal for a fast shutdown: Postgres ends its sessions and writes the data to disk.
                signal_at_death_of_parent=signal.SIGINT,
            )
            while server.poll() is None:
                if self.is_ready(server.pid):
                    return server
                if self.remaining() <= 0:
                    raise StartError(f"Postgres was not ready in {self.allowed}:\n{self.end_of_log()}")
                time.sleep(POLL_INTERVAL)
            # The sessions of a killed server hold its shared memory until they notice its end, so try again.
            if "shared memory block" not in self.end_of_log() or self.remaining() <= 0:
                raise StartError(f"Postgres did not start in {self.data}:\n{self.end_of_log()}")
            time.sleep(20 * POLL_INTERVAL)

    def initialize(self) -> None:
        """Make the data directory under another name, then rename it, so that it never exists half made."""
        half_made = self.home / HALF_MADE_DATA_DIRECTORY
        # An attempt that was interrupted may have left one.
        shutil.rmtree(half_made, ignore_errors=True)
        command = [str(self.binaries / "initdb"), "--pgdata", str(half_made), "--username", SUPERUSER]
        # --auth-host matters only if the settings turn on TCP.
        command += ["--encoding=UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256"]
        if self.temporary or self.settings.get("fsync", "on").lower() in ("off", "false", "no", "0"):
            command.append("--no-sync")
        initdb = self.run(command, signal_at_death_of_parent=signal.SIGTERM)
        try:
            status = initdb.wait(self.remaining())
        except subprocess.TimeoutExpired:
            initdb.kill()
            initdb.wait()
            raise StartError(f"initdb did not make a data directory in {self.allowed}.") from None
        if status:
            raise StartError(f"initdb could not make a data directory in {self.home}:\n{self.end_of_log()}")
        half_made.rename(self.data)

    def options(self) -> list[str]:
        """Return the settings as arguments; those that adjourn relies on come last, because the last value counts."""
        settings = {
            "listen_addresses": "",
            **self.settings,
            "unix_socket_directories": str(self.socket_directory),
            "unix_socket_permissions": "0700",
            "port": str(PORT),
        }
        return [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]

    def run(self, command: list[str], *, signal_at_death_of_parent: signal.Signals) -> subprocess.Popen[bytes]:
        """Start a Postgres program in a session of its own, where no terminal can interrupt it."""
        descriptor = os.open(self.home / LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return subprocess.Popen(  # noqa: S603
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                preexec_fn=parent_death_signal(signal_at_death_of_parent),
            )
        finally:
            os.close(descriptor)

    def is_ready(self, pid: int) -> bool:
        """Whether the server's pid file says that it accepts connections."""
        lines = self.lines_of_pid_file()
        return len(lines) > LINE_OF_STATUS and lines[0] == str(pid) and lines[LINE_OF_STATUS] == "ready"

    def lines_of_pid_file(self) -> list[str]:
        try:
            text = (self.data / PID_FILE).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        return [line.strip() for line in text.splitlines()]

    def end_of_log(self) -> str:
        try:
            lines = (self.home / LOG_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            return f"(no log: {error})"
        return "\n".join(lines[-LINES_OF_LOG_IN_ERROR:]) or "(its log is empty)"

    def remaining(self) -> float:
        return self.deadline - time.monotonic()

    @property
    def allowed(self) -> str:
        return f"{self.start_timeout:g} s (start_timeout)"

    def stop(self) -> None:
        """Stop the server, by force if it does not stop in order, and then the sessions that still run."""
        if self.server is None:
            return
        # Data that is about to be removed need not be written to disk.
        if not self.temporary:
            self.end(self.server, signal.SIGINT, FAST_SHUTDOWN_TIMEOUT)
        self.end(self.server, signal.SIGQUIT, IMMEDIATE_SHUTDOWN_TIMEOUT)
        self.end(self.server, signal.SIGKILL, KILL_TIMEOUT)
        if self.server.returncode != 0:
            # The server did not stop in order, so its sessions may still run.
            self.deadline = time.monotonic() + KILL_TIMEOUT
            with contextlib.suppress(StartError):
                self.stop_orphans()

    def end(self, server: subprocess.Popen[bytes], number: signal.Signals, timeout: float) -> None:
        if server.poll() is None:
            server.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(timeout)

    def stop_orphans(self) -> None:
        """Stop a server that outlived its supervisor, and the sessions that outlived a server.

        Raises
        ------
        StartError
            If they do not stop within the start timeout.
        """
        asked: set[int] = set()
        while orphans := self.orphans():
            if self.remaining() <= 0:
                raise StartError(
                    f"A Postgres server that adjourn did not start, or whose supervisor was killed, runs in {self.data} "
                    f"(process {orphans[0]}) and did not stop in {self.allowed}. Stop it by hand."
                )
            # Ask a server first: it stops its sessions in order. End sessions without a server at once.
            servers = [orphan for orphan in orphans if [str(orphan)] == self.lines_of_pid_file()[:1]]
            for orphan in {*(servers or orphans)} - asked:
                asked.add(orphan)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(orphan, signal.SIGINT if servers else signal.SIGQUIT)
            time.sleep(POLL_INTERVAL)
        # Postgres removes a dead server's lock files itself, unless another process, even a zombie, has its pid by now:
        # then Postgres takes that process for the server.
        (self.data / PID_FILE).unlink(missing_ok=True)
        (self.socket_directory / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove everything that belongs to this cluster."""
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.home / HALF_MADE_DATA_DIRECTORY, ignore_errors=True)
        for log in (LOG_FILE, OLD_LOG_FILE):
            (self.home / log).unlink(missing_ok=True)

    def orphans(self) -> list[int]:
        """Return the pids of the server on this data directory and its sessions; except on Linux, only the server's."""
        if os.uname().sysname == "Linux":
            processes = [entry for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
            return [int(process.name) for process in processes if self.is_ours(process)]
        lines = self.lines_of_pid_file()
        if not lines or not lines[0].isdecimal():
            return []
        command = ["/bin/ps", "-ww", "-o", "command=", "-p", lines[0]]
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=KILL_TIMEOUT)  # noqa: S603
        return [int(lines[0])] if f"-D {self.data}" in found.stdout else []

    def is_ours(self, process: Path) -> bool:
        """Whether a process is the server or one of its sessions: the data directory is their working directory."""
        try:
            program = (process / "exe").readlink().name.removesuffix(" (deleted)")
            return program == "postgres" and (process / "cwd").readlink() == self.data
        except OSError:  # it has ended, is a zombie, or belongs to another user
            return False


def parent_death_signal(number: signal.Signals) -> Callable[[], None] | None:
    """Return a `preexec_fn` that asks the kernel to signal the child when its parent dies; None except on Linux."""
    if os.uname().sysname != "Linux" or ctypes is None:
        return None
    parent = os.getpid()
    prctl = ctypes.CDLL(None).prctl
    set_parent_death_signal = 1

    def request() -> None:
        prctl(set_parent_death_signal, int(number), 0, 0, 0)
        # The parent may have died before the request.
        if os.getppid() != parent:
            os._exit(1)

    return request
