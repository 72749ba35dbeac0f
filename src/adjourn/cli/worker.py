"""``adjourn worker``: run an app's jobs in this process."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import Any, cast

import attrs

from adjourn._domain.options import option_of
from adjourn.cli import applications, flags, reloading
from adjourn.exceptions import InvalidOption
from adjourn.worker.options import Options, checked_options

HELP = "run jobs until stopped"
DESCRIPTION = """\
Run the app's jobs in this process until it is stopped.

The first SIGINT (Ctrl-C) or SIGTERM stops the worker gracefully: it starts no more jobs, waits for the running ones, and
exits with 0, or with 74 if the database does not let it store what has become of them. The second one ends it at once, also as the first process of a container; other workers then run its jobs
again.

A flag overrides its environment variable, which overrides the app's worker_defaults, which override the defaults below.
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser: flags.Parser = commands.add_parser("worker", help=HELP, description=DESCRIPTION)
    parser.set_defaults(run=run, parser=parser)
    for field in attrs.fields(Options):
        option = option_of(field)
        if option.reads is not None:
            parser.add_option(field.name, option, "worker", default=field.default)
    parser.add_flag(
        "--reload",
        variable="WORKER_RELOAD",
        convert=flags.boolean,
        action="store_true",
        help="for development: start the worker again when a Python file below the current directory changes",
    )


def run(options: argparse.Namespace) -> int:
    """Run a worker until it is stopped or, if it does not wait, until no job is left."""
    parser: flags.Parser = options.parser
    given = {field.name: vars(options)[field.name] for field in attrs.fields(Options) if field.name in vars(options)}
    with _refusing(parser):
        checked = checked_options("worker", given)
    if getattr(options, "reload", False) and not reloading.is_supervised():
        if not checked.get("wait", True):
            parser.error("--reload: a worker with --one-shot ends by itself. Leave one of them out.")
        if checked.get("max_jobs") is not None:
            parser.error("--reload: a worker with --max-jobs ends by itself. Leave one of them out.")
        try:
            return reloading.supervise()
        except ModuleNotFoundError as error:
            parser.error(f"`--reload` needs the package watchfiles: pip install 'adjourn[reload]' ({error})")
    app = applications.load_with_tasks(options)
    parser.spellings.update({name: f"worker_defaults: {name}" for name in app.worker_defaults if name not in given})
    with _refusing(parser):
        # Each option has been checked alone, but not whether they fit together.
        Options(**cast("dict[str, Any]", {**app.worker_defaults, **checked}))
    app.run_worker(**checked)
    return 0


@contextlib.contextmanager
def _refusing(parser: flags.Parser) -> Iterator[None]:
    try:
        yield
    except InvalidOption as error:
        parser.refuse(error)
