"""Limits: how many jobs of a queue, of a task or of each key run at once, and how many start in a period of time."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import attrs

from adjourn.exceptions import InvalidOption

__all__ = ["Limit", "LimitState", "Pause", "Rate", "Scope"]

Scope = Literal["queue", "task", "key"]
"""What a limit is for: the jobs of a queue, those of a task, or those of each key."""

LARGEST = 2**31 - 1
LONGEST_PERIOD = 366 * 24 * 3600.0
LONGEST_NAME = 255


def _checked_number(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
        raise InvalidOption(f"{name}={value!r}: pass an integer from 1 to {LARGEST:,}.")
    return value


def checked_text(name: str, value: Any) -> str:
    """Return a text that can be stored as the name or the key of a limit.

    Raises
    ------
    InvalidOption
        If it is not a string of 1 to 255 characters, or cannot be stored.
    """
    if not isinstance(value, str):
        raise InvalidOption(f"{name}={value!r}: pass a string.")
    if not 0 < len(value) <= LONGEST_NAME:
        raise InvalidOption(f"{name}={value[:40]!r} has {len(value)} characters: pass between 1 and {LONGEST_NAME}.")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidOption(f"{name}={value!r}: NUL characters and lone surrogates cannot be stored; leave them out.")
    return value


@attrs.frozen(init=False)
class Rate:
    """At most so many starts in any period of so many seconds.

    It is exact over all workers: whichever moment the period begins at, no more jobs are claimed within it. A job that is retried starts
    again.

    Parameters
    ----------
    limit
        How many, at least 1.
    period
        Seconds, more than 0. Default: 1.

    Raises
    ------
    InvalidOption
        If one of them is not valid.
    """

    limit: int
    period: float

    def __init__(self, limit: int, period: float = 1.0) -> None:
        seconds: Any = period
        _checked_number("limit", limit)
        if (
            not isinstance(seconds, (int, float))
            or isinstance(seconds, bool)
            or not math.isfinite(seconds)
            or not 0 < seconds <= LONGEST_PERIOD
        ):
            raise InvalidOption.no_seconds("period", period, "a number of seconds above 0, at most those of a year")
        self.__attrs_init__(limit, float(seconds))  # pyright: ignore[reportAttributeAccessIssue]


Key = str | Sequence[str] | Callable[[dict[str, Any]], str]


@attrs.frozen(init=False)
class Limit:
    """How many jobs run at once, and how many start in a period of time.

    In ``limits`` of a task, without a key, it is for all jobs of the task; with a key, for those of each key: each tenant, each user. In
    ``queue_limits`` of an app it is for all jobs of the queue.

    Parameters
    ----------
    concurrency
        How many run at once, over all workers. Default: None, any number.
    rate
        How many start in a period, or several such rates, all of which hold. Default: None, any number.
    key
        What the job's key is: the name of an argument, several names, or a function of the dictionary of arguments that returns a
        string. Default: None, no key.
    name
        Limits of several tasks with the same name count together. Default: None, the task's name. For one with a key only.

    Raises
    ------
    InvalidOption
        If there is neither ``concurrency`` nor ``rate``, or if one of the values is not valid.
    """

    concurrency: int | None
    rate: tuple[Rate, ...]
    key: str | tuple[str, ...] | Callable[[dict[str, Any]], str] | None
    name: str | None

    def __init__(
        self,
        *,
        concurrency: int | None = None,
        rate: Rate | Sequence[Rate] | None = None,
        key: Key | None = None,
        name: str | None = None,
    ) -> None:
        if concurrency is not None:
            _checked_number("concurrency", concurrency)
        rates = checked_rates(rate)
        if concurrency is None and not rates:
            raise InvalidOption("Limit: pass concurrency, rate or both.")
        if name is not None:
            checked_text("name", name)
            if key is None:
                raise InvalidOption(
                    f"name={name!r}: pass a key as well; a limit without one has the name of its task or queue."
                )
        self.__attrs_init__(concurrency, rates, _checked_key(key), name)  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of the arguments that the key is made of; empty without a key, and for a function."""
        if isinstance(self.key, str):
            return (self.key,)
        return self.key if isinstance(self.key, tuple) else ()

    @property
    def rates(self) -> list[list[float]] | None:
        """The rates as they are stored; None for none."""
        return [[rate.limit, rate.period] for rate in self.rate] or None

    def key_of(self, arguments: Mapping[str, Any]) -> str:
        """Return the key of a job with these arguments.

        Raises
        ------
        InvalidOption
            If the key is not a string of 1 to 255 characters, or an argument is missing.
        """
        if callable(self.key):
            return checked_text("limit_key", self.key(dict(arguments)))
        for name in self.arguments:
            if name not in arguments:
                raise InvalidOption(
                    f"The job has no argument {name!r}, which is the key of a limit: pass it, or configure(limit_key=...)."
                )
        values = [arguments[name] for name in self.arguments]
        if len(values) == 1:
            value = values[0]
            return checked_text(
                "limit_key", str(value) if isinstance(value, int) and not isinstance(value, bool) else value
            )
        return checked_text("limit_key", " ".join(map(repr, values)))


def checked_rates(rate: Any) -> tuple[Rate, ...]:
    """Return rates as a tuple.

    Raises
    ------
    InvalidOption
        If one of them is not a `Rate`.
    """
    if rate is None:
        return ()
    rates = (rate,) if isinstance(rate, Rate) else tuple(rate) if isinstance(rate, Iterable) else (rate,)
    for each in rates:
        if not isinstance(each, Rate):
            raise InvalidOption(f"rate={rate!r}: pass a Rate, such as Rate(10, 1), or a list of them.")
    return rates


def _checked_key(key: Any) -> Any:
    if key is None or callable(key):
        return key
    names = (key,) if isinstance(key, str) else tuple(key) if isinstance(key, Iterable) else (key,)
    for name in names:
        if not isinstance(name, str) or not name:
            raise InvalidOption(f"key={key!r}: pass the name of an argument, a list of names, or a function.")
    if not names:
        raise InvalidOption(f"key={key!r}: pass the name of an argument, or None.")
    return key if isinstance(key, str) else names


@attrs.frozen(kw_only=True)
class LimitState:
    """A limit as it is in the database, from ``list_limits``.

    Attributes
    ----------
    scope, name
        What it is for: a queue or a task of this name, or each key of limits of this name.
    concurrency, rate
        Its numbers. One without any limits nothing.
    declared
        Whether programs have declared it. If not, it was set with ``set_limit``.
    held
        How many jobs have a place under it: they run, or are about to.
    waiting
        How many jobs wait for one.
    """

    scope: Scope
    name: str
    concurrency: int | None
    rate: tuple[Rate, ...]
    declared: bool
    held: int
    waiting: int


@attrs.frozen(kw_only=True)
class Pause:
    """A queue, a task or a schedule that is paused, from ``list_pauses``.

    Attributes
    ----------
    scope, name
        Which: ``queue``, ``task`` or ``schedule``, and its name; that of a schedule is the name of its periodic task.
    paused_at
        Since when, by the database's clock.
    periodic_id
        Tells several schedules of one task apart; empty for a queue or a task.
    ends_at
        When it ends by itself, by the database's clock; None: when somebody resumes it.
    paused_by, reason
        Who has paused it, and why; None if that was not said.
    """

    scope: Literal["queue", "task", "schedule"]
    name: str
    paused_at: datetime.datetime
    periodic_id: str = ""
    ends_at: datetime.datetime | None = None
    paused_by: str | None = None
    reason: str | None = None


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = _Unset()
"""Stands for a value that was not given."""
