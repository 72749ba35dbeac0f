"""Arrays as the text that Postgres reads.

Each driver would look into every element of a list, and the drivers write it in ways of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def array_of_numbers(numbers: Iterable[float | None]) -> str:
    """Return numbers, or None for null, as the text of an array."""
    return "{" + ",".join(["null" if number is None else str(number) for number in numbers]) + "}"


def array_of_few(numbers: Sequence[float | None]) -> str:
    """Return numbers that are mostly the same ones, or None for null, as the text of an array: each is written once."""
    written = {number: "null" if number is None else str(number) for number in set(numbers)}
    return "{" + ",".join([written[number] for number in numbers]) + "}"


def array_of_flags(flags: Iterable[bool | None]) -> str:
    """Return flags, or None for null, as the text of an array."""
    return "{" + ",".join(["null" if flag is None else "true" if flag else "false" for flag in flags]) + "}"


def array_of_words(words: Iterable[str]) -> str:
    """Return words of the program's own, without quotes and backslashes, as the text of an array."""
    return '{"' + '","'.join(words) + '"}'


def array_of_texts(texts: Iterable[str | None]) -> str:
    """Return texts, or None for null, as the text of an array."""
    return "{" + ",".join(map(_element, texts)) + "}"


def _element(text: str | None) -> str:
    if text is None:
        return "null"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
