"""Flags of the command line, each of which can be set in the environment, too.

A flag that is not given is absent from the parsed options, so that a command can tell "not said" from any value. The
environment is read after the command line, for the command that was chosen only: a slip in a worker's variables does
not keep ``adjourn defer`` from working.
"""

from __future__ import annotations

import argparse
import datetime
import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from adjourn._domain.checks import MAX_SECONDS, check_aware
from adjourn.exceptions import InvalidOption

PREFIX = "ADJOURN_"

TRUE = ("1", "y", "yes", "t", "true", "on")
FALSE = ("0", "n", "no", "f", "false", "off")


@attrs.frozen
class Variable:
    """The environment variable behind a flag.

    Attributes
    ----------
    name
        Its name, prefix included.
    convert
        Makes the flag's value of the variable's text.
    rivals
        Destinations of flags that cannot go with this one: where one of them is given, the variable is not read.
    """

    name: str
    convert: Callable[[str], Any]
    rivals: tuple[str, ...] = ()


class Parser(argparse.ArgumentParser):
    """A parser that knows which environment variable stands behind each flag."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, argument_default=argparse.SUPPRESS, **options)
        self.variables: dict[str, Variable] = {}
        self.names: set[str] = set()

    def add_flag(
        self,
        *names: str,
        variable: str,
        help: str,  # noqa: A002 - argparse's name for it
        convert: Callable[[str], Any] = str,
        group: Any = None,
        rivals: tuple[str, ...] = (),
        **options: Any,
    ) -> None:
        """Add a flag, or an argument, that an environment variable can set.

        Parameters
        ----------
        *names
            As the command line spells it.
        variable
            The variable's name without its prefix.
        help
            What it means; the variable's name is added.
        convert
            Makes a value of the text, of the command line or of the variable; raises `argparse.ArgumentTypeError`.
        group
            A group of this parser to add the flag to.
        rivals
            Destinations of flags that cannot go with this one.
        **options
            Further options of `argparse.ArgumentParser.add_argument`.
        """
        self.names.update(names)
        if "action" not in options:
            options["type"] = convert
        text = help if help == argparse.SUPPRESS else f"{help} (environment: {PREFIX}{variable})"
        action = (group or self).add_argument(*names, help=text, **options)
        self.variables[action.dest] = Variable(PREFIX + variable, convert, rivals)

    def read_environment(self, options: argparse.Namespace, environment: Mapping[str, str]) -> None:
        """Add what the environment says of flags that were not given. An empty variable says nothing.

        A value that cannot be converted ends the program with a message that names the variable.
        """
        given = frozenset(vars(options))
        for destination, variable in self.variables.items():
            text = environment.get(variable.name, "")
            if not text or destination in given or not given.isdisjoint(variable.rivals):
                continue
            try:
                setattr(options, destination, variable.convert(text))
            except argparse.ArgumentTypeError as error:
                self.error(f"environment variable {variable.name}: {error}")


def count(text: str) -> int:
    """Read a whole number of one or more."""
    number = integer(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of one or more")
    return number


def integer(text: str) -> int:
    """Read a whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def seconds(text: str) -> float:
    """Read a duration in seconds, from zero to a hundred years."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds between 0 and {MAX_SECONDS:,}")
    return number


def interval(text: str) -> float:
    """Read a duration in seconds, more than zero."""
    number = seconds(text)
    if not number:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above zero")
    return number


def boolean(text: str) -> bool:
    """Read yes or no, as environment variables spell them."""
    word = text.strip().lower()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither yes ({', '.join(TRUE)}) nor no ({', '.join(FALSE)})")


def names(text: str) -> list[str] | None:
    """Read names separated by commas; None for no name."""
    return [name for each in text.split(",") if (name := each.strip())] or None


def moment(text: str) -> datetime.datetime:
    """Read a time in ISO 8601 with its offset from UTC."""
    try:
        value = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2030-12-31T23:59:00+01:00") from None
    if value.utcoffset() is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} does not say in which time zone: add the offset from UTC, as in {value.isoformat()}+00:00"
        )
    try:
        check_aware("TIME", value)
    except InvalidOption:
        raise argparse.ArgumentTypeError(
            f"{text!r} is at an end of the calendar, which not every time zone has"
        ) from None
    return value


def one_of(*choices: str, fold: Callable[[str], str] = str) -> Callable[[str], str]:
    """Return what reads one of some words, ``fold`` evening out how they may be spelled."""

    def choice(text: str) -> str:
        word = fold(text)
        if word not in choices:
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(choices)}")
        return word

    return choice
