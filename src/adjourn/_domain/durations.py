"""Spans of time as people write them: ``90``, ``10m``, ``1h30m`` or ``2d``."""

from __future__ import annotations

import math
import re

from adjourn.exceptions import InvalidOption

SECONDS_OF = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
"""Seconds of each unit, the largest first, as they are written."""
_PARTS = re.compile("".join(rf"(?:(?P<{unit}>\d+(?:\.\d+)?)\s*{unit}\s*)?" for unit in SECONDS_OF))


def duration_of(text: str, most: float, *, above_zero: bool = False) -> float:
    """Return the seconds of a span of time.

    Parameters
    ----------
    text
        A number of seconds, or numbers with units, the largest first: ``w``, ``d``, ``h``, ``m`` and ``s``.
    most
        The most seconds that it may be.
    above_zero
        Whether to refuse none at all.

    Raises
    ------
    InvalidOption
        If it is nothing of that, no time at all, or more.
    """
    found = _PARTS.fullmatch(text.strip().lower())
    try:
        seconds = float(text)
    except ValueError:
        seconds = (
            sum(float(found[unit] or 0) * size for unit, size in SECONDS_OF.items())
            if found and found.lastindex
            else math.nan
        )
    if not 0 <= seconds <= most:
        raise InvalidOption(
            f"{text!r} is not a number of seconds between 0 and {most:,.0f}, nor a time such as 10m, 1h30m or 2d"
        )
    if above_zero and seconds == 0:
        raise InvalidOption(f"{text!r} is no time at all: pass a number of seconds above 0, or a time such as 10m")
    return seconds
