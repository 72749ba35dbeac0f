"""``adjourn healthchecks``: check that everything that jobs need is there."""

from __future__ import annotations

import argparse
from typing import Any

from adjourn.cli import applications, flags

HELP = "check the app, its database and its schema"


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser: flags.Parser = commands.add_parser(
        "healthchecks",
        help=HELP,
        description="Check that the app can be imported, that its database can be reached, that the database has the "
        "schema that this version needs, and that jobs can be stored and run: that is tried, in a transaction that is rolled "
        "back. Exits with 1 at the first check that fails, and says why.",
    )
    parser.add_argument(
        "--role",
        choices=("worker", "producer"),
        help="what to try: all that a worker does, or, as producer, deferring only; default: worker",
    )
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    """Run the checks, one after the other."""
    app = applications.load(options)
    app.perform_import_paths()
    print("App: OK")
    with app.open():
        version = app.schema_manager.get_version()
        print("Database connection: OK")
        app.schema_manager.check_version()
        print(f"Schema version {version}: OK")
        kind = getattr(options, "role", "worker")
        app.schema_manager.try_out(kind)
        print(f"Jobs can be stored{' and run' if kind == 'worker' else ''}: OK")
    return 0
