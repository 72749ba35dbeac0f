"""``adjourn healthchecks``: check that everything that jobs need is there."""

from __future__ import annotations

import argparse
from typing import Any

from adjourn.cli import applications, flags


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser: flags.Parser = commands.add_parser(
        "healthchecks",
        help="check the app, its database and its schema",
        description="Check that the app can be imported, that its database can be reached, and that the database has the "
        "schema that this version needs. Exits with 1 at the first check that fails, and says why.",
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
    return 0
