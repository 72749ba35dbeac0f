"""Functions of the schema that are broken for a while, to see that a test notices."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib import resources
from typing import Any

import psycopg
from hypothesis import Phase, Verbosity

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
