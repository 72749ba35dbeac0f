"""``adjourn defer``: store a job."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import Any, cast

from adjourn._domain.job_options import JOB_OPTIONS
from adjourn.app import App
from adjourn.cli import applications, flags
from adjourn.exceptions import AlreadyEnqueued, InvalidOption, InvalidTaskArguments
from adjourn.types import ConfigureOptions, JSONDict

logger: logging.Logger = logging.getLogger(__name__)

TIMES = frozenset({"schedule_at", "schedule_in"})
"""Options of which a job may have at most one."""
HELP = "store a job"
DESCRIPTION = """\
Store a job for a task, for a worker to run, and print the job's id.

A flag overrides its environment variable, which overrides the options that the task was declared with.
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser: flags.Parser = commands.add_parser("defer", help=HELP, description=DESCRIPTION)
    parser.set_defaults(run=run, parser=parser)
    parser.spellings["name"] = "TASK"
    parser.add_argument("task", metavar="TASK", help="the task's name, such as package.module.function")
    parser.add_flag(
        "json_arguments",
        metavar="JSON",
        nargs="?",
        variable="DEFER_JSON_ARGS",
        help="the task's arguments as a JSON object, such as '{\"number\": 1}'; - reads it from standard input; default: {}",
    )
    times = parser.add_mutually_exclusive_group()
    for name, option in JOB_OPTIONS.items():
        if option.reads is not None:
            is_time, rivals = name in TIMES, tuple(TIMES - {name}) if name in TIMES else ()
            parser.add_option(name, option, "defer", group=times if is_time else None, rivals=rivals)
    parser.add_flag(
        "-i",
        "--ignore-already-enqueued",
        variable="DEFER_IGNORE_ALREADY_ENQUEUED",
        convert=flags.boolean,
        action=argparse.BooleanOptionalAction,
        help="if the queueing lock is taken, log a warning and exit with 0; default: exit with 1",
    )
    parser.add_flag(
        "--unknown",
        variable="DEFER_UNKNOWN",
        convert=flags.boolean,
        action=argparse.BooleanOptionalAction,
        help="store the job even if the app has no such task, since its workers may have it; default: exit with 1",
    )


def run(options: argparse.Namespace) -> int:
    """Store the job."""
    parser: flags.Parser = options.parser
    given = vars(options)
    app = applications.load_with_tasks(options)
    configuration = cast("ConfigureOptions", {name: given[name] for name in JOB_OPTIONS if name in given})
    try:
        deferrer = app.configure_task(options.task, allow_unknown=given.get("unknown", False), **configuration)
    except InvalidOption as error:
        parser.refuse(error)
    arguments = _arguments(app, given.get("json_arguments") or "{}")
    with app.open():
        try:
            job_id = deferrer.defer(**arguments)
        except AlreadyEnqueued as error:
            if not given.get("ignore_already_enqueued", False):
                raise
            logger.warning("%s (ignored)", error, extra={"action": "already_enqueued"})
            return 0
    print(job_id)
    return 0


def _arguments(app: App, text: str) -> JSONDict:
    source = "standard input" if text == "-" else "JSON"
    text = sys.stdin.read() if text == "-" else text
    try:
        arguments = app.connector.json_loads(text)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise InvalidTaskArguments(f"{source}: {reason}. Pass the arguments as a JSON object.") from error
    if not isinstance(arguments, dict):
        raise InvalidTaskArguments(f"{source}: {text.strip()!r} is not a JSON object: pass the arguments by name.")
    return arguments
