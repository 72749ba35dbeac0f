"""``adjourn schema``: bring the database's schema up to date, or show it."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from adjourn import sql
from adjourn.cli import applications, flags
from adjourn.manager import SchemaManager


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser: flags.Parser = commands.add_parser(
        "schema",
        help="apply or show the database schema",
        description="Apply or show the tables that adjourn needs in the app's database.",
    )
    parser.set_defaults(run=run, parser=parser)
    actions = parser.add_mutually_exclusive_group()
    for name, action, text in (
        (
            "--apply",
            _apply,
            "bring the schema up to date and print what was done; the default; may be run at any time, even twice at once",
        ),
        (
            "--read",
            _read,
            "print the SQL of the whole schema, which psql can execute; needs no database, and the app only to name the schema",
        ),
        ("--version", _version, "print the version that the database has, 0 for none"),
        ("--migrations-path", _migrations_path, "print the directory of the migrations; needs no database and no app"),
    ):
        actions.add_argument(name, dest="action", action="store_const", const=action, help=text)
    parser.add_argument(
        "--schema", metavar="NAME", help="the name of the schema to print with --read; default: the app's"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    action = getattr(options, "action", _apply)
    if action is not _read and hasattr(options, "schema"):
        options.parser.error("--schema goes with --read only: the other commands use the app's schema")
    action(options)
    return 0


def _apply(options: argparse.Namespace) -> None:
    with applications.load(options).open() as app:
        done = app.schema_manager.apply_schema()
        for line in done:
            print(line[:1].upper() + line[1:])
        if not done:
            print(f"The schema is up to date, version {app.schema_manager.get_version()}")


def _read(options: argparse.Namespace) -> None:
    schema = getattr(options, "schema", None)
    if schema is None:
        is_named = applications.is_named(options)
        schema = applications.load(options).job_manager.schema if is_named else sql.DEFAULT_SCHEMA
    print(sql.whole_schema(schema), end="")


def _migrations_path(options: argparse.Namespace) -> None:
    print(SchemaManager.get_migrations_path())


def _version(options: argparse.Namespace) -> None:
    with applications.load(options).open() as app:
        version = app.schema_manager.get_version()
        print(version)
        if version < sql.latest_version():
            print(sql.out_of_date(app.job_manager.schema, version), file=sys.stderr)
