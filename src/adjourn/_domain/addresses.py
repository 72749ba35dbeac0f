"""Addresses on which to listen."""

from __future__ import annotations

from typing import Any

from adjourn.exceptions import InvalidOption

MAX_PORT = 65_535


def address_of(argument: str, value: Any) -> tuple[str, int]:
    """Return the host and the port of an address, such as ``127.0.0.1:8080`` or ``[::1]:8080``.

    Parameters
    ----------
    argument
        What the value was passed as, for the message.
    value
        The address. Port 0 stands for any that is free.

    Raises
    ------
    InvalidOption
        If it is none.
    """
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > MAX_PORT:
        raise InvalidOption(f"{argument}={value!r}: pass a host and a port, such as '127.0.0.1:8080' or '[::1]:8080'.")
    return host, int(port)
