"""Finds the argument with a character that the encoding of the database, or of a connection, does not have.

The error of the database, or of the driver, names the character or its bytes at most.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from adjourn.exceptions import AdjournException, ConnectorException, InvalidOption, InvalidTaskArguments
from adjourn.types import Parameters

_BYTES = re.compile(r"(?:0x[0-9a-f]{2} ?)+")
_REMEDY = (
    "Leave the character out, or use a database and a connection with the encoding UTF8 (`create database ... template "
    "template0 encoding 'UTF8'`)."
)


def is_untranslatable(error: ConnectorException) -> bool:
    """Return whether an error says that an encoding does not have a character."""
    return error.sqlstate == "22P05"


def refused_text(error: ConnectorException, parameters: Parameters) -> AdjournException:
    """Return the error that names the argument whose text the database, or the driver, has refused.

    Parameters
    ----------
    error
        The error of the database or of the driver.
    parameters
        The parameters of the statement, by name.
    """
    found = {name: value for name, value in _texts(parameters) if not value.isascii()}
    character = _character(error)
    holding = {name: value for name, value in found.items() if character is not None and character in value}
    # Arguments are JSON text, in which the character may be escaped.
    name, value = next(iter((holding or _arguments(parameters) or found).items()), ("a text", ""))
    reason = str(error).splitlines()[0].rstrip(".")
    if name.startswith("args"):
        return InvalidTaskArguments(f"The task's arguments have a character that cannot be stored: {reason}. {_REMEDY}")
    return InvalidOption(f"{name}={value!r} has a character that cannot be stored: {reason}. {_REMEDY}")


def _texts(parameters: Parameters) -> Iterator[tuple[str, str]]:
    for name, value in parameters.items():
        if name == "columns":  # of a batch
            yield from _texts(json.loads(value))
        elif isinstance(value, str):
            yield name, value
        elif isinstance(value, list):
            yield from ((f"{name}[{index}]", each) for index, each in enumerate(value) if isinstance(each, str))


def _arguments(parameters: Parameters) -> dict[str, str]:
    return {name: value for name, value in _texts(parameters) if name.startswith("args") and "\\u" in value}


def _character(error: ConnectorException) -> str | None:
    """Return the character that an error names, if it names one."""
    cause = error.__cause__
    if isinstance(cause, UnicodeEncodeError):
        return cause.object[cause.start]
    if match := _BYTES.search(str(error)):
        return bytes.fromhex(match[0].replace("0x", "")).decode("utf-8", "ignore")[:1] or None
    return None
