"""Flags of the command line, each of which can be set in the environment as well.

A flag that is not given is absent from the parsed options, so that a command can distinguish it from any value. The
environment is read after the command line, and only for the chosen command: a mistake in a worker's variables does not
break ``adjourn defer``.
"""

from __future__ import annotations

import argparse
import datetime
import enum
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import attrs

from adjourn._domain.addresses import address_of
from adjourn._domain.durations import duration_of
from adjourn._domain.options import Option
from adjourn._domain.spelling import closest, hint
from adjourn._domain.time_checks import MAX_SECONDS, check_aware
from adjourn.cli.exits import Exit
from adjourn.exceptions import InvalidOption
from adjourn.types import TimeDeltaParams

PREFIX = "ADJOURN_"

OWN = ("DEFER_", "DOCTOR_", "METRICS_", "WEB_", "WORKER_")
"""How the names of variables go on that belong to a command."""

NONE = "none"
"""The text that means None where a number is expected."""
TRUE = ("1", "y", "yes", "t", "true", "on")
FALSE = ("0", "n", "no", "f", "false", "off")


@attrs.frozen
class Variable:
    """The environment variable behind a flag.

    Attributes
    ----------
    name
        The variable's name, with its prefix.
    convert
        Turns the variable's text into the flag's value.
    rivals
        Destinations of flags that exclude this one: if one of them is given, the variable is not read.
    """

    name: str
    convert: Callable[[str], Any]
    rivals: tuple[str, ...] = ()


NARROWEST = 24
"""A second column that would be narrower is written below the first."""


