"""``adjourn schema``: bring the database's schema up to date, or show it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from adjourn import sql
from adjourn._domain.indexes import UnbuiltIndex
from adjourn._domain.spelling import hint
from adjourn.cli import applications, flags
from adjourn.cli.progress import ProgressReport, Told, add_quiet
from adjourn.manager import SchemaManager
from adjourn.schema import ROLES, grants

HELP = "apply or show the database schema"


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser: flags.Parser = commands.add_parser(
        "schema",
        help=HELP,
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
    actions.add_argument(
        "--roles",
        nargs="*",
        metavar="KIND=ROLE",
        help="print the GRANT statements for roles of the database, such as worker=shop_worker producer=shop_web; kinds: "
        f"{', '.join(ROLES)}; without any, for all kinds, as roles adjourn_KIND; needs no database, and the app only to "
        "name the schema",
    )
    parser.add_argument(
        "--schema", metavar="NAME", help="the name of the schema to print with --read or --roles; default: the app's"
    )
    add_quiet(parser, "SCHEMA_QUIET")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    action = _roles if hasattr(options, "roles") else getattr(options, "action", _apply)
    if action not in (_read, _roles) and hasattr(options, "schema"):
        options.parser.error("--schema goes with --read and --roles only: the other commands use the app's schema")
    action(options)
    return 0


class Building:
    """Tells how far the indexes are that are being built.

    Parameters
    ----------
    look
        Returns those that are not built yet.
    """

    def __init__(self, look: Callable[[], Sequence[UnbuiltIndex]]) -> None:
        self._look = look
        self._partitions: dict[str, int] = {}

    def __call__(self) -> Told:
        """Look, and tell how far they are: of all that were ever seen, those that are gone are built."""
        indexes = self._look()
        self._partitions.update({index.name: index.partitions for index in indexes})
        total = sum(self._partitions.values())
        left = sum(index.partitions - index.built - (index.percent or 0) / 100 for index in indexes)
        return Told("; ".join(map(str, indexes)), 1 - left / total if total else None)


def _apply(options: argparse.Namespace) -> None:
    with applications.load(options).open() as app:
        manager = app.schema_manager

        # The versions are one transaction: if that is interrupted, nothing has changed. Indexes are built afterwards.
        with ProgressReport(
            "Applying the schema", Building(manager.list_unbuilt_indexes), is_quiet=getattr(options, "quiet", False)
        ) as progress:
            try:
                done = manager.apply_schema()
            except KeyboardInterrupt:
                words = progress.told().words
                print(
                    f"\nadjourn: interrupted; {words or 'nothing is left half done'}. The same command goes on",
                    file=sys.stderr,
                )
                raise
        for line in done:
            print(line[:1].upper() + line[1:])
        if not done:
            print(f"The schema is up to date, version {manager.get_version()}")


def _schema(options: argparse.Namespace) -> str:
    if hasattr(options, "schema"):
        return str(options.schema)
    return applications.load(options).job_manager.schema if applications.is_named(options) else sql.DEFAULT_SCHEMA


def _read(options: argparse.Namespace) -> None:
    print(sql.whole_schema(_schema(options)), end="")


def _roles(options: argparse.Namespace) -> None:
    pairs = [each.partition("=") for each in options.roles] or [(kind, "=", f"adjourn_{kind}") for kind in ROLES]
    for kind, equals, role in pairs:
        if not equals or kind not in ROLES:
            options.parser.error(
                f"--roles: {kind + equals + role!r} does not name a kind and a role{'.' if kind in ROLES else hint(kind, ROLES)} Write KIND=ROLE, "
                f"with one of {', '.join(ROLES)}"
            )
    schema = _schema(options)
    print("-- Execute this again after each version of the schema.")
    for kind, _, role in pairs:
        print("\n" + grants(kind, role, schema), end="")


def _migrations_path(options: argparse.Namespace) -> None:
    print(SchemaManager.get_migrations_path())


def _version(options: argparse.Namespace) -> None:
    with applications.load(options).open() as app:
        version = app.schema_manager.get_version()
        print(version)
        if version < sql.latest_version():
            print(sql.out_of_date(app.job_manager.schema, version), file=sys.stderr)
        for index in app.schema_manager.list_unbuilt_indexes():
            print(
                f"{str(index).capitalize()}. Run {sql.APPLYING}, which builds it while workers go on.", file=sys.stderr
            )
