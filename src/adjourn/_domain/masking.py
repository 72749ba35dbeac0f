"""Hides values that nobody but their task should read, before arguments and errors are shown."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeAlias

from adjourn._domain.checks import checked_names
from adjourn.exceptions import InvalidOption

Mask: TypeAlias = Callable[[str], str]
"""Hides in a text, such as a traceback, what was hidden in the arguments."""

HIDDEN = "***"
SECRET_NAMES: re.Pattern[str] = re.compile(
    r"password|passwd|secret|token|api_?key|auth(?!or(?!i[sz]))|credential|cookie|private_key|session|ssn|iban|(?<!dis)card(?!inal)",
    re.IGNORECASE,
)
"""A value is hidden if its name contains one of these, at any depth. An author has no secrets."""
SHORTEST = 6
"""Characters of a hidden text that is looked for elsewhere: shorter ones would be found everywhere."""


Names: TypeAlias = Collection[str]
HEADER = "adjourn-sensitive"
"""The header of a job that names the arguments which its task has declared sensitive, so that everybody knows who sees the job."""
MOST_CHARACTERS = 1000
DEEPEST = 100
"""What is deeper in a value is hidden as a whole. Values of any depth can be stored, and Python cannot walk through all of them."""


def masked(value: Any, names: Names = (), _depth: int = 0) -> Any:
    """Return arguments with their secret values hidden: those whose names look secret, and those with one of these names, at any depth."""
    if not isinstance(value, dict | list | tuple):
        return value
    if _depth > DEEPEST:
        return HIDDEN
    if isinstance(value, dict):
        return {
            name: HIDDEN if name in names or _is_secret(name) else masked(each, names, _depth + 1)
            for name, each in value.items()
        }
    return [masked(each, names, _depth + 1) for each in value]


def has_secrets(value: Any, names: Names = ()) -> bool:
    """Return whether `masked` hides something of these arguments because of its name."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            if any(name in names or _is_secret(name) for name in each):
                return True
            left += each.values()
        elif isinstance(each, list | tuple):
            left += each
    return False


def mask_of(arguments: Any, names: Names = ()) -> Mask:
    """Return a function that hides the secret values of these arguments in other texts, as `masked` does in the arguments."""
    found = {text for text in _secrets(arguments, names) if len(text) >= SHORTEST}
    # What a string holds stands otherwise in its representation and in JSON, and these are in tracebacks and messages.
    written = {each for text in found for each in (text, repr(text)[1:-1], json.dumps(text)[1:-1])}
    if not written:
        return str
    pattern = re.compile("|".join(map(re.escape, sorted(written, key=len, reverse=True))))
    return lambda text: pattern.sub(HIDDEN, text)


def masked_texts(value: Any, mask: Mask, depth: int = 0) -> Any:
    """Return a value of JSON with a mask applied to all its texts and numbers."""
    if isinstance(value, dict | list | tuple) and depth > DEEPEST:
        return HIDDEN
    if isinstance(value, dict):
        return {name: masked_texts(each, mask, depth + 1) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [masked_texts(each, mask, depth + 1) for each in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if mask(str(value)) == str(value) else HIDDEN
    return mask(value) if isinstance(value, str) else value


def checked_sensitive(names: Any, check: Callable[[str], object]) -> tuple[str, ...]:
    """Return the names of sensitive arguments.

    Parameters
    ----------
    names
        What a task has declared.
    check
        Refuses the name of an argument that the task does not take.

    Raises
    ------
    InvalidOption
        If it is something else.
    """
    given = checked_names("sensitive", names) or ()
    for name in given:
        if "," in name:
            raise InvalidOption(f"sensitive: {name!r} has a comma: pass the names of arguments, one each.")
        check(name)
    if len(",".join(given)) > MOST_CHARACTERS:
        raise InvalidOption(
            f"sensitive: the names have more than {MOST_CHARACTERS:,} characters: put these arguments into one dictionary."
        )
    return given


def with_sensitive(headers: Mapping[str, str] | None, names: Names) -> dict[str, str]:
    """Return headers that name these arguments as well."""
    return {**(headers or {}), HEADER: ",".join(names)}


def sensitive_of(headers: Mapping[str, str] | None) -> frozenset[str]:
    """Return the names that headers have."""
    text = headers.get(HEADER) if headers else None
    return frozenset(text.split(",")) if text else frozenset()


def _is_secret(name: Any) -> bool:
    return isinstance(name, str) and _looks_secret(name)


@functools.lru_cache(maxsize=10_000)
def _looks_secret(name: str) -> bool:
    return SECRET_NAMES.search(name) is not None


def _secrets(arguments: Any, names: Names) -> Iterator[str]:
    left: list[tuple[Any, bool]] = [(arguments, False)]
    while left:
        value, is_within = left.pop()
        if isinstance(value, dict):
            left += [(each, is_within or name in names or _is_secret(name)) for name, each in value.items()]
        elif isinstance(value, list | tuple):
            left += [(each, is_within) for each in value]
        elif is_within and isinstance(value, str):
            yield value
        elif is_within and isinstance(value, int | float) and not isinstance(value, bool):
            yield str(value)
