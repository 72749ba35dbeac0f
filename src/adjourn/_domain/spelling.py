"""Misspelled names of options and arguments: the error names the wrong one, and the one that was probably meant."""

from __future__ import annotations

import difflib
import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar, cast

from adjourn.exceptions import UnknownOption

SIMILARITY = 0.75
"""How alike two names are, from 0 to 1, of which one may be meant for the other."""

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant, or None."""
    folded = name.replace("-", "_").lower()
    by_fold = {each.replace("-", "_").lower(): each for each in known}
    exchanged = [each for each in by_fold if sorted(each) == sorted(folded)]
    found = exchanged or difflib.get_close_matches(folded, by_fold, n=1, cutoff=SIMILARITY)
    return by_fold[found[0]] if found else None


def hint(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?``, or a full stop if no known name comes close."""
    meant = closest(name, known)
    return "." if meant is None else f"; did you mean {meant!r}?"


def dotted_hint(name: str, known: Iterable[str]) -> str:
    """Return what `hint` does, for names such as ``package.module.function``, of which the beginning may be missing."""
    meant = closest(name, known := tuple(known))
    if meant is None:
        by_end = {_end(each): each for each in known}
        end = closest(_end(name), by_end)
        meant = None if end is None else by_end[end]
    return "." if meant is None else f"; did you mean {meant!r}?"


def _end(name: str) -> str:
    return re.split(r"[.:]", name)[-1]


def unknown_option(where: str, name: str, known: Iterable[str]) -> UnknownOption:
    """Return the error for an option that does not exist.

    Parameters
    ----------
    where
        The function, or the argument that holds the options.
    name
        The option.
    known
        The options that exist.
    """
    known = tuple(known)
    return UnknownOption(f"{where}: there is no option {name!r}{hint(name, known)} These are: {', '.join(known)}.")


def names_check(function: Callable[..., Any]) -> Callable[[Mapping[str, Any]], None]:
    """Return a function that refuses keywords which this function does not take."""
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    names = tuple(each.name for each in parameters if each.kind in kinds and each.name != "self")
    known = frozenset(names)
    where = function.__qualname__.rpartition(".")[0] if function.__name__ == "__init__" else function.__name__

    def check(keywords: Mapping[str, Any]) -> None:
        for name in keywords:
            if name not in known:
                raise unknown_option(where, name, [each for each in names if not each.startswith("_")])

    return check


def suggests_names(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function refuse unknown keywords by `UnknownOption`, which suggests the right one.

    The function has no ``**keywords``. Positional arguments are left to Python.
    """
    check = names_check(function)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def checked_async(*args: Any, **keywords: Any) -> Any:
            check(keywords)
            return await function(*args, **keywords)

        return cast("Callable[P, R]", checked_async)

    @functools.wraps(function)
    def checked(*args: P.args, **keywords: P.kwargs) -> R:
        if keywords:
            check(keywords)
        return function(*args, **keywords)

    return checked


def suggests_names_of(kind: type[T]) -> type[T]:
    """Make a class refuse unknown keywords as `suggests_names` does."""
    setattr(kind, "__init__", suggests_names(kind.__init__))  # noqa: B010 - type checkers refuse an assignment
    return kind
