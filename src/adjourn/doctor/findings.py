"""What a check has found."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from adjourn.doctor.patient import Patient


class Level(enum.StrEnum):
    """How bad it is, from the best to the worst."""

    OK = "ok"
    """Nothing is wrong."""
    UNKNOWN = "unknown"
    """It could not be found out: a right is missing, or the database did not answer in time."""
    WARN = "warn"
    """It will get worse, or it costs speed."""
    CRITICAL = "critical"
    """Jobs do not run, or will soon not."""

    @property
    def rank(self) -> int:
        """Its place in this order."""
        return tuple(Level).index(self)


@attrs.frozen
class Finding:
    """One thing that a check has found.

    Attributes
    ----------
    level
        How bad it is.
    text
        What is the case, in one sentence, with the number.
    remedy
        What to do about it; empty if there is nothing to do. Of what is ok, it may be a hint.
    statement
        A command or SQL to paste; empty if there is none that is safe.
    threshold
        From which number on it counts, and the name under which it can be changed; empty if there is no number.
    """

    level: Level
    text: str
    remedy: str = ""
    statement: str = ""
    threshold: str = ""


@attrs.frozen
class Check:
    """Something that the doctor looks at.

    Attributes
    ----------
    id
        Its name, a word.
    why
        Why it matters to a queue.
    look
        Looks, and yields what it has found: at least one finding.
    needs_schema
        Whether it looks at adjourn's tables.
    """

    id: str
    why: str
    look: Callable[[Patient], Iterator[Finding]]
    needs_schema: bool = False


def ok(text: str, remedy: str = "", statement: str = "") -> Finding:
    """Return the finding that all is well; what is said to do besides makes it better, and nothing is wrong without it. Takes what `Finding` does."""
    return Finding(Level.OK, text, remedy, statement)


def unknown(text: str, remedy: str = "", statement: str = "") -> Finding:
    """Return the finding that something could not be found out. Takes what `Finding` does."""
    return Finding(Level.UNKNOWN, text, remedy, statement)


def warn(text: str, remedy: str, statement: str = "", threshold: str = "") -> Finding:
    """Return the finding of something that will get worse. Takes what `Finding` does."""
    return Finding(Level.WARN, text, remedy, statement, threshold)


def critical(text: str, remedy: str, statement: str = "", threshold: str = "") -> Finding:
    """Return the finding of something that stops jobs, or soon will. Takes what `Finding` does."""
    return Finding(Level.CRITICAL, text, remedy, statement, threshold)
