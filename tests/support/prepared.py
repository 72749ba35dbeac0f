"""Programs that begin where everything has been imported: to import adjourn and its drivers takes them longer than all that
they do.

One process imports, and forks for each program. The child becomes the program: it has a main module, arguments, variables
and an output of its own, and ends as every program does, with all that the interpreter does at its end. Programs whose
imports are what a test is about use `support.processes`.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import socket
import subprocess
import sys
import textwrap
import threading
import time
import types
from typing import Any

from support.processes import TESTS, check_silence, run_silently
from support.waiting import BOUND

MODULES = (
    "asyncpg",
    "psycopg2.pool",
    "psycopg_pool",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.postgresql.psycopg2",
    "sqlalchemy.ext.asyncio",
    "adjourn.contrib.sqlalchemy",
    "support.addresses",
    "support.program",
)
_END = b"\n"


class PreparedProcess:
    """A process that waits for programs to become."""

    def __init__(self) -> None:
        self._socket, other = socket.socketpair()
        self._socket.settimeout(2 * BOUND)
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-X", "dev", "-m", "support.prepared", str(other.fileno())],
                env={**os.environ, "PYTHONPATH": str(TESTS)},
                stdin=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
            )

    def run_silently(self, text: str, *arguments: str, **environment: str) -> None:
        """Run a program as `support.processes.run_silently` does.

        In the thorough run each program has a process of its own, and imports what it needs.
        """
        if "ADJOURN_TEST_THOROUGH" in os.environ:
            run_silently(text, *arguments, **environment)
            return
        environment = {**os.environ, "PYTHONPATH": str(TESTS), **environment}
        program = {"text": textwrap.dedent(text), "arguments": arguments, "environment": environment}
        reading, writing = os.pipe()
        try:
            try:
                socket.send_fds(self._socket, [json.dumps(program).encode() + _END], [writing])
            finally:
                os.close(writing)
            pid = int(_line(self._socket))
            try:
                said = _read(reading, time.monotonic() + 2 * BOUND)
            except TimeoutError:
                os.kill(pid, 9)
                _line(self._socket)
                raise
        finally:
            os.close(reading)
        check_silence(int(_line(self._socket)), said.decode())

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        self._process.wait(BOUND)


def _read(file: int, deadline: float) -> bytes:
    """Read until the program and all that it has started have ended."""
    read = b""
    while True:
        readable, _, _ = select.select([file], [], [], max(deadline - time.monotonic(), 0))
        if not readable:
            raise TimeoutError(f"the program has not ended; it said: {read.decode()}")
        if not (some := os.read(file, 65536)):
            return read
        read += some


def _line(connection: socket.socket) -> bytes:
    """Receive a line, of which the other side sends no second one before it is answered."""
    line = b""
    while not line.endswith(_END):
        if not (some := connection.recv(65536)):
            break
        line += some
    return line


def await_program(connection: socket.socket) -> dict[str, Any] | None:
    """Fork for each program that comes. Return it in the child, and None in the parent once no more come."""
    while True:
        message, outputs, _, _ = socket.recv_fds(connection, 65536, 1)
        if not message:
            return None
        if not message.endswith(_END):
            message += _line(connection)
        (output,) = outputs
        child = os.fork()
        if child == 0:
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.close(output)
            program: dict[str, Any] = json.loads(message)
            return program
        os.close(output)
        # In two messages: the child is to be killed if it hangs.
        connection.sendall(str(child).encode() + _END)
        _, status = os.waitpid(child, 0)
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode() + _END)


def import_all() -> None:
    """Import what programs need."""
    for name in MODULES:
        importlib.import_module(name)
    # Their connectors are imported when they are asked for.
    for name in ("SyncPsycopgConnector", "PsycopgConnector", "Psycopg2Connector", "AsyncPsycopg2Connector"):
        getattr(sys.modules["adjourn"], name)
    # It reads the variables of the program that imports it.
    del sys.modules["support.program"]
    assert threading.active_count() == 1  # a fork would not have the others
    # At its end each program would look through all of this for garbage.
    gc.freeze()


if __name__ == "__main__":
    import_all()
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        program = await_program(connection)
    if program is not None:
        os.environ.clear()
        os.environ.update(program["environment"])
        sys.argv = ["-c", *program["arguments"]]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(program["text"], "<program>", "exec"), vars(main))
