"""What can be done with the socket of a connection, with any driver."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Mapping
from typing import Protocol


class HasSocket(Protocol):
    """A connection of a driver."""

    def fileno(self) -> int:
        """Return the descriptor of its socket, or raise if it has none any more."""


def readable(descriptor: int) -> bool:
    """Return whether something has arrived at a socket; the end of the stream counts too."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])


def hang_up(connection: HasSocket) -> None:
    """Shut a connection's socket down, so that whatever waits for the server on it fails at once. From any thread."""
    with contextlib.suppress(Exception):  # each driver has its own error for a closed connection
        descriptor = connection.fileno()
        with socket.socket(fileno=os.dup(descriptor)) as line:
            # Its owner may have closed it just before, and the number may be another socket's by now.
            if connection.fileno() == descriptor:
                line.shutdown(socket.SHUT_RDWR)


def keep_alive(connection: HasSocket, settings: Mapping[str, int]) -> None:
    """Have the kernel notice a lost network, as libpq does with parameters of the same names; a connection over TCP only.

    Parameters
    ----------
    connection
        The connection.
    settings
        Seconds and numbers by the names of libpq's parameters: ``keepalives_idle``, ``tcp_user_timeout``, ...
    """
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        if line.family not in (socket.AF_INET, socket.AF_INET6):
            return
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in settings.items():
            if (option := getattr(socket, _OPTIONS[name], None)) is not None:
                line.setsockopt(socket.IPPROTO_TCP, option, value)


_OPTIONS = {
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
    "tcp_user_timeout": "TCP_USER_TIMEOUT",
}
