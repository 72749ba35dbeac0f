"""``adjourn doctor``: find out what ails the database, and say what to do."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import textwrap
from typing import Any

from adjourn._domain.spelling import hint
from adjourn._domain.wording import counted, shown
from adjourn.cli import applications, flags
from adjourn.cli.exits import Exit
from adjourn.cli.pyproject import Table, table_of
from adjourn.doctor import CHECKS, Examination, Examined, Level, Thresholds, examine
from adjourn.doctor.examination import TIMEOUT
from adjourn.exceptions import InvalidOption
from adjourn.schema import ROLES

HELP = "find out what ails the database, and what to do about it"
NAGIOS = {
    Level.OK: (0, "OK"),
    Level.WARN: (1, "WARNING"),
    Level.CRITICAL: (2, "CRITICAL"),
    Level.UNKNOWN: (3, "UNKNOWN"),
}
"""The exit codes and words of Nagios and what speaks its language."""
COLOURS = {Level.OK: "32", Level.UNKNOWN: "35", Level.WARN: "33", Level.CRITICAL: "1;31"}
KEYS = ("only", "ignore", "thresholds")
"""What a project may say of it."""
WIDTH = 80
INDENT = 9


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser: flags.Parser = commands.add_parser(
        "doctor",
        help=HELP,
        description="Look at the database and its server, at workers and jobs, and say what is wrong, why that matters, and what to do. "
        "It only reads.\n\n"
        "Exits with 0 if nothing is critical, with 1 if something is, with --strict also for warnings and for what could not be "
        "found out. Checks: " + ", ".join(check.id for check in CHECKS) + ".\n\n"
        "A project may say in its pyproject.toml which checks to run or to ignore, and thresholds: in the table [tool.adjourn.doctor], the keys "
        "only, ignore and thresholds. The environment wins over the file, and the command line over both.",
    )
    parser.add_flag(
        "--only", variable="DOCTOR_ONLY", convert=_names, metavar="CHECK,...", help="run these checks; default: all"
    )
    parser.add_flag(
        "--ignore",
        variable="DOCTOR_IGNORE",
        convert=_names,
        rivals=("only",),
        metavar="CHECK,...",
        help="do not run these checks",
    )
    parser.add_argument(
        "--role",
        choices=ROLES,
        help="what the role of the database is for, whose rights are looked at; default: worker",
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 also for warnings, and for what is unknown")
    parser.add_argument(
        "--timeout", type=float, metavar="SECONDS", help=f"how long all of it may take; default: {TIMEOUT:g}"
    )
    parser.add_flag(
        "--threshold",
        dest="thresholds",
        variable="DOCTOR_THRESHOLDS",
        convert=_thresholds,
        action="append",
        type=_threshold,
        metavar="NAME=NUMBER",
        help="from which number on something counts; each finding names its threshold; may be given several times; in the environment "
        "with commas between them",
    )
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", dest="form", action="store_const", const="json", help="print one JSON object")
    forms.add_argument(
        "--nagios",
        dest="form",
        action="store_const",
        const="nagios",
        help="print one line, and exit with 0, 1, 2 or 3 for ok, warning, critical or unknown, as monitoring systems expect",
    )
    forms.add_argument("--quiet", dest="form", action="store_const", const="quiet", help="print only what is not ok")
    # Monitoring systems read 2 as critical.
    parser.refusal = lambda arguments: NAGIOS[Level.UNKNOWN][0] if "--nagios" in arguments else Exit.REFUSED
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    """Examine the database, and print what was found."""
    parser: flags.Parser = options.parser
    try:
        only, thresholds = _chosen(options)
    except InvalidOption as error:
        parser.end(str(error))
    app = applications.load_with_tasks(options)
    examination = examine(
        app,
        only=only,
        role=getattr(options, "role", "worker"),
        timeout=getattr(options, "timeout", TIMEOUT),
        thresholds=thresholds,
    )
    form = getattr(options, "form", "text")
    if form == "json":
        print(examination.as_json())
    elif form == "nagios":
        print(_nagios(examination))
        return NAGIOS[examination.level][0]
    else:
        _print(examination, with_ok=form == "text")
    worst = (Level.CRITICAL, Level.WARN, Level.UNKNOWN) if getattr(options, "strict", False) else (Level.CRITICAL,)
    return Exit.FAILED if any(each.level in worst for each in examination.checks) else Exit.DONE


def _chosen(options: argparse.Namespace) -> tuple[list[str], Thresholds]:
    """Return which checks to run, and the thresholds, by what was given and by what the project says."""
    table = table_of("doctor")
    for key in table.values:
        if key not in KEYS:
            raise table.refusal(key, f"there is no such key{hint(key, KEYS)} They are: {', '.join(KEYS)}.")
    # Who asks for checks wants them, whatever the project ignores.
    stored_only, stored_ignored = _stored_names(table, "only"), _stored_names(table, "ignore")
    only = getattr(options, "only", None)
    ignored = getattr(options, "ignore", stored_ignored if only is None else ())
    only = stored_only if only is None else only
    chosen = [check.id for check in CHECKS if (not only or check.id in only) and check.id not in ignored]
    if not chosen:
        raise InvalidOption("All checks that were to run are ignored. Leave one of them out of what is ignored.")
    return chosen, Thresholds.of({**_stored_thresholds(table), **dict(getattr(options, "thresholds", ()))})


def _stored_names(table: Table, key: str) -> tuple[str, ...]:
    names = table.values.get(key, [])
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise table.refusal(key, f'{names!r} is no list of checks. Write {key} = ["workers", "jobs"], for instance.')
    try:
        return _names(",".join(names)) if names else ()
    except argparse.ArgumentTypeError as error:
        raise table.refusal(key, f"{error}.") from error


def _stored_thresholds(table: Table) -> dict[str, float]:
    stored = table.values.get("thresholds", {})
    if not isinstance(stored, dict):
        raise table.refusal(
            "thresholds", f"{stored!r} is no table. Write thresholds = {{ready_warn = 300}}, for instance."
        )
    for name, number in stored.items():
        try:
            Thresholds.of({name: number})
        except InvalidOption as error:
            raise table.refusal(f"thresholds.{name}", str(error)) from error
    return stored


def _print(examination: Examination, *, with_ok: bool) -> None:
    # What is unknown for one reason, such as a connection that cannot be made, is said once.
    for text, group in itertools.groupby(examination.checks, key=lambda each: _reason(each) or each.id):
        checks = list(group)
        if len(checks) > 1:
            _wrap(f"{', '.join(each.id for each in checks)}: {shown(text)}", _margin(Level.UNKNOWN))
        elif with_ok or checks[0].level is not Level.OK:
            _print_check(checks[0])
    counts = [
        counted(number, "check") + f" {level}"
        for level in reversed(Level)
        if (number := sum(each.level is level for each in examination.checks))
    ]
    print(f"{', '.join(counts)}, in {examination.seconds:.1f} s")


def _reason(examined: Examined) -> str | None:
    return examined.findings[0].text if examined.level is Level.UNKNOWN and not examined.findings[0].remedy else None


def _print_check(examined: Examined) -> None:
    for found in examined.findings:
        _wrap(f"{examined.id}: {shown(found.text)}", _margin(found.level))
        if found.remedy:
            _wrap(f"do: {shown(found.remedy)}")
        for line in shown(found.statement).splitlines():
            print(" " * (INDENT + 4) + line)
        if found.threshold:
            _wrap(f"counts from: {found.threshold}")
    if examined.level in (Level.WARN, Level.CRITICAL):
        _wrap(f"why: {examined.why}")


def _wrap(text: str, margin: str = " " * INDENT) -> None:
    lines = textwrap.wrap(text, WIDTH - INDENT, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    print(margin + ("\n" + " " * INDENT).join(lines))


def _has_colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _margin(level: Level) -> str:
    text = f"\033[{COLOURS[level]}m{level}\033[0m" if _has_colours() else str(level)
    return text + " " * (INDENT - len(level))


def _nagios(examination: Examination) -> str:
    word = NAGIOS[examination.level][1]
    bad = [each for each in examination.checks if each.level is not Level.OK]
    text = "; ".join(f"{each.id}: {each.findings[0].text}" for each in bad) or "all checks are ok"
    counts = " ".join(f"{level}={sum(each.level is level for each in examination.checks)}" for level in Level)
    return (
        shown(f"ADJOURN {word} - {text}".replace("|", "/").replace("\n", " "))
        + f" | {counts} time={examination.seconds:.3f}s"
    )


def _names(text: str) -> tuple[str, ...]:
    known, names = tuple(check.id for check in CHECKS), tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(
                f"there is no check {name!r}{hint(name, known)} The checks are {', '.join(known)}"
            )
    return names


def _thresholds(text: str) -> list[tuple[str, float]]:
    return [_threshold(each) for each in text.split(",") if each.strip()]


def _threshold(text: str) -> tuple[str, float]:
    name, equals, number = text.partition("=")
    try:
        pair = name.strip(), float(number)
        Thresholds.of(dict([pair]))
    except ValueError as error:
        message = str(error) if equals and "hreshold" in str(error) else f"{text!r} is not NAME=NUMBER"
        raise argparse.ArgumentTypeError(message) from None
    return pair
