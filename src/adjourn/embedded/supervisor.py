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

It runs in a bare interpreter (see `adjourn.embedded.launcher`): the standard library only, and all of it imported
before root's privileges are given up, because afterwards the interpreter's own files may be out of reach.
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
    """What the first user asks for: one line of JSON, sent over the connection that the supervisor starts with."""

    home: str
    socket_directory: str
    binaries: str
    version: str
    settings: dict[str, str]
    account: tuple[int, int] | None
    temporary: bool
    start_timeout: float


class Greeting(TypedDict):
    """What every user is told: one line of JSON."""

    pid: int
    version: str


class Failure(TypedDict):
    """What users are told instead when there is no server."""

    error: str


def read_line(connection: socket.socket) -> bytes:
    """Read up to the first newline; what was received so far if the other side has closed."""
    received = b""
    while not received.endswith(b"\n"):
        chunk = connection.recv(65536)
        if not chunk:
            break
        received += chunk
    return received


def greet(users: Iterable[socket.socket], greeting: Greeting | Failure) -> None:
    """Say the one thing that there is to say to a user."""
    for user in users:
        with contextlib.suppress(OSError):
            user.sendall(json.dumps(greeting).encode() + b"\n")


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
        """Start, serve, stop. The exit of the process tells the last users that all is done."""
        self.listen_to_signals()
        try:
            self.make_socket_directory()
            self.serve(self.cluster.start())
        except StartError as error:
            greet(self.users, Failure(error=str(error)))
        except Exception as error:
            greet(self.users, Failure(error=f"The embedded server failed: {type(error).__name__}: {error}"))
        finally:
            self.cluster.stop()
            self.clean_up()

    def listen_to_signals(self) -> None:
        # The first user may have been started with signals blocked or ignored; that is not meant for the server.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.end)
        # Not SIG_IGN, which the server would inherit.
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, lambda *_: None)
        self.alarm.setblocking(False)
        self.alarm_trigger.setblocking(False)
        # A signal becomes something to select on, so that waiting for users and for the server is one wait.
        signal.set_wakeup_fd(self.alarm_trigger.fileno(), warn_on_full_buffer=False)

    def end(self, *_: object) -> None:
        self.must_end = True

    def make_socket_directory(self) -> None:
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
        self.has_socket_directory = True

    def serve(self, server: subprocess.Popen[bytes]) -> None:
        """Count users until there are none, or no server."""
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
                # All that happened meanwhile is heard before anything is decided: who comes while the last one goes
                # finds the server running.
                for key, _ in selector.select():
                    found = key.fileobj
                    assert isinstance(found, socket.socket)
                    if found is listener:
                        user = self.accept(listener)
                        if server.poll() is not None:  # a dead server is not handed out
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
                    # They are answered by our own end.
                    self.last_leavers = leavers
            address.unlink(missing_ok=True)

    def accept(self, listener: socket.socket) -> socket.socket | None:
        try:
            user, _ = listener.accept()
        except OSError:  # gone already
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
        # All at once, because whoever comes meanwhile must find either the whole or nothing.
        removed = self.home.with_name(f".{self.home.name}.{os.getpid()}")
        try:
            self.home.rename(removed)
        except OSError:
            # The directory above is closed to us. The lock must stay, others may be waiting for it.
            self.cluster.remove()
        else:
            shutil.rmtree(removed, ignore_errors=True)


def has_ended(source: socket.socket) -> bool:
    """Read what there is, which is only noise; whether the other side has closed."""
    try:
        return not source.recv(4096)
    except BlockingIOError:
        return False
    except OSError:
        return True


def give_up_privileges(account: tuple[int, int] | None) -> None:
    """Become the account that the server runs as, for good."""
    if account is not None:
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