class Formatter(argparse.HelpFormatter):
    """Wraps each paragraph by itself, and also each line that begins with a blank, such as those of a list."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = (re.split(r"\n(?= )", each) for each in text.strip().split("\n\n"))
        return "\n\n".join("\n".join(_wrapped(line, width) for line in lines) for lines in paragraphs)


def _wrapped(text: str, width: int) -> str:
    # Two blanks or more begin a second column.
    columns = re.match(r" +\S.*?  +", text)
    if columns and width - len(columns[0]) < NARROWEST:
        below = textwrap.fill(text[columns.end() :], width, initial_indent=" " * 6, subsequent_indent=" " * 6)
        return "\n".join([*textwrap.wrap(columns[0].rstrip(), width, subsequent_indent=" " * 4), below])
    hang = " " * len(columns[0]) if columns else ""
    words = text if text.startswith(" ") else " ".join(text.split())
    return textwrap.fill(words, width, subsequent_indent=hang)


class Parser(argparse.ArgumentParser):
    """A parser that knows which environment variable belongs to each flag."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, argument_default=argparse.SUPPRESS, formatter_class=Formatter, **options)
        self.variables: dict[str, Variable] = {}
        self.names: set[str] = set()
        self.spellings: dict[str, str] = {}
        """Where each value came from: the flag, or the variable."""
        self.commands: dict[str, Parser] = {}
        """The parsers of its commands, by their names."""
        self.refusal: Callable[[Sequence[str]], int] = lambda arguments: Exit.REFUSED
        """Returns the exit code for an invalid command line."""
        self._given: Sequence[str] = ()

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
            The flag's names on the command line.
        variable
            The variable's name without its prefix.
        help
            The help text; the variable's name is added.
        convert
            Turns the text of the command line or of the variable into a value; raises `argparse.ArgumentTypeError`.
        group
            A group of this parser to add the flag to.
        rivals
            Destinations of flags that exclude this one.
        **options
            Further options of `argparse.ArgumentParser.add_argument`.
        """
        self.names.update(names)
        if "action" not in options:
            options["type"] = convert
        words = ", yes or no" if convert is boolean else ""
        text = help if help == argparse.SUPPRESS else f"{help} (environment: {PREFIX}{variable}{words})"
        action = (group or self).add_argument(*names, help=text, **options)
        self.variables[action.dest] = Variable(PREFIX + variable, convert, rivals)
        self.spellings[action.dest] = action.option_strings[-1] if action.option_strings else str(action.metavar)

    def add_option(
        self,
        name: str,
        option: Option,
        command: str,
        *,
        default: Any = None,
        group: Any = None,
        rivals: tuple[str, ...] = (),
    ) -> None:
        """Add the flag of an option that is declared elsewhere. This converts text to a value; the option's owner
        checks it.

        Parameters
        ----------
        name
            The option's name in Python, and in the parsed options.
        option
            The option's description.
        command
            The command, with which the name of the environment variable begins.
        default
            The value if the option is not given, for the help.
        group
            A group of this parser to add the flag to.
        rivals
            Names of options that cannot go with this one.
        """
        flag = option.flag_for(name)
        spelled = [f"-{option.letter}", flag] if option.letter else [flag]
        variable = option.variable_for(name, command)
        if option.off is None:
            self.add_flag(
                *spelled,
                dest=name,
                variable=variable,
                convert=reader(option),
                group=group,
                rivals=rivals,
                metavar=metavar_of(option),
                help=help_of(option, default),
            )
        else:
            group = group or self.add_mutually_exclusive_group()
            on_text, off_text = (
                f"{text}; the default" if default is value else text
                for value, text in ((True, option.sentence), (False, option.off[1]))
            )
            self.add_flag(
                *spelled,
                dest=name,
                variable=variable,
                convert=boolean,
                group=group,
                action="store_const",
                const=True,
                help=on_text,
            )
            group.add_argument(option.off[0], dest=name, action="store_const", const=False, help=off_text)

    def refuse(self, error: InvalidOption) -> NoReturn:
        """End the program with an error message that names an option as it was given: by its flag or variable."""
        # A single word is the option's name only at the beginning of the message.
        anywhere = "|".join(name for name in self.spellings if "_" in name) or "(?!)"
        name = re.compile(rf"^(?:{'|'.join(self.spellings)})\b|(?<![\w'\"])(?:{anywhere})(?![\w'\"])")
        self.error(name.sub(lambda match: self.spellings[match[0]], str(error)))

    def parse_args(self, args: Any = None, namespace: Any = None) -> argparse.Namespace:  # type: ignore[override]
        """Parse a command line; for a flag that does not exist, the error suggests one that does."""
        options: argparse.Namespace
        options, rest = self.parse_known_args(args, namespace)
        if rest:
            parser: Parser = getattr(options, "parser", self)
            wrong = next((each.partition("=")[0] for each in rest if each.startswith("-")), rest[0])
            flags = [*re.findall(r"--\w[\w-]*", parser.format_help()), *parser.names, *self.names]
            what = "option" if wrong.startswith("-") else "argument"
            parser.error(f"there is no {what} {wrong!r}{hint(wrong, flags if what == 'option' else ())}")
        return options

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Parse the arguments that it knows, and remember all of them."""
        self._given = tuple(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """End the program with an error message; for a word that is not one of several, it suggests the closest."""
        if found := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
            meant = closest(found[1], re.findall(r"[\w-]+", found[2]))
            message += "" if meant is None else f"; did you mean {meant!r}?"
        self.end(message)

    def end(self, message: str) -> NoReturn:
        """End the program because of an invalid command line."""
        self.print_usage(sys.stderr)
        self.exit(self.refusal(self._given), f"{self.prog}: error: {message}\n")

    def read_environment(self, options: argparse.Namespace, environment: Mapping[str, str]) -> None:
        """Add the environment's values of flags that were not given. An empty variable counts as not set.

        A value that cannot be converted ends the program with a message that names the variable.
        """
        given = frozenset(vars(options))
        for destination, variable in self.variables.items():
            text = environment.get(variable.name, "")
            if not text or destination in given or not given.isdisjoint(variable.rivals):
                continue
            try:
                setattr(options, destination, variable.convert(text))
                self.spellings[destination] = variable.name
            except argparse.ArgumentTypeError as error:
                self.error(f"environment variable {variable.name}: {error}")


def unknown_variables(make_parser: Callable[[], Parser], environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the environment variables that were probably meant for the command line, which has none of their names, each
    with the hint at the one that was meant.

    Parameters
    ----------
    make_parser
        Returns the parser of the whole command line; called only if a variable begins as ours do.
    environment
        The environment.
    """
    given = {name.removeprefix(PREFIX) for name in environment if name.startswith(PREFIX)}
    if not given:
        return
    parser = make_parser()
    parsers = (parser, *parser.commands.values())
    known = {variable.name.removeprefix(PREFIX) for each in parsers for variable in each.variables.values()}
    for name in sorted(given - known):
        meant = closest(name, known)
        # Others are the program's own.
        if meant is not None or name.startswith(OWN):
            yield PREFIX + name, "." if meant is None else f"; did you mean {PREFIX + meant!r}?"


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


def number(text: str) -> float:
    """Read a number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def seconds(text: str) -> float:
    """Read a duration, such as ``90``, ``10m`` or ``1h30m``, from zero to a hundred years."""
    return _duration(text, above_zero=False)


def some_seconds(text: str) -> float:
    """Read such a duration above zero."""
    return _duration(text, above_zero=True)


def _duration(text: str, *, above_zero: bool) -> float:
    try:
        return duration_of(text, MAX_SECONDS, above_zero=above_zero)
    except InvalidOption as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def address(text: str) -> tuple[str, int]:
    """Read where to listen, as ``HOST:PORT``."""
    try:
        return address_of("the address", text)
    except InvalidOption:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8180 or [::1]:8180") from None


def boolean(text: str) -> bool:
    """Read yes or no, as environment variables spell them."""
    word = text.strip().lower()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither yes ({', '.join(TRUE)}) nor no ({', '.join(FALSE)})")


def later(text: str) -> TimeDeltaParams:
    """Read a duration in seconds as keywords of `datetime.timedelta`."""
    return {"seconds": seconds(text)}


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


def moment_to_come(text: str) -> datetime.datetime:
    """Read a time with its offset from UTC that has not passed, by the clock of this machine."""
    value = moment(text)
    if value <= datetime.datetime.now(datetime.UTC):
        raise argparse.ArgumentTypeError(f"{text!r} has passed: pass a time to come")
    return value


def one_of(*choices: str, fold: Callable[[str], str] = str) -> Callable[[str], str]:
    """Return a function that reads one of some words; ``fold`` is applied to the text first."""

    def choice(text: str) -> str:
        word = fold(text)
        if word not in choices:
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(choices)}")
        return word

    return choice


NUMBERS = (int, float)
READERS: dict[type, Callable[[str], Any]] = {
    str: str,
    int: integer,
    float: number,
    bool: boolean,
    list: names,
    datetime.datetime: moment,
    datetime.timedelta: later,
}


def reader(option: Option) -> Callable[[str], Any]:
    """Return the function that converts an option's text to its value."""
    if option.reads is None:
        raise TypeError("an option that no text can say has no flag")
    if issubclass(option.reads, enum.StrEnum):
        return one_of(*option.reads, fold=str.lower)
    read = READERS[option.reads]
    if option.none and option.reads in NUMBERS:
        return lambda text: None if text.lower() == NONE else read(text)
    return read


def metavar_of(option: Option) -> str | None:
    """Return the placeholder for an option's value in ``--help``; None for the option's name."""
    if option.reads is not None and issubclass(option.reads, enum.StrEnum):
        return "{" + ",".join(option.reads) + "}"
    return option.metavar or option.unit.upper() or None


def help_of(option: Option, default: Any) -> str:
    """Return the ``--help`` text of an option that takes a value."""
    what = ": ".join(filter(None, (option.sentence, option.as_text)))
    if default is None:
        shown = f"{NONE} ({option.none})" if option.reads in NUMBERS else option.none
    else:
        shown = f"{default:g}" if isinstance(default, float) else str(default)
    return f"{what}; default: {shown}".replace("``", "").replace("%", "%%")
