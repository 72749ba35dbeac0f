"""Processes that tasks fork. One that comes to the end of its task must not go on as a second worker."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback


def end_child(worker: int, error: BaseException | None) -> None:
    """End this process, as an exception or a return ends any, if a task has forked it. Do nothing in the worker itself.

    A fork copies the worker as well: its event loop, its connections, and what it believes to run.

    Parameters
    ----------
    worker
        The id of the worker's process.
    error
        What the task has raised in the child; None if it has returned.
    """
    if os.getpid() == worker:
        return
    code = 0
    with contextlib.suppress(BaseException):  # nothing may keep this process
        if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
            code = error.code or 0
        elif error is not None:
            code = 1
            if isinstance(error, SystemExit):
                print(error.code, file=sys.stderr)  # noqa: T201
            else:
                traceback.print_exception(error)
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code & 0xFF)
