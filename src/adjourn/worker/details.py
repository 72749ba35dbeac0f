"""What a worker says of itself with each heartbeat, for lists of workers."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import math
import os
import platform
import socket
from collections.abc import Collection, Sequence
from pathlib import Path

import attrs

from adjourn._domain.headers import storable_text
from adjourn._domain.outcomes import Claim

MOST_RUNNING = 1000
"""The ids of so many running jobs are told."""
_STATM = Path("/proc/self/statm")


@attrs.frozen
class SelfReport:
    """What the database keeps of a worker until its next heartbeat.

    Attributes
    ----------
    overdue
        The ids of its jobs that were asked to end and have not.
    running
        Its claims that run.
    details
        The rest, as JSON.
    """

    overdue: Sequence[int]
    running: Sequence[Claim]
    details: str


@functools.cache
def _own_version() -> str:
    return importlib.metadata.version("adjourn")  # which reads a file


@attrs.define
class Details:
    """Makes the reports of one worker.

    Parameters
    ----------
    concurrency
        How many jobs it runs at once.
    """

    concurrency: int
    _host: str = attrs.field(factory=lambda: storable_text(socket.gethostname()), init=False)
    _version: str = attrs.field(factory=_own_version, init=False)

    def report(
        self,
        overdue: Sequence[int],
        running: Collection[Claim],
        *,
        buffered: int,
        outbox: int,
        listens: bool,
        silence: float,
        is_ending: bool,
    ) -> SelfReport:
        """Return what to tell. May be called from any thread.

        Parameters
        ----------
        overdue
            The ids of its jobs that were asked to end and have not.
        running
            Its claims that run.
        buffered
            How many jobs it has claimed that have not begun.
        outbox
            How many outcomes it has that are not stored.
        listens
            Whether it hears notifications.
        silence
            Seconds since its last round trip that succeeded.
        is_ending
            Whether it was stopped, and takes no more jobs.
        """
        details = {
            "host": self._host,
            "pid": os.getpid(),
            "version": self._version,
            "python": platform.python_version(),
            "concurrency": self.concurrency,
            "buffered": buffered,
            "outbox": outbox,
            "listens": listens,
            "exchanged_ago": None if math.isinf(silence) else round(silence, 3),
            "rss": _resident(),
            "ending": is_ending,
        }
        return SelfReport(list(overdue), sorted(running)[:MOST_RUNNING], json.dumps(details))


def _resident() -> int | None:
    """Return the bytes of memory that this process holds, where the system says that."""
    try:
        return int(_STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
