"""The command ``adjourn``: one module for each command, `flags` for their flags, `logs` for their log records, `exits`
for its exit codes.

The commands of frameworks are made of it as well: they bring an app along, so there is no ``--app``.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence

import adjourn
from adjourn._runtime.signals import end_on
from adjourn.app import App
from adjourn.cli import (
    completion,
    defer,
    demo,
    doctor,
    flags,
    healthchecks,
    logs,
    metrics,
    migrate_code,
    migrate_from_procrastinate,
    pause,
    resume,
    schema,
    shell,
    top,
    web,
    worker,
    worker_health,
)
from adjourn.cli.exits import Exit, code_of, described
from adjourn.exceptions import AdjournException, MissingApp

logger: logging.Logger = logging.getLogger(__name__)

COMMANDS_OF_APPS = (
    worker,
    defer,
    schema,
    healthchecks,
    doctor,
    top,
    web,
    metrics,
    shell,
    pause,
    resume,
    migrate_from_procrastinate,
)
"""The commands that work with an app."""
COMMANDS = (*COMMANDS_OF_APPS, worker_health, migrate_code, completion, demo)
EPILOG = f"""\
`{{prog}} COMMAND --help` explains a command. The options above can also be given after the command.

{described()}
"""


def make_parser(
    prog: str = "adjourn", *, app: Callable[[], App] | None = None, kind: type[flags.Parser] = flags.Parser
) -> flags.Parser:
    """Return the parser of the whole command line.

    Parameters
    ----------
    prog
        What the user has typed before the arguments.
    app
        Returns the app that all commands work with; None if the command line names it.
    kind
        The class of the parser, which says what becomes of an invalid command line.
    """
    parser = kind(prog=prog, description="A PostgreSQL task queue for Python.", epilog=EPILOG.format(prog=prog))
    parser.add_argument("-V", "--version", action="version", version=f"adjourn {adjourn.__version__}")
    _add_global_flags(parser, names_app=app is None)
    if app is not None:
        parser.set_defaults(given_app=app)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS if app is None else COMMANDS_OF_APPS:
        command.add_parser(commands)
    for each in commands.choices.values():
        # Accept them after the command as well, because many people put them there.
        _add_global_flags(each, names_app=app is None, hidden=True)
    parser.commands.update(commands.choices)
    return parser


def _add_global_flags(parser: flags.Parser, *, names_app: bool, hidden: bool = False) -> None:
    def told(text: str) -> str:
        return argparse.SUPPRESS if hidden else text

    if names_app:
        parser.add_flag(
            # After `worker`, -a has another meaning.
            *([] if "-a" in parser.names else ["-a"]),
            "--app",
            variable="APP",
            metavar="PATH",
            help=told(
                "where to import the app from, such as package.module.app; the current directory is searched, too"
            ),
        )
    parser.add_flag(
        "-v",
        "--verbose",
        variable="VERBOSE",
        convert=flags.integer,
        action="count",
        help=told("the same as --log-level=DEBUG; --log-level overrides it; deprecated"),
    )
    parser.add_flag(
        "--log-level",
        variable="LOG_LEVEL",
        convert=flags.one_of(*logs.LEVELS, fold=str.upper),
        metavar="{" + ",".join(logs.LEVELS) + "}",
        help=told("show messages of this level and above; DEBUG shows tracebacks, too; default: INFO"),
    )
    parser.add_flag(
        "--log-format",
        variable="LOG_FORMAT",
        metavar="FORMAT",
        help=told(
            "a format string as in Python's logging, or `json` for one JSON object a line with all fields of a message; "
            "besides the fields of logging, a format can name action, job, worker and duration; "
            f"default: {logs.DEFAULT_FORMAT}".replace("%", "%%")
        ),
    )
    parser.add_flag(
        "--log-format-style",
        variable="LOG_FORMAT_STYLE",
        convert=flags.one_of(*logs.STYLES),
        metavar="STYLE",
        help=told("how the format marks fields, as in Python's logging: %%, { or $; default: %%"),
    )


def parse(arguments: Sequence[str] | None = None, parser: flags.Parser | None = None) -> argparse.Namespace:
    """Read the command line and the environment; if they are invalid, the program ends with exit code 2.

    Parameters
    ----------
    arguments
        The command line without the program's name; None for that of this process.
    parser
        The parser; None for that of the command ``adjourn``.
    """
    parser = make_parser() if parser is None else parser
    options = parser.parse_args(arguments)
    options.parser.read_environment(options, os.environ)
    return options


def configure_logs(options: argparse.Namespace) -> None:
    """Send log records to stderr, as the options say; if they are invalid, the program ends with exit code 2."""
    try:
        logs.configure(
            getattr(options, "log_level", "DEBUG" if getattr(options, "verbose", 0) else "INFO"),
            getattr(options, "log_format", logs.DEFAULT_FORMAT),
            getattr(options, "log_format_style", "%"),
        )
    except ValueError as error:
        options.parser.error(f"--log-format: {error}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    arguments
        The command line without the program's name; None for that of this process.
    """
    end_on(signal.SIGTERM)
    options = parse(arguments)
    configure_logs(options)
    try:
        return run(options)
    except MissingApp as error:
        options.parser.error(str(error))
    except AdjournException as error:
        logger.debug("The cause:", exc_info=error)
        print("adjourn:", " ".join(str(error).split()), file=sys.stderr)
        return code_of(error)
    except BrokenPipeError:
        # The reader has closed the pipe. Without this, Python would report that again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return Exit.REFUSED


def run(options: argparse.Namespace) -> int:
    """Run the command, and flush its output."""
    _warn_of_variables()
    code: int = options.run(options)
    sys.stdout.flush()
    return code


def _warn_of_variables() -> None:
    """Tell of environment variables that look like ours, and are none."""
    for name, meant in flags.unknown_variables(make_parser, os.environ):
        message = "The environment variable %s is ignored: there is none of this name%s"
        logger.warning(message, name, meant, extra={"action": "unknown_variable", "variable": name})
