"""``adjourn defer``: store a job."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import Any, cast

from adjourn.app import App
from adjourn.cli import applications, flags
from adjourn.exceptions import AlreadyEnqueued, InvalidTaskArguments
from adjourn.types import ConfigureOptions, JSONDict

logger: logging.Logger = logging.getLogger(__name__)

DESCRIPTION = "Store a job that calls a task, and print its id. What is not said is taken from the task."


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser: flags.Parser = commands.add_parser("defer", help="store a job", description=DESCRIPTION)
    parser.set_defaults(run=run, parser=parser)
    parser.add_argument("task", metavar="TASK", help="the task's name, such as package.module.function")
    parser.add_flag(
        "json_arguments",
        metavar="JSON",
        nargs="?",
        variable="DEFER_JSON_ARGS",
        help="the arguments as a JSON object, such as '{\"number\": 1}', or - to read it from standard input; default: {}",
    )
    parser.add_flag("--queue", variable="DEFER_QUEUE", help="the queue")
    parser.add_flag("--lock", variable="DEFER_LOCK", help="of the jobs with one lock only one runs at a time, in order")
    parser.add_flag(
        "--queueing-lock",
        variable="DEFER_QUEUEING_LOCK",
        help="of the jobs with one queueing lock only one waits at a time; deferring another fails",
    )
    parser.add_flag(
        "-i",
        "--ignore-already-enqueued",
        variable="DEFER_IGNORE_ALREADY_ENQUEUED",
        convert=flags.boolean,
        action=argparse.BooleanOptionalAction,
        help="exit with 0 where the queueing lock is taken, saying so; default: exit with 1",
    )
    times = parser.add_mutually_exclusive_group()
    parser.add_flag(
        "--at",
        group=times,
        rivals=("schedule_in",),
        dest="schedule_at",
        variable="DEFER_AT",
        convert=flags.moment,
        metavar="TIME",
        help="do not run the job before this time, ISO 8601 with the offset from UTC: 2030-12-31T23:59:00+01:00",
    )
    parser.add_flag(
        "--in",
        group=times,
        rivals=("schedule_at",),
        dest="schedule_in",
        variable="DEFER_IN",
        convert=flags.seconds,
        metavar="SECONDS",
        help="do not run the job before so many seconds have passed",
    )
    parser.add_flag(
        "--priority",
        variable="DEFER_PRIORITY",
        convert=flags.integer,
        metavar="NUMBER",
        help="higher ones go first, and negative ones go; default: the task's, or 0",
    )
    parser.add_flag(
        "--unknown",
        variable="DEFER_UNKNOWN",
        convert=flags.boolean,
        action=argparse.BooleanOptionalAction,
        help="defer a task that the app does not know, unchecked: its workers may; default: refuse",
    )


def run(options: argparse.Namespace) -> int:
    """Store the job."""
    given = vars(options)
    app = applications.load_with_tasks(options)
    configuration = {name: value for name, value in given.items() if name in ConfigureOptions.__annotations__}
    if "schedule_in" in configuration:
        configuration["schedule_in"] = {"seconds": configuration["schedule_in"]}
    deferrer = app.configure_task(
        options.task, allow_unknown=given.get("unknown", False), **cast("ConfigureOptions", configuration)
    )
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
    except ValueError as error:
        raise InvalidTaskArguments(f"{source}: {error}. Pass the arguments as a JSON object.") from error
    if not isinstance(arguments, dict):
        raise InvalidTaskArguments(f"{source}: {text.strip()!r} is no JSON object: pass the arguments by their names.")
    return arguments
