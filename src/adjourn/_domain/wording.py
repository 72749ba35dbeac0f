"""How messages say a number of things."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return ``1 job`` or ``2 jobs``, given ``job``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
