"""A process that owns one Postgres server as long as any other process, called a user here, uses it.

A user must not own the server, because a killed user could not stop it. So the first user starts *this* process,
detached from every terminal, and it alone starts and stops Postgres. The design relies on three things that the kernel
does even if a process is killed:

* Each user has a **connection** to the supervisor's socket. The kernel closes it when the user ends in any way.
  When the last one is closed, the supervisor stops the server and ends.
* The supervisor holds an exclusive **flock** on the lock file of the directory. The first user takes it and passes the
  descriptor on, so two supervisors can never start at once. While the lock is held, a server is starting, running or
  stopping; when it is free, a dead supervisor has left anything that is still there.
* On Linux the kernel signals the server when its **parent dies**, so even a supervisor that is killed leaves nothing
  running. Elsewhere the next supervisor of that directory stops the server that it finds.

A user leaves by closing its end of the connection. The supervisor then closes the other end: at once if there are other
users, otherwise when it ends itself. So a user can wait for that to know that the server is gone.

It runs in a bare interpreter (see `adjourn.embedded.launcher`) and uses the standard library only. It imports
everything before it gives up root's privileges, because afterwards it may not be able to read the interpreter's own
files.
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
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn, TypedDict

from adjourn.embedded.cluster import Cluster, StartError

SUPERVISOR_SOCKET = "supervisor"


class Order(TypedDict):
    """The order of the first user: one line of JSON, sent over the connection that is the supervisor's stdin."""

    home: str
    socket_directory: str
    binaries: str
    version: str
    settings: dict[str, str]
    account: tuple[int, int] | None
    temporary: bool
    start_timeout: float


class Greeting(TypedDict):
    """The supervisor's answer to every user: one line of JSON."""

    pid: int
    version: str


class Refusal(TypedDict):
    """The answer to users if there is no server."""

    error: str


def read_line(connection: socket.socket) -> bytes:
    """Read up to the first newline, or until the other side closes."""
    received = b""
    while not received.endswith(b"\n"):
        chunk = connection.recv(65536)
        if not chunk:
            break
        received += chunk
    return received


def greet(users: Iterable[socket.socket], greeting: Greeting | Refusal) -> None:
    """Send the greeting to each user that is still there."""
    for user in users:
        with contextlib.suppress(OSError):
            user.sendall(json.dumps(greeting).encode() + b"\n")


