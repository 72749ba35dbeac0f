"""How messages say a number of things, and what is shown of texts that others have written."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """Return ``1 job`` or ``2 jobs``, given ``job``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def verb(number: int, singular: str, plural: str) -> str:
    """Return the form of a verb that goes with a number of things, such as ``is`` or ``are``."""
    return singular if number == 1 else plural


def first_of(shown_ones: Sequence[str], number: int, between: str = ", ") -> str:
    """Return the first of a number of things, and how many more there are, such as ``1, 2 and 3 more``."""
    more = number - len(shown_ones)
    return between.join(shown_ones) + (f" and {more:,} more" if more > 0 and shown_ones else "")


def shown(text: str) -> str:
    """Return a text with its control characters escaped, so that a job's data cannot control the terminal."""
    return "".join(each if each.isprintable() or each == "\n" else repr(each)[1:-1] for each in text)


def amount(number: int, is_capped: bool) -> str:
    """Return a number of jobs, with a plus if there are more."""
    return f"{number:,}" + ("+" if is_capped else "")


def span(seconds: float | None) -> str:
    """Return a span of time in a few characters, such as ``1.5 s`` or ``3 h``."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    for size, unit in ((86_400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
