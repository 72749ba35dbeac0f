"""What the package offers, and what the reference describes of it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType, ModuleType
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


@dataclass(frozen=True)
class Member:
    """A class, or something to call, that the reference describes; with its docstring and those of what it overrides or extends."""

    path: str
    value: Any
    docstring: str
    inherited: tuple[str, ...] = ()


def members(entry: Entry) -> Iterator[Member]:
    """Yield a function, or a class with its methods and properties; what Python's own classes have is left out."""
    value = entry.value
    if not getattr(value, "__module__", "").startswith("adjourn") or not (
        inspect.isclass(value) or inspect.isfunction(value)
    ):
        return
    parents = value.__mro__[1:] if inspect.isclass(value) else ()
    yield Member(
        entry.path, value, inspect.getdoc(value) or "", tuple(inspect.cleandoc(each.__doc__ or "") for each in parents)
    )
    if not inspect.isclass(value):
        return
    for name in dir(value):
        if name.startswith(("_", "test_")):
            continue
        definitions = [vars(cls)[name] for cls in value.__mro__ if name in vars(cls)]
        owner = next(cls for cls in value.__mro__ if name in vars(cls)) if definitions else object
        found, *overridden = (getattr(each, "__func__", each) for each in definitions or [None])
        is_borrowed = isinstance(found, FunctionType) and not found.__module__.startswith("adjourn")
        if owner.__module__.startswith("adjourn") and isinstance(found, FunctionType | property) and not is_borrowed:
            inherited = tuple(inspect.cleandoc(each.__doc__ or "") for each in overridden)
            yield Member(f"{entry.path}.{name}", found, inspect.cleandoc(found.__doc__ or ""), inherited)
