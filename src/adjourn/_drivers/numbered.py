"""Translate psycopg's named parameters for drivers that number theirs.

adjourn writes ``%(name)s``. asyncpg sends the text to the server as it is, and the server needs ``$1``.
"""

from __future__ import annotations

import functools
import re

from adjourn import exceptions

_PLACEHOLDER = re.compile(r"%(?:%|\((?P<name>[^)]+)\)[sbt]|(?P<wrong>.?))", re.DOTALL)

# Places where a semicolon does not end a command: strings, quoted names, comments, bodies of functions.
_QUOTED = re.compile(
    r"""
      \b[eE]'(?:[^'\\]|''|\\.)*'
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | --[^\n]*
    | /\*.*?\*/
    | (?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$
    """,
    re.DOTALL | re.VERBOSE,
)


def numbered(text: str) -> tuple[str, tuple[str, ...]]:
    """Replace ``%(name)s`` by ``$1``, ``$2``, ... and ``%%`` by a percent sign, wherever they are, as psycopg does.

    Parameters
    ----------
    text
        The text of a statement that is executed with parameters.

    Returns
    -------
    tuple of str and tuple of str
        The new text, and the names of its parameters in the order of their numbers. A name that occurs several times
        has one number.

    Raises
    ------
    ConnectorException
        If the text has any other percent sign.
    """
    return _numbered(text)


@functools.lru_cache(maxsize=512)
def _numbered(text: str) -> tuple[str, tuple[str, ...]]:
    numbers: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        if (wrong := match["wrong"]) is not None:
            raise exceptions.ConnectorException(
                f"The statement has a percent sign before {wrong!r}. Write %(name)s where a value goes, and double the "
                "percent signs of the statement's own."
            )
        if (name := match["name"]) is None:
            return "%"
        return f"${numbers.setdefault(name, len(numbers) + 1)}"

    return _PLACEHOLDER.sub(number, text), tuple(numbers)


def has_several_commands(text: str) -> bool:
    """Tell whether a text has more than one SQL command; if that is hard to tell, return True.

    Drivers that prepare statements can prepare only one command at a time.

    Parameters
    ----------
    text
        The text of a statement that is executed without parameters.

    Returns
    -------
    bool
        Whether a semicolon ends a command before the last one. Those in strings, quoted names, comments and bodies of
        functions end none.
    """
    return ";" in text and _has_inner_semicolon(text)


@functools.lru_cache(maxsize=512)
def _has_inner_semicolon(text: str) -> bool:
    return ";" in _QUOTED.sub(" ", text).rstrip("; \t\r\n")
