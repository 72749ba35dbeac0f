"""What programs that try a connector at the end of its process, or in a forked child, begin with."""

from __future__ import annotations

from collections.abc import Callable

PREAMBLE = """
import asyncio, os, sys, threading, time
from adjourn.connectors import PsycopgConnector, SyncPsycopgConnector
from adjourn.exceptions import AppNotOpen
from adjourn.types import Statement

DSN = sys.argv[1]
ADD = Statement("add", "INSERT INTO scratch (name) VALUES (%(name)s)")
PID = Statement("pid", "SELECT pg_backend_pid() AS pid")

def in_child(function):
    pid = os.fork()
    if pid == 0:
        try:
            function()
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
            code = 1
        # As a program ends, with everything that Python does then.
        sys.exit(code)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            assert os.waitstatus_to_exitcode(status) == 0, status
            return
        time.sleep(0.01)
    os.kill(pid, 9)
    raise AssertionError("the child hangs")
"""

Program = Callable[[str], None]
