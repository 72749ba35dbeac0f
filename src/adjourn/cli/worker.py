"""``adjourn worker``: run an app's jobs in this process."""

from __future__ import annotations

import argparse
from typing import Any, cast

from adjourn.cli import applications, flags
from adjourn.exceptions import InvalidOption
from adjourn.jobs import DeleteJobCondition
from adjourn.types import WorkerOptions
from adjourn.worker.options import Options

DESCRIPTION = """\
Run the app's jobs in this process, until it is stopped.

The first SIGINT (Ctrl-C) or SIGTERM stops it gracefully: it takes no more jobs, lets those that run end, and exits
with 0. A second one ends it at once; other workers then rescue its jobs. What is said neither by a flag nor by the
environment is taken from the app's worker_defaults, and then from the defaults below.
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser: flags.Parser = commands.add_parser(
        "worker",
        help="run jobs until stopped",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run, parser=parser)
    parser.add_flag(
        "-n", "--name", variable="WORKER_NAME", help="name in logs and lists, to tell workers apart; default: worker"
    )
    parser.add_flag(
        "-q",
        "--queues",
        variable="WORKER_QUEUES",
        convert=flags.names,
        metavar="QUEUE,...",
        help="serve only these queues, separated by commas; an empty text stands for all queues, the default",
    )
    parser.add_flag(
        "-c",
        "--concurrency",
        variable="WORKER_CONCURRENCY",
        convert=flags.count,
        metavar="JOBS",
        help="how many jobs to run at once, async ones as coroutines and sync ones in threads; default: 1",
    )
    parser.add_flag(
        "-p",
        "--fetch-job-polling-interval",
        variable="WORKER_FETCH_JOB_POLLING_INTERVAL",
        convert=flags.interval,
        metavar="SECONDS",
        help="how long to wait between looks for jobs when nothing announces them; default: 5",
    )
    parser.add_flag(
        "-a",
        "--abort-job-polling-interval",
        variable="WORKER_ABORT_JOB_POLLING_INTERVAL",
        convert=flags.interval,
        metavar="SECONDS",
        help="how long to wait between looks for running jobs that are to be aborted when nothing announces them; "
        "default: 5",
    )
    parser.add_flag(
        "--timeout",
        variable="WORKER_TIMEOUT",
        convert=flags.interval,
        metavar="SECONDS",
        help="how long a run of a task may take that has no time-out of its own; default: without limit",
    )
    parser.add_flag(
        "--shutdown-graceful-timeout",
        variable="WORKER_SHUTDOWN_GRACEFUL_TIMEOUT",
        convert=flags.seconds,
        metavar="SECONDS",
        help="how long running jobs may take to end once the worker is stopped; then async ones are cancelled and "
        "what was cut short goes back to its queue; default: wait for them without limit",
    )
    _add_waiting(parser)
    _add_listening(parser)
    parser.add_flag(
        "--delete-jobs",
        variable="WORKER_DELETE_JOBS",
        convert=flags.one_of(*DeleteJobCondition, fold=str.lower),
        metavar="{" + ",".join(DeleteJobCondition) + "}",
        help="which finished jobs to delete instead of keeping them; default: never",
    )
    parser.add_flag(
        "--update-heartbeat-interval",
        variable="WORKER_UPDATE_HEARTBEAT_INTERVAL",
        convert=flags.interval,
        metavar="SECONDS",
        help="how long to wait between signs of life; default: 10",
    )
    parser.add_flag(
        "--stalled-worker-timeout",
        variable="WORKER_STALLED_WORKER_TIMEOUT",
        convert=flags.interval,
        metavar="SECONDS",
        help="after how much silence this worker counts as dead and others take its jobs over; more than the "
        "heartbeat's interval; default: 30",
    )


def _add_waiting(parser: flags.Parser) -> None:
    group = parser.add_mutually_exclusive_group()
    parser.add_flag(
        "-w",
        "--wait",
        group=group,
        variable="WORKER_WAIT",
        convert=flags.boolean,
        action="store_const",
        const=True,
        help="wait for more jobs when none is left, the default",
    )
    group.add_argument(
        "--one-shot", dest="wait", action="store_const", const=False, help="exit when no job is left to run now"
    )


def _add_listening(parser: flags.Parser) -> None:
    parser.add_flag(
        "-l",
        "--listen-notify",
        variable="WORKER_LISTEN_NOTIFY",
        convert=flags.boolean,
        action=argparse.BooleanOptionalAction,
        help="have Postgres announce new jobs, the default, or look for them by polling alone, as is needed behind a "
        "pooler in transaction mode",
    )


def run(options: argparse.Namespace) -> int:
    """Run a worker until it is stopped, or until no job is left for one that does not wait."""
    given = {name: value for name, value in vars(options).items() if name in WorkerOptions.__annotations__}
    app = applications.load_with_tasks(options)
    try:
        # Each by itself has been looked at by now, but not whether they go together.
        Options(**{**app.worker_defaults, **given})
    except InvalidOption as error:
        options.parser.error(_in_flags(str(error)))
    app.run_worker(**cast("WorkerOptions", given))
    return 0


def _in_flags(message: str) -> str:
    """Return a message that names the flags instead of the options."""
    for name in WorkerOptions.__annotations__:
        if "_" in name:
            message = message.replace(name, "--" + name.replace("_", "-"))
    return message
