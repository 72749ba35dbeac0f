"""How the doctor says spans of time and what is not known."""

from __future__ import annotations


def span(seconds: float | None) -> str:
    """Return a span of time in words, such as ``4 min``; ``an unknown time`` for None."""
    if seconds is None:
        return "an unknown time"
    for size, unit in ((86_400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.3g} s"


def named(value: str | None) -> str:
    """Return a name, quoted; ``no name`` if it is empty or hidden."""
    return repr(value) if value else "no name"
