"""A look at a socket, whichever driver it belongs to."""

from __future__ import annotations

import select


def readable(descriptor: int) -> bool:
    """Say whether something has arrived at a socket, be it only the news that the other side is gone."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])
