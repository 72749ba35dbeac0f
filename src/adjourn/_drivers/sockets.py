"""Check whether a socket has anything to read, with any driver."""

from __future__ import annotations

import select


def readable(descriptor: int) -> bool:
    """Return whether something has arrived at a socket; the end of the stream counts too."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])
