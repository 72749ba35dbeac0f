"""Unique jobs: of those with the same key, one is stored at a time."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import attrs

from adjourn.exceptions import InvalidOption

__all__ = ["Deferred", "Outcome", "Unique"]

Outcome = Literal["stored", "exists", "replaced"]
"""What became of a job that was deferred."""
OnConflict = Literal["raise", "skip", "replace"]

STATES = ("todo", "doing", "succeeded", "failed", "cancelled", "aborted")
ENDED = frozenset(STATES[2:])
ON_CONFLICT = get_args(OnConflict)
LONGEST_KEY = 255
LONGEST_PERIOD = 100 * 366 * 24 * 3600.0


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def _checked_key(key: str | None) -> str | None:
    value: Any = key
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidOption(f"key={value!r}: pass a string or None.")
    if not 0 < len(value) <= LONGEST_KEY:
        raise InvalidOption(f"key={value[:40]!r} has {len(value)} characters: pass between 1 and {LONGEST_KEY}.")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidOption(f"key={value!r}: NUL characters and lone surrogates cannot be stored; leave them out.")
    return value


def _checked_args(args: bool | Sequence[str]) -> bool | tuple[str, ...]:
    value: Any = args
    if isinstance(value, bool):
        return value
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InvalidOption(f"args={value!r}: pass True, False, or a list of names of arguments, such as ['user'].")
    names = tuple(value)
    for name in names:
        if not isinstance(name, str):
            raise InvalidOption(f"args={list(names)!r}: {name!r} is not the name of an argument; pass strings.")
    if not names:
        raise InvalidOption("args=[]: pass False if the arguments do not count, or the names of some.")
    return tuple(dict.fromkeys(names))


def _checked_period(period: float | None) -> float | None:
    value: Any = period
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST_PERIOD:
        takes = "a number of seconds above zero, a hundred years at most, or None"
        raise InvalidOption.no_seconds("period", value, takes)
    return float(value)


def _checked_states(over: Iterable[str]) -> tuple[str, ...]:
    value: Any = over
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InvalidOption(f"over={value!r}: pass a list of statuses, such as ['todo'].")
    given = list(value)
    for state in given:
        if state not in (*STATES, "aborting"):
            raise InvalidOption(f"over: {state!r} is not a status; pass some of {_listed(STATES)}.")
    states = tuple(state for state in STATES if state in given)
    if not states:
        raise InvalidOption(f"over={given!r}: pass at least one of {_listed(STATES)}.")
    return states


def _checked_policy(on_conflict: OnConflict) -> OnConflict:
    if on_conflict not in ON_CONFLICT:
        raise InvalidOption(f"on_conflict={on_conflict!r}: pass one of {_listed(ON_CONFLICT)}.")
    return on_conflict


@attrs.frozen
class Deferred:
    """What became of one job that was deferred.

    Attributes
    ----------
    id
        The id of the job; with ``"exists"`` and ``"replaced"``, of the one that was there already.
    outcome
        ``"stored"``: it is a new job. ``"exists"``: there was one with its unique key, and nothing was changed.
        ``"replaced"``: there was one that waited, which now has the arguments and options of this one.
    """

    id: int
    outcome: Outcome


@attrs.frozen(kw_only=True)
class Unique:
    """Says which jobs of a task are the same, and what happens to the second. Its attributes are its parameters.

    Parameters
    ----------
    key
        The jobs with this text are the same, of whatever task; 1 to 255 characters. Default: None, it is made of the task's
        name and the arguments.
    args
        Which arguments make a job the same: True (the default) for all, False for none, or the names of some. An argument that
        is left out is not the same as one that has the default of the function.
    period
        Only jobs that were deferred less than so many seconds ago count. Default: None, however long ago.
    over
        Only jobs with one of these statuses count. Default: those that wait or run.
    on_conflict
        What happens to a job that is not the first: ``"raise"`` (the default) raises `AlreadyEnqueued`, ``"skip"`` returns the
        id of the one that is there, and ``"replace"`` gives that one the new arguments and options if it waits, and returns its
        id.

    Raises
    ------
    InvalidOption
        If one of the values is not valid; the message names it.
    """

    key: str | None = attrs.field(default=None, converter=_checked_key)
    args: bool | tuple[str, ...] = attrs.field(default=True, converter=_checked_args)
    period: float | None = attrs.field(default=None, converter=_checked_period)
    over: tuple[str, ...] = attrs.field(default=("todo", "doing"), converter=_checked_states)
    on_conflict: OnConflict = attrs.field(default="raise", converter=_checked_policy)

    def __attrs_post_init__(self) -> None:
        if self.key is not None and self.args is not True:
            raise InvalidOption(
                f"args={self.args!r}: with a key, the arguments do not count; leave one of the two out."
            )
        if self.on_conflict == "replace" and "todo" not in self.over:
            raise InvalidOption(f"over={self.over!r}: on_conflict='replace' changes a job that waits, so add 'todo'.")

    @property
    def keeps_seconds(self) -> float | None:
        """For how many seconds a job counts after it was deferred, even if it has ended; None if it does not count then."""
        if ENDED.isdisjoint(self.over):
            return None
        return math.inf if self.period is None else self.period

    def stored_key(self, task_name: str, arguments: str) -> str:
        """Return the text that the same jobs have in common.

        Parameters
        ----------
        task_name
            The name of the job's task.
        arguments
            The job's arguments, as JSON.
        """
        if self.key is not None:
            return f"key {self.key}"
        given = json.loads(arguments) if self.args else {}
        chosen = given if self.args is True else {name: given[name] for name in self.args or () if name in given}
        text = json.dumps([task_name, chosen], sort_keys=True, separators=(",", ":"))
        return f"args {hashlib.sha256(text.encode()).hexdigest()}"
