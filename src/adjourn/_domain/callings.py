"""What the connections are called that adjourn makes: Postgres shows it as ``application_name`` to whoever looks for who holds a lock."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

APP = "adjourn app"
"""What a pool is called, and a session of which nothing else is said."""
LONGEST = 63
"""How many bytes Postgres shows."""

_name: contextvars.ContextVar[str] = contextvars.ContextVar("adjourn_connection_name", default=APP)


@contextlib.contextmanager
def connecting_as(role: str, name: str = "") -> Iterator[None]:
    """Say what sessions are for that are made meanwhile.

    Parameters
    ----------
    role
        What it is, one word: ``"worker"``.
    name
        Which of them; empty, or the same word, for none in particular.
    """
    which = f" {name}" if name not in ("", role) else ""
    # Postgres shows nothing but printable ASCII.
    shown = "".join(letter if " " <= letter <= "~" else "?" for letter in f"adjourn {role}{which}")
    token = _name.set(shown[:LONGEST])
    try:
        yield
    finally:
        _name.reset(token)


def connection_name() -> str:
    """Return what a session is called that is made now."""
    return _name.get()
