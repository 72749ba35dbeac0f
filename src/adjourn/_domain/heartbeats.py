"""What a worker is told that registers or sends a heartbeat."""

from __future__ import annotations

import attrs


@attrs.frozen
class Registration:
    """A worker that has registered: its id, when that was by the database's clock, in microseconds since 1970, and whether
    another worker has stopped sending heartbeats."""

    id: int
    at: int
    expired: bool


@attrs.frozen
class Heartbeat:
    """The answer to a heartbeat: whether the worker still counts as alive, which of its jobs are to be aborted, and
    whether another worker has stopped sending heartbeats."""

    alive: bool
    aborts: tuple[int, ...]
    expired: bool
