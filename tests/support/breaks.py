"""Functions of the schema that are broken for a while, to see that a test notices."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib import resources
from typing import Any

import psycopg
import pytest
from hypothesis import Phase, Verbosity

from adjourn.exceptions import AdjournException
from adjourn.sql.templates import render

HUNT: dict[str, Any] = {
    "phases": [Phase.generate],
    "derandomize": True,
    "database": None,
    "print_blob": False,
    "verbosity": Verbosity.quiet,
    "report_multiple_bugs": False,
}
"""Settings of hypothesis for a property that is to fail."""


@contextlib.contextmanager
def noticed() -> Iterator[None]:
    """Demand that the block notices a break: by an assertion, or because the server refuses something, or does not refuse it."""
    # No other exception will do, or a test that is stopped because it takes too long would have noticed, too.
    with pytest.raises((AssertionError, AdjournException, pytest.fail.Exception), check=_is_no_timeout):
        yield


def _is_no_timeout(error: BaseException) -> bool:
    return not isinstance(error, pytest.fail.Exception) or "DID NOT RAISE" in str(error)


@contextlib.contextmanager
def changed_function(observer: psycopg.Connection, name: str, *changes: tuple[str, str]) -> Iterator[None]:
    """Have a function of the schema other text for as long as the block lasts.

    Parameters
    ----------
    observer
        A connection that is in no transaction.
    name
        The function's name without prefix and version, such as ``"exchange"``.
    *changes
        What to write instead of what; the text has it.
    """
    text = resources.files("adjourn.sql").joinpath("functions", f"{name}_v1.sql").read_text("utf-8")
    text = text.replace("create function", "create or replace function")
    changed = text
    for old, new in changes:
        assert old in changed, f"{name} has no {old!r}"
        changed = changed.replace(old, new)
    try:
        _execute(observer, changed)
        yield
    finally:
        _execute(observer, text)


def _execute(observer: psycopg.Connection, text: str) -> None:
    observer.execute(render(text, "adjourn").encode(), prepare=False)
