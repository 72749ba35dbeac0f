"""The process that owns one Postgres server for as long as anybody uses it.

Who starts the server must not be the one who has to stop it: a user can be killed at any moment, and then there is
nobody left to clean up. So the first user starts *this* process, detached from every terminal, and it alone starts
and stops Postgres. Three facts that the kernel keeps, whatever is killed, carry the whole arrangement:

* A user is a **connection** to the supervisor's socket. The kernel closes it when the user ends, however it ends. When
  the last one is gone the supervisor stops the server and itself.
* The supervisor holds an exclusive **flock** on the lock file of the directory. The first user took it and handed the
  descriptor over, so there is never a moment in which two supervisors could start. While it is held, a server is
  starting, running or stopping; once it is free, whatever is still there belongs to a dead supervisor.
* On Linux the server asks for a signal at its **parent's death**, so even a supervisor that was killed leaves nothing
  behind. Elsewhere the next supervisor of that directory stops what it finds.

Nothing is asked of the supervisor in words: to leave is to close one's end. It closes its own end in answer, at once
if other users are left, otherwise at its very end. So a user who waits for that knows that the server is gone.

This file runs as a script, by ``python -I -S``: it may import the standard library only, and before it gives up root's
privileges, because afterwards the interpreter's own files may be out of reach.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn, TypedDict

try:
    import ctypes
except ImportError:  # a Python built without libffi; see ask_for_signal_at_death_of_parent
    ctypes = None  # type: ignore[assignment]

SUPERVISOR_SOCKET = "supervisor"
LOG_FILE = "server.log"
DATA_DIRECTORY = "data"
HALF_MADE_DATA_DIRECTORY = "data.new"
SUPERUSER = "postgres"
PORT = 5432

POLL_INTERVAL = 0.005
FAST_SHUTDOWN_TIMEOUT = 20.0
IMMEDIATE_SHUTDOWN_TIMEOUT = 10.0
STOP_TIMEOUT = FAST_SHUTDOWN_TIMEOUT + IMMEDIATE_SHUTDOWN_TIMEOUT + 5.0
"""How long, in seconds, stopping can take before the supervisor has killed what would not stop."""


class Order(TypedDict):
    """What the first user asks for: one line of JSON, sent over the connection that the supervisor starts with."""

    home: str
    socket_directory: str
    binaries: str
    version: str
    settings: dict[str, str]
    account: tuple[int, int] | None
    temporary: bool
    start_timeout: float


class Greeting(TypedDict, total=False):
    """What every user is told: one line of JSON."""

    pid: int
    version: str
    error: str


class StartError(Exception):
    """The server cannot be started; the message is meant for the user."""


def read_line(connection: socket.socket) -> bytes:
    """Read up to the first newline; what was received so far if the other side has closed."""
    received = b""
    while not received.endswith(b"\n"):
        chunk = connection.recv(65536)
        if not chunk:
            break
        received += chunk
    return received


def ask_for_signal_at_death_of_parent(number: signal.Signals) -> Callable[[], None] | None:
    """A function for the child to call before it becomes another program, or None where the system has no such wish."""
    if os.uname().sysname != "Linux" or ctypes is None:
        return None
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None
    parent = os.getpid()
    set_parent_death_signal = 1

    def ask() -> None:
        prctl(set_parent_death_signal, int(number), 0, 0, 0)
        # The parent may have died before the wish was made.
        if os.getppid() != parent:
            os._exit(1)

    return ask


class Supervisor:
    """Starts one server, counts its users, stops it when there are none.

    Parameters
    ----------
    order
        What the first user asked for.
    first_user
        The connection of the first user.
    """

    def __init__(self, order: Order, first_user: socket.socket) -> None:
        self.order = order
        self.home = Path(order["home"])
        self.data = self.home / DATA_DIRECTORY
        self.binaries = Path(order["binaries"])
        self.socket_directory = Path(order["socket_directory"])
        self.deadline = time.monotonic() + order["start_timeout"]
        self.users = {first_user}
        self.last_users: list[socket.socket] = []
        self.server: subprocess.Popen[bytes] | None = None
        self.must_end = False
        self.wake_reader, self.wake_writer = socket.socketpair()

    def run(self) -> None:
        """Start, serve, stop. The exit of the process tells the last users that all is done."""
        self.listen_to_signals()
        try:
            try:
                self.prepare_socket_directory()
                self.prepare_data_directory()
                self.stop_orphans()
                self.server = self.start_server()
                self.serve(self.server)
            except StartError as error:
                self.greet(self.users, Greeting(error=str(error)))
            except Exception as error:
                self.greet(self.users, Greeting(error=f"The embedded server failed: {type(error).__name__}: {error}"))
        finally:
            self.stop_server()
            self.clean_up()

    def listen_to_signals(self) -> None:
        # The first user may have been started with signals blocked or ignored; that is not meant for the server.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.end)
        # Not SIG_IGN, which the server would inherit.
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, lambda *_: None)
        self.wake_reader.setblocking(False)
        self.wake_writer.setblocking(False)
        # A signal becomes something to select on, so that waiting for users and for the server is one wait.
        signal.set_wakeup_fd(self.wake_writer.fileno(), warn_on_full_buffer=False)

    def end(self, *_: object) -> None:
        self.must_end = True

    # Starting

    def prepare_socket_directory(self) -> None:
        if self.socket_directory == self.home:
            return
        # The name is known to everybody, and the directory above is everybody's.
        try:
            self.socket_directory.mkdir(mode=0o700)
        except FileExistsError:
            found = self.socket_directory.lstat()
            if found.st_uid != os.geteuid() or found.st_mode != 0o40700:
                raise StartError(
                    f"The embedded server needs {self.socket_directory} for its socket, because the path of "
                    f"{self.home} is too long for one, but it exists and is not a private directory of this user. "
                    "Remove it, or use a shorter path for the server."
                ) from None

    def prepare_data_directory(self) -> None:
        if self.data.exists():
            return
        # What is there from an attempt that was interrupted cannot be trusted, and cannot be in use: we hold the lock.
        half_made = self.home / HALF_MADE_DATA_DIRECTORY
        shutil.rmtree(half_made, ignore_errors=True)
        command: list[str | Path] = [
            self.binaries / "initdb",
            "--pgdata",
            half_made,
            "--username",
            SUPERUSER,
            "--encoding=UTF8",
            "--locale=C",
            "--auth-local=trust",
            # Only where the settings ask for TCP, and then not without a password.
            "--auth-host=scram-sha-256",
        ]
        if not self.is_durable:
            command.append("--no-sync")
        with self.log() as log:
            initdb = subprocess.Popen(  # noqa: S603
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=ask_for_signal_at_death_of_parent(signal.SIGTERM),
            )
            try:
                status = initdb.wait(self.remaining())
            except subprocess.TimeoutExpired:
                initdb.kill()
                initdb.wait()
                raise StartError(f"initdb did not make a data directory in {self.start_timeout}.") from None
        if status:
            raise StartError(f"initdb could not make a data directory in {self.home}:\n{self.end_of_log()}")
        half_made.rename(self.data)

    @property
    def is_durable(self) -> bool:
        return not self.order["temporary"] and self.order["settings"].get("fsync", "on") not in (
            "off",
            "false",
            "no",
            "0",
        )

    def start_server(self) -> subprocess.Popen[bytes]:
        settings = {
            "listen_addresses": "",
            **self.order["settings"],
            "unix_socket_directories": str(self.socket_directory),
            "unix_socket_permissions": "0700",
            "port": str(PORT),
        }
        command = [str(self.binaries / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        while True:
            with self.log() as log:
                server = subprocess.Popen(  # noqa: S603
                    command,
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # A session of its own: its process group is not ours either.
                    start_new_session=True,
                    # The signal for a fast shutdown: sessions are ended, the data is made durable.
                    preexec_fn=ask_for_signal_at_death_of_parent(signal.SIGINT),
                )
            self.server = server
            while server.poll() is None:
                if self.is_ready(server.pid):
                    return server
                if self.remaining() <= 0 or self.must_end:
                    raise StartError(f"Postgres was not ready in {self.start_timeout}:\n{self.end_of_log()}")
                time.sleep(POLL_INTERVAL)
            # The sessions of a server that was killed notice a little later, and hold its shared memory until then.
            if "shared memory block" not in self.end_of_log() or self.remaining() <= 0:
                raise StartError(f"Postgres did not start in {self.data}:\n{self.end_of_log()}")
            time.sleep(20 * POLL_INTERVAL)

    def is_ready(self, pid: int) -> bool:
        """Whether the server's own file says that it takes connections."""
        lines = self.lines_of_pid_file()
        return len(lines) > 7 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"

    def lines_of_pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def first_line_of_pid_file(self) -> str:
        return next(iter(self.lines_of_pid_file()), "").strip()

    def remaining(self) -> float:
        return self.deadline - time.monotonic()

    @property
    def start_timeout(self) -> str:
        return f"{self.order['start_timeout']:g} s (start_timeout)"

    @contextlib.contextmanager
    def log(self) -> Iterator[int]:
        descriptor = os.open(self.home / LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def end_of_log(self) -> str:
        try:
            lines = (self.home / LOG_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "(its log cannot be read)"
        return "\n".join(lines[-20:])

    # What a dead supervisor has left

    def stop_orphans(self) -> None:
        """Stop a server that outlived its supervisor, and what outlived a server that was killed."""
        asked: set[int] = set()
        while orphans := self.orphans():
            if self.remaining() <= 0:
                raise StartError(
                    f"A Postgres server that adjourn did not start, or whose supervisor was killed, runs in {self.data} "
                    f"(process {orphans[0]}) and did not stop in {self.start_timeout}. Stop it by hand."
                )
            # The server first, in order; sessions without a server can only be ended.
            servers = [orphan for orphan in orphans if str(orphan) == self.first_line_of_pid_file()]
            for orphan in {*(servers or orphans)} - asked:
                asked.add(orphan)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(orphan, signal.SIGINT if servers else signal.SIGQUIT)
            time.sleep(POLL_INTERVAL)
        # Postgres removes the file of a dead process by itself, but takes any living process of that number, or a
        # zombie, for the server.
        with contextlib.suppress(FileNotFoundError):
            (self.data / "postmaster.pid").unlink()

    def orphans(self) -> list[int]:
        if os.uname().sysname == "Linux":
            # Every process of a server works in its data directory.
            return [
                int(entry)
                for entry in os.listdir("/proc")  # noqa: PTH208
                if entry.isdecimal() and self.is_of_this_server(Path("/proc", entry))
            ]
        pid = self.first_line_of_pid_file()
        if not pid.isdecimal():
            return []
        found = subprocess.run(  # noqa: S603
            ["/bin/ps", "-o", "command=", "-p", pid], capture_output=True, text=True, check=False
        )
        return [int(pid)] if f"-D {self.data}" in found.stdout else []

    def is_of_this_server(self, process: Path) -> bool:
        try:
            return (process / "cwd").readlink() == self.data and (process / "exe").readlink().name.removesuffix(
                " (deleted)"
            ) == "postgres"
        except OSError:  # gone, a zombie, or not ours to look at
            return False

    # Serving

    def serve(self, server: subprocess.Popen[bytes]) -> None:
        """Count users until there are none, or no server."""
        address = self.socket_directory / SUPERVISOR_SOCKET
        address.unlink(missing_ok=True)
        greeting = Greeting(pid=server.pid, version=self.order["version"])
        with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
            listener.bind(str(address))
            listener.listen(128)
            listener.setblocking(False)
            selector.register(listener, selectors.EVENT_READ)
            selector.register(self.wake_reader, selectors.EVENT_READ)
            for user in self.users:
                user.setblocking(False)
                selector.register(user, selectors.EVENT_READ)
            self.greet(self.users, greeting)
            while self.users and not self.must_end and server.poll() is None:
                leavers = []
                # All that happened meanwhile is heard before anything is decided: who comes while the last one goes
                # finds the server running.
                for key, _ in selector.select():
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    if source is listener:
                        with contextlib.suppress(OSError):
                            user, _ = listener.accept()
                            user.setblocking(False)
                            selector.register(user, selectors.EVENT_READ)
                            self.users.add(user)
                            self.greet([user], greeting)
                    elif source is self.wake_reader:
                        with contextlib.suppress(BlockingIOError):
                            source.recv(4096)
                    elif self.has_left(source):
                        selector.unregister(source)
                        leavers.append(source)
                self.users.difference_update(leavers)
                # The last ones are answered by our own end.
                if self.users:
                    for leaver in leavers:
                        leaver.close()
                else:
                    self.last_users = leavers
            address.unlink(missing_ok=True)

    def has_left(self, user: socket.socket) -> bool:
        try:
            return not user.recv(4096)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def greet(self, users: Iterable[socket.socket], greeting: Greeting) -> None:
        for user in users:
            with contextlib.suppress(OSError):
                user.sendall(json.dumps(greeting).encode() + b"\n")

    # Stopping

    def stop_server(self) -> None:
        if self.server is None:
            return
        # What is about to be removed need not be made durable.
        if self.order["temporary"]:
            steps = [(signal.SIGQUIT, IMMEDIATE_SHUTDOWN_TIMEOUT)]
        else:
            steps = [(signal.SIGINT, FAST_SHUTDOWN_TIMEOUT), (signal.SIGQUIT, IMMEDIATE_SHUTDOWN_TIMEOUT)]
        for number, timeout in [*steps, (signal.SIGKILL, 5.0)]:
            if self.server.poll() is None:
                self.server.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.server.wait(timeout)
                return

    def clean_up(self) -> None:
        with contextlib.suppress(OSError):
            if self.socket_directory != self.home:
                shutil.rmtree(self.socket_directory)
        if self.order["temporary"]:
            shutil.rmtree(self.home, ignore_errors=True)


def give_up_privileges(account: tuple[int, int] | None) -> None:
    if account is None:
        return
    user, group = account
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)


def main() -> NoReturn:
    """Take the first user's order from standard input, detach, and supervise."""
    first_user = socket.socket(fileno=os.dup(0))
    order: Order = json.loads(read_line(first_user))
    # The first user waits for this process only; its child belongs to nobody, so nobody has to reap it.
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.umask(0o077)
    give_up_privileges(order["account"])
    Supervisor(order, first_user).run()
    os._exit(0)


if __name__ == "__main__":
    main()
