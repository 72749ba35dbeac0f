"""``adjourn migrate-code``: change a program of Procrastinate into one of adjourn."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import Any

from adjourn._domain.wording import counted
from adjourn.cli import flags
from adjourn.exceptions import AdjournException

DESCRIPTION = """\
Change programs that were written for Procrastinate: imports, paths in settings, names of loggers, settings and environment
variables. Prints what would change as a diff; with --write, changes the files. Then it lists what you have to look at
yourself, each with its file and line. Files that are not Python are only looked at.

Comments, docstrings and formatting stay. Running it again changes nothing more. It exits with 1 if a file cannot be read.
"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser: flags.Parser = commands.add_parser(
        "migrate-code", help="change a program of Procrastinate", description=DESCRIPTION
    )
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", type=Path, help="a file, or a folder with all that is below it"
    )
    parser.add_argument("--write", action="store_true", default=False, help="change the files")
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    """Show or make the changes, and list the rest."""
    try:
        # Imported here, because libcst comes with an extra.
        from adjourn._codemod.programs import look_through
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "libcst":
            raise
        message = 'This command needs libcst, which is not installed: pip install "adjourn[codemod]"'
        raise AdjournException(message) from error
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Files may have names, and text, that the terminal cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")
    changed = 0
    reviews: list[str] = []
    errors: list[str] = []
    for file in look_through(options.paths):
        reviews += [f"{file.path}:{finding.line}: {finding.text}" for finding in file.findings]
        if file.error:
            errors.append(f"{file.path} {file.error}")
        if not file.is_changed:
            continue
        changed += 1
        print(file.diff(), end="")
        if options.write:
            try:
                file.write()
            except OSError as error:
                errors.append(f"{file.path} cannot be written: {error.strerror or error}")
    if reviews:
        print("Look at these yourself:", *reviews, sep="\n")
    print(_summary(changed, len(reviews), written=options.write))
    sys.stdout.flush()
    for each in errors:
        print("adjourn:", each, file=sys.stderr)
    return 1 if errors else 0


def _summary(changed: int, reviews: int, *, written: bool) -> str:
    if not changed and not reviews:
        return "Nothing of Procrastinate is left here."
    done = "changed" if written else "to change"
    rest = "" if written or not changed else "; --write changes them"
    return f"{counted(changed, 'file')} {done}, {counted(reviews, 'place')} to look at{rest}."
