"""The command ``adjourn``: one module a command, `flags` for what they take, `logs` for what they say.

Exit codes: 0 for done, 1 for what failed (with one line on stderr that says why), 2 for a command line or an
environment that makes no sense.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

import adjourn
from adjourn.cli import defer, demo, flags, healthchecks, logs, schema, shell, worker
from adjourn.exceptions import AdjournException, MissingApp

logger: logging.Logger = logging.getLogger(__name__)

COMMANDS = (worker, defer, schema, healthchecks, shell, demo)
EPILOG = """\
Exit codes: 0 done, 1 failed (stderr says why), 2 a command line or an environment that makes no sense.
`adjourn COMMAND --help` tells more of a command.
"""


def make_parser() -> flags.Parser:
    """Return the parser of the whole command line."""
    parser = flags.Parser(
        prog="adjourn",
        description="A PostgreSQL task queue for Python.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-V", "--version", action="version", version=f"adjourn {adjourn.__version__}")
    _add_global_flags(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    for each in commands.choices.values():
        # After the command they go as well, where people look for them first.
        _add_global_flags(each, hidden=True)
    return parser


def _add_global_flags(parser: flags.Parser, *, hidden: bool = False) -> None:
    def told(text: str) -> str:
        return argparse.SUPPRESS if hidden else text

    parser.add_flag(
        # Behind `worker`, -a has another meaning.
        *([] if "-a" in parser.names else ["-a"]),
        "--app",
        variable="APP",
        metavar="PATH",
        help=told("where the app is, such as package.module.app; modules in the current directory are found"),
    )
    parser.add_flag(
        "-v",
        "--verbose",
        variable="VERBOSE",
        convert=flags.integer,
        action="count",
        help=told("the same as --log-level=DEBUG, which has the last word; deprecated"),
    )
    parser.add_flag(
        "--log-level",
        variable="LOG_LEVEL",
        convert=flags.one_of(*logs.LEVELS, fold=str.upper),
        metavar="{" + ",".join(logs.LEVELS) + "}",
        help=told("how important a message must be to be shown; DEBUG shows tracebacks, too; default: INFO"),
    )
    parser.add_flag(
        "--log-format",
        variable="LOG_FORMAT",
        metavar="FORMAT",
        help=told(
            "the format of messages, as of Python's logging, or `json` for one JSON object a line with all that a "
            "message carries; besides logging's own, formats can name the fields action, job, worker and duration; "
            f"default: {logs.DEFAULT_FORMAT}".replace("%", "%%")
        ),
    )
    parser.add_flag(
        "--log-format-style",
        variable="LOG_FORMAT_STYLE",
        convert=flags.one_of(*logs.STYLES),
        metavar="STYLE",
        help=told("the style of that format, as of Python's logging: %%, { or $; default: %%"),
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line and the environment; what makes no sense ends the program with exit code 2.

    Parameters
    ----------
    arguments
        The command line without the program's name; None for that of this process.
    """
    parser = make_parser()
    options = parser.parse_args(arguments)
    options.parser.read_environment(options, os.environ)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    arguments
        The command line without the program's name; None for that of this process.
    """
    options = parse(arguments)
    try:
        logs.configure(
            getattr(options, "log_level", "DEBUG" if getattr(options, "verbose", 0) else "INFO"),
            getattr(options, "log_format", logs.DEFAULT_FORMAT),
            getattr(options, "log_format_style", "%"),
        )
    except ValueError as error:
        options.parser.error(f"--log-format: {error}")
    try:
        return run(options)
    except MissingApp as error:
        options.parser.error(str(error))
    except AdjournException as error:
        logger.debug("What led to it:", exc_info=error)
        print("adjourn:", " ".join(str(error).split()), file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read our answer has read enough. Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return 2


def run(options: argparse.Namespace) -> int:
    """Run the command, and write out what it answered."""
    code: int = options.run(options)
    sys.stdout.flush()
    return code
