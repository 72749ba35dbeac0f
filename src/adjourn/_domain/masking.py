"""Hides values that nobody but their task should read, before arguments and errors are shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

Mask: TypeAlias = Callable[[str], str]
"""Hides in a text, such as a traceback, what was hidden in the arguments."""

HIDDEN = "***"
SECRET_NAMES: re.Pattern[str] = re.compile(
    r"password|passwd|secret|token|api_?key|auth|credential|cookie|private_key|session|ssn|iban|card", re.IGNORECASE
)
"""A value is hidden if its name contains one of these, at any depth."""
SHORTEST = 6
"""Characters of a hidden text that is looked for elsewhere: shorter ones would be found everywhere."""


def masked(value: Any) -> Any:
    """Return arguments with their secret values hidden."""
    if isinstance(value, dict):
        return {name: HIDDEN if _is_secret(name) else masked(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [masked(each) for each in value]
    return value


def mask_of(arguments: Any) -> Mask:
    """Return a function that hides the secret texts of these arguments in other texts."""
    secrets = sorted({text for text in _secrets(arguments, False) if len(text) >= SHORTEST}, key=len, reverse=True)
    if not secrets:
        return str
    found = re.compile("|".join(map(re.escape, secrets)))
    return lambda text: found.sub(HIDDEN, text)


def _is_secret(name: Any) -> bool:
    return isinstance(name, str) and SECRET_NAMES.search(name) is not None


def _secrets(value: Any, is_secret: bool) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _secrets(each, is_secret or _is_secret(name))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _secrets(each, is_secret)
    elif is_secret and isinstance(value, str):
        yield value
