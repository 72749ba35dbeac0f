"""How far a job has come, as its task says."""

from __future__ import annotations

import datetime
import json
import math
from typing import Any

import attrs

from adjourn._domain.times import time_of
from adjourn.exceptions import InvalidOption

LONGEST_MESSAGE = 1_000
"""Characters of a message that are kept."""


@attrs.frozen
class Progress:
    """How far a job has come.

    Attributes
    ----------
    current
        How much is done.
    total
        Of how much; None if that is not known.
    message
        What it is doing; None if it has not said.
    at
        When that was stored, by the database's clock.
    """

    current: float
    total: float | None
    message: str | None
    at: datetime.datetime


def progress_text(current: float, total: float | None, message: str | None) -> str:
    """Return what a task says of its progress as JSON.

    Raises
    ------
    InvalidOption
        If the numbers are no finite numbers, or the message is no text.
    """
    _check_number("current", current)
    if total is not None:
        _check_number("total", total)
    if message is not None and not isinstance(message, str):
        raise InvalidOption(f"message={message!r}: pass a text, or None.")
    if message is not None:
        message = message[:LONGEST_MESSAGE].replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")
    return json.dumps({"current": current, "total": total, "message": message})


def progress_of(text: str | None) -> Progress | None:
    """Return the progress that is stored as this JSON, if any."""
    if text is None:
        return None
    stored: dict[str, Any] = json.loads(text)
    return Progress(stored["current"], stored.get("total"), stored.get("message"), time_of(stored["at"]))


def _check_number(argument: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidOption(f"{argument}={value!r}: pass a number.")
