"""What the package offers, and what the reference describes of it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import adjourn
from adjourn import connectors, contrib
from support.pages import ROOT

NOT_FOR_USERS = {
    "adjourn.cli": "the page on the command line describes it",
    "adjourn.demo": "the page on the command line describes it",
    "adjourn.sql": "the text of statements, which managers execute",
}
"""Top-level modules that the reference leaves out, and why."""


@dataclass(frozen=True)
class Entry:
    """A name that the reference describes: where, and what it stands for."""

    module: str
    name: str
    value: Any

    @property
    def path(self) -> str:
        """The name with its module."""
        return f"{self.module}.{self.name}"


def public_modules() -> list[str]:
    """Return the modules that users import from."""
    found = ["adjourn"]
    for package in (adjourn, connectors, contrib):
        found += [
            f"{package.__name__}.{each.name}"
            for each in pkgutil.iter_modules(package.__path__)
            if not each.name.startswith("_")
        ]
    return [name for name in found if name not in NOT_FOR_USERS]


def public_names(module: ModuleType) -> list[str]:
    """Return what a module offers: what it says, or else the classes and functions that it defines."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    ]


def described() -> list[Entry]:
    """Return what the pages of the reference describe."""
    found = []
    for page in sorted((ROOT / "docs" / "reference" / "api").glob("*.md")):
        for name, options in re.findall(r"^\.\. automodule:: (\S+)\n((?:   :.*\n)*)", page.read_text("utf-8"), re.M):
            if ":no-members:" in options:
                continue
            excluded = re.search(r":exclude-members: (.*)", options)
            left_out = re.split(r",\s*", excluded[1]) if excluded else []
            module = importlib.import_module(name)
            found += [Entry(name, each, getattr(module, each)) for each in public_names(module) if each not in left_out]
    return found


def members(entry: Entry) -> Iterator[tuple[str, Any]]:
    """Yield a described class's or function's callables, each with its path."""
    value = entry.value
    if inspect.isfunction(value):
        yield entry.path, value
    if not inspect.isclass(value):
        return
    yield entry.path, value
    for name, member in inspect.getmembers_static(value):
        if name.startswith(("_", "test_")):
            continue
        owner = next(cls for cls in value.__mro__ if name in vars(cls))
        if not owner.__module__.startswith("adjourn"):
            continue
        if isinstance(member, staticmethod | classmethod):
            member = member.__func__
        if inspect.isfunction(member) or isinstance(member, property):
            yield f"{entry.path}.{name}", member
