"""``adjourn demo``: see adjourn work, on a temporary database server."""

from __future__ import annotations

import argparse
import functools
from typing import Any

from adjourn.cli import flags
from adjourn.cli.progress import ProgressReport, add_quiet
from adjourn.exceptions import AdjournException

WEB = "127.0.0.1:8180"


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser: flags.Parser = commands.add_parser(
        "demo",
        help="see adjourn work, without a database of your own",
        description="Start a temporary Postgres server, defer one job for each source file of Python's standard "
        "library from a synchronous and an asynchronous program, run the jobs in two workers, kill one of them in the "
        "middle, and check that every file was counted exactly once. Leaves nothing behind.\n\n"
        "With --web, a dashboard in the browser shows this, and then the work of a small shop, until you end it.",
    )
    parser.set_defaults(run=run, parser=parser)
    parser.add_flag(
        "--web",
        variable="DEMO_WEB",
        nargs="?",
        const=WEB,
        metavar="HOST:PORT",
        help=f"show a dashboard, at {WEB} unless you say where; port 0 takes a free one",
    )
    parser.add_flag(
        "--files",
        variable="DEMO_FILES",
        convert=flags.count,
        metavar="NUMBER",
        help="count only this many of the files, for a shorter demo; default: all",
    )
    add_quiet(parser, "DEMO_QUIET")


def run(options: argparse.Namespace) -> int:
    """Run the demo."""
    try:
        # Imported here, because it needs packages that come with an extra.
        from adjourn.demo import show
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "adjourn":
            raise
        message = f'The demo needs {error.name}, which is not installed: pip install "adjourn[demo]"'
        raise AdjournException(message) from error
    progress = functools.partial(ProgressReport, is_quiet=getattr(options, "quiet", False))
    return show.run(getattr(options, "files", None), getattr(options, "web", None), progress)
