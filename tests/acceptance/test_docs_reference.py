"""The reference describes everything that users can import, and every docstring says what it has to."""

from __future__ import annotations

import collections
import enum
import importlib
import inspect
import re

import pytest
from numpydoc.docscrape import NumpyDocString

from support.reference import Entry, Member, described, members, public_modules, public_names

ENTRIES = described()
# What several classes inherit counts once.
MEMBERS = list({member.value: member for entry in ENTRIES for member in members(entry)}.values())
FIELDS = (BaseException, enum.Enum, dict, tuple)
"""What these classes are made of is described as attributes, or is Python's own."""
REFERENCE = re.compile(r"[Tt]akes|[Ss]ee `|as `[\w.]+` does|^Refuse: ")
"""How a docstring leads to another that describes the same parameters."""


def parameters(member: Member) -> list[str]:
    """Return the names of what is passed to a function or class. A name with an underscore is not for users."""
    return [
        name
        for name in inspect.signature(member.value).parameters
        if name not in ("self", "cls") and not name.startswith("_")
    ]


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
    assert [member.path for member in MEMBERS if not member.docstring and not any(member.inherited)] == []


def test_docstrings_describe_no_parameter_that_does_not_exist() -> None:
    functions = [member for member in MEMBERS if inspect.isfunction(member.value)]
    wrong = {
        member.path: names
        for member in functions
        if (names := documented(member.docstring, "Parameters") - set(parameters(member)))
    }
    assert wrong == {}


def test_docstrings_tell_what_each_of_several_parameters_is() -> None:
    silent = {}
    for member in MEMBERS:
        is_made_of_fields = inspect.isclass(member.value) and (
            issubclass(member.value, FIELDS) or getattr(member.value, "_is_protocol", False)
        )
        if isinstance(member.value, property) or is_made_of_fields or REFERENCE.search(member.docstring):
            continue
        told = documented(member.docstring, "Parameters", "Attributes")
        for inherited in member.inherited:
            told |= documented(inherited, "Parameters", "Attributes")
        names = [name for name in parameters(member) if name not in told and f"``{name}``" not in member.docstring]
        # With a single one the first sentence does.
        if names and len(parameters(member)) > 1:
            silent[member.path] = names
    assert silent == {}, "describe them under Parameters, or write: Takes what `...` does"
