"""How messages say a number of things, and what is shown of texts that others have written."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return ``1 job`` or ``2 jobs``, given ``job``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def verb(number: int, singular: str, plural: str) -> str:
    """Return the form of a verb that goes with a number of things, such as ``is`` or ``are``."""
    return singular if number == 1 else plural


def shown(text: str) -> str:
    """Return a text with its control characters escaped, so that a job's data cannot control the terminal."""
    return "".join(each if each.isprintable() or each == "\n" else repr(each)[1:-1] for each in text)
