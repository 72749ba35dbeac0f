"""The headers of a job: texts by names, which go with it beside its arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from adjourn._domain.checks import MAX_NAME_LENGTH, is_storable
from adjourn.exceptions import InvalidOption

MOST_BYTES = 8192
"""What the headers of a job may take, as JSON."""


def checked_headers(headers: Any) -> dict[str, str] | None:
    """Return headers that can be stored, as a dictionary of the job's own; None if there are none.

    Parameters
    ----------
    headers
        Texts by names.

    Raises
    ------
    InvalidOption
        If it is something else, or too large.
    """
    if not isinstance(headers, Mapping):
        raise InvalidOption(f"headers={headers!r}: pass a dictionary of texts by names, or None.")
    for name, value in headers.items():
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_LENGTH:
            raise InvalidOption(f"headers: {name!r} is no name: pass strings of 1 to {MAX_NAME_LENGTH} characters.")
        if not isinstance(value, str):
            raise InvalidOption(f"headers: {name!r} is {value!r}: pass a string; what tasks need goes into arguments.")
        if not (is_storable(name) and is_storable(value)):
            raise InvalidOption(f"headers: {name!r} has NUL characters or lone surrogates, which cannot be stored.")
    if len(dump_headers(headers).encode()) > MOST_BYTES:
        raise InvalidOption(f"headers take more than {MOST_BYTES:,} bytes: pass what tasks need as arguments.")
    return dict(headers) or None


def storable_text(text: str) -> str:
    """Return a text that JSON columns can hold."""
    return "".join(each for each in text if is_storable(each))


def dump_headers(headers: Mapping[str, str]) -> str:
    """Return headers as JSON."""
    return json.dumps(dict(headers), ensure_ascii=False)


def load_headers(text: str | None) -> dict[str, str] | None:
    """Return the headers that are stored as this JSON. Programs of others write the column, too: what is no text is left out."""
    if text is None:
        return None
    stored = json.loads(text)
    if not isinstance(stored, dict):
        return None
    return {name: value for name, value in stored.items() if isinstance(value, str)} or None