class Supervisor:
    """Starts one server, counts its users, and stops it when the last one has left.

    Parameters
    ----------
    order
        The order of the first user.
    first_user
        The connection of the first user.
    """

    def __init__(self, order: Order, first_user: socket.socket) -> None:
        self.order = order
        self.home: Path = Path(order["home"])
        self.socket_directory: Path = Path(order["socket_directory"])
        self.cluster: Cluster = Cluster(
            self.home,
            socket_directory=self.socket_directory,
            binaries=Path(order["binaries"]),
            settings=order["settings"],
            temporary=order["temporary"],
            start_timeout=order["start_timeout"],
        )
        self.users: set[socket.socket] = {first_user}
        self.last_leavers: list[socket.socket] = []
        self.has_socket_directory: bool = False
        self.must_end: bool = False
        self.alarm: socket.socket
        self.alarm_trigger: socket.socket
        self.alarm, self.alarm_trigger = socket.socketpair()

    def run(self) -> None:
        """Start the server, serve its users, stop it. When this process ends, the last users know that the server is
        gone."""
        self.listen_to_signals()
        try:
            self.make_socket_directory()
            self.serve(self.cluster.start())
        except StartError as error:
            greet(self.users, Refusal(error=str(error)))
        except Exception as error:
            greet(self.users, Refusal(error=f"The embedded server failed: {type(error).__name__}: {error}"))
        finally:
            self.cluster.stop()
            self.clean_up()

    def listen_to_signals(self) -> None:
        # The first user may block or ignore signals; the server must not inherit that.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.end)
        # Not SIG_IGN, which the server would inherit.
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, lambda *_: None)
        self.alarm.setblocking(False)
        self.alarm_trigger.setblocking(False)
        # A signal makes the alarm readable, so that one select() waits for users, signals and the end of the server.
        signal.set_wakeup_fd(self.alarm_trigger.fileno(), warn_on_full_buffer=False)

    def end(self, *_: object) -> None:
        self.must_end = True

    def make_socket_directory(self) -> None:
        if self.socket_directory == self.home:
            return
        # Any user can work out this name and write to the parent directory, so check what is there.
        try:
            self.socket_directory.mkdir(mode=0o700)
        except FileExistsError:
            found = self.socket_directory.lstat()
            if found.st_uid != os.geteuid() or found.st_mode != 0o40700:
                raise StartError(
                    f"The embedded server needs {self.socket_directory} for its socket, because the path {self.home} "
                    "is too long or too unusual for one. But it exists and is not a private directory of this user. "
                    "Remove it, or use a shorter path of plain letters and digits for the server."
                ) from None
        self.has_socket_directory = True

    def serve(self, server: subprocess.Popen[bytes]) -> None:
        """Accept and count users until the last one leaves, the server ends, or a signal asks to end."""
        address = self.socket_directory / SUPERVISOR_SOCKET
        address.unlink(missing_ok=True)
        greeting = Greeting(pid=server.pid, version=self.order["version"])
        with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
            listener.bind(str(address))
            listener.listen(128)
            for source in (listener, self.alarm, *self.users):
                source.setblocking(False)
                selector.register(source, selectors.EVENT_READ)
            greet(self.users, greeting)
            while self.users and not self.must_end and server.poll() is None:
                leavers = []
                # Handle all events before deciding to end, so that a user who joins while the last one leaves keeps the
                # server running.
                for key, _ in selector.select():
                    found = key.fileobj
                    assert isinstance(found, socket.socket)
                    if found is listener:
                        user = self.accept(listener)
                        if server.poll() is not None:  # a dead server is of no use to a user
                            break
                        if user is not None:
                            selector.register(user, selectors.EVENT_READ)
                            greet([user], greeting)
                    elif has_ended(found) and found is not self.alarm:
                        selector.unregister(found)
                        leavers.append(found)
                self.users.difference_update(leavers)
                if self.users:
                    for leaver in leavers:
                        leaver.close()
                else:
                    # Leave them open: they close when this process ends, which answers the users.
                    self.last_leavers = leavers
            address.unlink(missing_ok=True)

    def accept(self, listener: socket.socket) -> socket.socket | None:
        try:
            user, _ = listener.accept()
        except OSError:  # the user has left already
            return None
        user.setblocking(False)
        self.users.add(user)
        return user

    def clean_up(self) -> None:
        if self.has_socket_directory:
            with contextlib.suppress(OSError):
                self.socket_directory.rmdir()
        if not self.order["temporary"]:
            return
        # Rename first, so that a new user finds either the whole directory or none.
        removed = self.home.with_name(f".{self.home.name}.{os.getpid()}")
        try:
            self.home.rename(removed)
        except OSError:
            # This account may not write to the parent directory. Keep the lock file: others may be waiting for it.
            self.cluster.remove()
        else:
            shutil.rmtree(removed, ignore_errors=True)


def has_ended(source: socket.socket) -> bool:
    """Whether the other side has closed; anything that it has sent is read and ignored."""
    try:
        return not source.recv(4096)
    except BlockingIOError:
        return False
    except OSError:
        return True


def give_up_privileges(account: tuple[int, int] | None) -> None:
    """Switch to the account that the server runs as. There is no way back."""
    if account is not None:
        user, group = account
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)


def main() -> NoReturn:
    """Read the first user's order from standard input, detach from that user, and supervise."""
    first_user = socket.socket(fileno=os.dup(0))
    order: Order = json.loads(read_line(first_user))
    # The first user waits for this process only. The child carries on, and init reaps it when it ends.
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.umask(0o077)
    give_up_privileges(order["account"])
    Supervisor(order, first_user).run()
    os._exit(0)
