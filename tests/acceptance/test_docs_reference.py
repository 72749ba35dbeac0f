"""The reference describes everything that users can import, and every docstring says what it has to."""

from __future__ import annotations

import collections
import enum
import importlib
import inspect
import re
import typing
from typing import Any

import pytest
from numpydoc.docscrape import NumpyDocString

from support.reference import Entry, described, members, public_modules, public_names

ENTRIES = described()
# What several classes inherit counts once.
MEMBERS = {path: value for value, path in {value: path for entry in ENTRIES for path, value in members(entry)}.items()}
SELF_EXPLAINING = (BaseException, enum.Enum, dict, tuple, typing.Protocol)  # type: ignore[arg-type]
"""Classes whose arguments are those of Python's own, or described as keys or fields."""


def parameters(value: Any) -> list[str]:
    """Return the names of what is passed to a function or class."""
    found = [name for name in inspect.signature(value).parameters if name not in ("self", "cls") and name[0] != "_"]
    # A name that the class fills in by a leading underscore is not for users.
    return found


def documented(docstring: str, *sections: str) -> set[str]:
    """Return the names that sections of a docstring describe."""
    parsed = NumpyDocString(docstring)
    return {name.lstrip("*") for section in sections for names, _, _ in parsed[section] for name in names.split(", ")}


def names_of(entries: list[Entry]) -> str:
    """Return the names, for the message of a test."""
    return ", ".join(entry.path for entry in entries)


@pytest.mark.parametrize("module", public_modules())
def test_every_public_name_of_a_module_is_described(module: str) -> None:
    known = {id(entry.value) for entry in ENTRIES}
    offered = importlib.import_module(module)
    missing = [
        name
        for name in public_names(offered)
        if id(getattr(offered, name)) not in known and not inspect.ismodule(getattr(offered, name))
    ]
    assert missing == [], f"give {module} a page in docs/reference/api, or the name an underscore"


def test_nothing_is_described_twice() -> None:
    by_value = collections.defaultdict(list)
    for entry in ENTRIES:
        if inspect.isclass(entry.value) or inspect.isfunction(entry.value):
            by_value[id(entry.value)].append(entry)
    twice = [names_of(each) for each in by_value.values() if len({entry.module for entry in each}) > 1]
    assert twice == [], "name it in :exclude-members: of the pages that are not its home"


def test_everything_has_a_docstring() -> None:
    assert [path for path, value in MEMBERS.items() if not inspect.getdoc(value)] == []


def test_docstrings_describe_no_parameter_that_does_not_exist() -> None:
    wrong = {
        path: names
        for path, value in MEMBERS.items()
        if inspect.isfunction(value)
        and (names := documented(inspect.getdoc(value) or "", "Parameters") - set(parameters(value)))
    }
    assert wrong == {}


def test_docstrings_tell_what_each_of_several_parameters_is() -> None:
    silent = {}
    for path, value in MEMBERS.items():
        docstring = inspect.getdoc(value) or ""
        is_class = inspect.isclass(value)
        if isinstance(value, property) or (is_class and issubclass(value, SELF_EXPLAINING)) or re.search("[Tt]akes", docstring):
            continue
        names = [
            name
            for name in parameters(value)
            if name not in documented(docstring, "Parameters", "Attributes") and f"``{name}``" not in docstring
        ]
        # With a single one the first sentence does.
        if names and len(parameters(value)) > 1:
            silent[path] = names
    assert silent == {}, "describe them under Parameters, or write: Takes what `...` does"
