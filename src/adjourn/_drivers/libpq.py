"""Parameters of libpq that connections need to notice a lost server, whichever driver makes them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from adjourn._domain.checks import is_port, is_storable
from adjourn._domain.spelling import hint
from adjourn.exceptions import InvalidOption

LASTING = {
    # A connection is kept for a long time, and must notice within half a minute that the server is gone. With libpq's
    # own defaults it would wait for a lost server for hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""The default parameters of a connection that is kept."""

CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
}
"""Parameters of which libpq knows all values. It looks at them when it connects."""

NAME = "fallback_application_name"
"""libpq's parameter of what a connection is called whose user has not said it, by ``application_name`` or PGAPPNAME."""

LONGEST_CONNECT = 10.0
"""Seconds after which connecting is tried anew by default: a server that answers so late has not got the request."""


def connect_timeout(said: Mapping[str, Any], limits: Iterable[float | None]) -> int:
    """Return the default of libpq's ``connect_timeout``, in whole seconds.

    Parameters
    ----------
    said
        The user's connection parameters. libpq tries one host after the other, each for so long.
    limits
        Seconds that connecting may take in all; None for any time.
    """
    hosts = str(said.get("hostaddr") or said.get("host") or "").count(",") + 1
    limit = min(limit for limit in (*limits, LONGEST_CONNECT * hosts) if limit is not None)
    return max(1, math.ceil(limit / hosts))


def unsaid(said: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of parameters that the user has not set, as an argument or in libpq's environment."""
    return {name: value for name, value in defaults.items() if name not in said and not _is_said(name, said)}


def _is_said(name: str, said: Mapping[str, Any]) -> bool:
    """Return whether the user has said in another way what a parameter is for."""
    if name == NAME:
        # A setting of `options` would be set before it, and replaced.
        return "application_name" in str(said.get("options") or os.environ.get("PGOPTIONS", ""))
    return name == "connect_timeout" and "PGCONNECT_TIMEOUT" in os.environ


def is_readable(text: str, read: Callable[[str], Mapping[str, Any]], error: type[Exception]) -> bool:
    """Return whether libpq can read a connection string.

    No exception leaves this function, not even as the context of another: libpq's message quotes the text that it could
    not read, which may be the password. What follows a NUL it would ignore.

    Parameters
    ----------
    text
        The connection string.
    read, error
        The driver's function that reads one, and what it raises.
    """
    if not is_storable(text):
        return False
    try:
        port = read(text).get("port", "")
    except (error, UnicodeDecodeError):  # psycopg decodes what libpq has read: "%aa" is no text
        return False
    # In a URL whose password has a slash that is not quoted, the beginning of the password is taken for the port.
    return is_port(port)


def check_choices(name: str, said: Mapping[str, Any]) -> None:
    """Refuse a parameter that cannot have its value. The message does not contain it, as it may be a slipped password.

    Parameters
    ----------
    name
        The connector.
    said
        The user's connection parameters.

    Raises
    ------
    InvalidOption
        If libpq would refuse a value.
    """
    for parameter, choices in CHOICES.items():
        value = said.get(parameter) or choices[0]
        if value not in choices:
            meant = hint(str(value), choices)
            raise InvalidOption(f"{name}: {parameter} has no such value{meant} Pass one of: {', '.join(choices)}.")
