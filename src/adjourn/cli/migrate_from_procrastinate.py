"""``adjourn migrate-from-procrastinate``: move the jobs of Procrastinate's tables."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from adjourn.cli import applications, flags
from adjourn.migration import command

HELP = command.HELP


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser: flags.Parser = commands.add_parser("migrate-from-procrastinate", help=HELP, description=command.DESCRIPTION)
    parser.set_defaults(run=run, parser=parser)
    command.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Run a step."""
    with applications.load_with_tasks(options).open() as app:
        return command.run(app, options, sys.stdout)
