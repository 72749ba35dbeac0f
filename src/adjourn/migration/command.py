"""The command ``migrate-from-procrastinate``, for any command line that has an app."""

from __future__ import annotations

import argparse
import contextlib
import datetime
from collections.abc import Generator, Iterable, Mapping
from typing import Any, TextIO

from adjourn.app import App
from adjourn.migration.migration import BATCH, ID_GAP, ROLLBACK_WAIT, Migration
from adjourn.migration.report import MigrationRefused, Report

HELP = "move the jobs of Procrastinate's tables to adjourn"
DESCRIPTION = """\
Move the jobs of Procrastinate's tables to adjourn's, in the same database, while workers and producers of both go on. Each step
may be interrupted and run again.

  plan      show what there is, and what stands in the way; changes nothing; exits with 1 if something has to be decided
  start     join both to one queue, and forward new jobs
  move      move the jobs that wait
  history   copy the jobs that have ended
  status    show what is left where
  finish    end the migration
  rollback  give the jobs that wait back, before `finish`; stop adjourn's workers first
"""
STEPS: Mapping[str, tuple[str, ...]] = {
    "plan": ("id_gap", "map_ids"),
    "start": ("id_gap", "map_ids", "forwarding"),
    "move": ("batch", "follow", "queue", "take_over_stalled", "stalled_after"),
    "history": ("since", "batch"),
    "status": (),
    "finish": ("force", "drop"),
    "rollback": ("batch", "wait"),
}
"""The steps, and the options of each."""
FLAGS = {"forwarding": "--no-forwarding"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to a parser."""
    missing: Any = argparse.SUPPRESS
    parser.add_argument("step", nargs="?", choices=tuple(STEPS), default="plan", help="what to do; default: plan")
    everywhere: dict[str, dict[str, Any]] = {
        "--from-schema": {
            "metavar": "NAME",
            "help": "the schema of Procrastinate's tables; default: the one that there is",
        },
        "--dry-run": {"action": "store_true", "help": "report what the step would do, and roll it back"},
        "--json": {"action": "store_true", "help": "print each report as a JSON object on one line"},
    }
    for name, options in everywhere.items():
        parser.add_argument(name, default=missing, **options)
    of_steps: dict[str, dict[str, dict[str, Any]]] = {
        "plan and start": {
            "--id-gap": {
                "type": _count,
                "metavar": "NUMBER",
                "help": f"how many ids Procrastinate may still use before those of new jobs of adjourn; default: {ID_GAP}",
            },
            "--map-ids": {
                "action": "store_true",
                "help": "give the jobs that move new ids, which adjourn_migrated_ids records; only if adjourn has jobs already",
            },
        },
        "start": {
            "--no-forwarding": {
                "dest": "forwarding",
                "action": "store_false",
                "help": "leave new jobs to Procrastinate until `start` is run again, for the time to start adjourn's workers",
            },
        },
        "move, history and rollback": {
            "--batch": {
                "type": _count,
                "metavar": "JOBS",
                "help": f"how many jobs one transaction takes; default: {BATCH}",
            },
        },
        "move": {
            "--follow": {"action": "store_true", "help": "go on until stopped, for what old workers put back"},
            "--queue": {"metavar": "QUEUE", "help": "move only the jobs of this queue"},
            "--take-over-stalled": {"action": "store_true", "help": "take over running jobs whose worker is gone"},
            "--stalled-after": {
                "type": _seconds,
                "metavar": "SECONDS",
                "help": "after how much silence a worker is gone; before Procrastinate 3.1: after how long a job is; default: 30",
            },
        },
        "history": {
            "--since": {
                "type": _moment,
                "metavar": "TIME",
                "help": "copy only what has ended since then, a date or a time in ISO 8601; default: everything",
            },
        },
        "finish": {
            "--force": {"action": "store_true", "help": "although jobs are left there, or producers still store some"},
            "--drop": {"action": "store_true", "help": "drop what Procrastinate has made; without it, print how"},
        },
        "rollback": {
            "--wait": {
                "type": _seconds,
                "metavar": "SECONDS",
                "help": f"how long to wait for running jobs to end; default: {ROLLBACK_WAIT:g}",
            },
        },
    }
    for title, flags in of_steps.items():
        group = parser.add_argument_group(title)
        for name, options in flags.items():
            group.add_argument(name, default=missing, **options)


def run(app: App, options: argparse.Namespace | Mapping[str, Any], output: TextIO) -> int:
    """Run a step, and return the exit code: 1 if something has to be decided first.

    Parameters
    ----------
    app
        The app, open, and with all of its tasks.
    options
        What the parser has read.
    output
        Where the reports are written.

    Raises
    ------
    MigrationRefused
        If the step has changed nothing, because something stands in its way, or an option belongs to another step.
    """
    given = dict(options) if isinstance(options, Mapping) else vars(options)
    step = given.get("step") or "plan"
    known = {name for names in STEPS.values() for name in names}
    passed = {name: given[name] for name in known if given.get(name) is not None}
    for name in sorted(passed.keys() - set(STEPS[step])):
        flag = FLAGS.get(name, "--" + name.replace("_", "-"))
        steps = " and ".join(each for each, names in STEPS.items() if name in names)
        raise MigrationRefused(f"{flag} is an option of {steps}, not of {step}.")
    migration = Migration(app, from_schema=given.get("from_schema"), dry_run=bool(given.get("dry_run")))
    code = 0
    try:
        with contextlib.closing(_reports(migration, step, passed)) as reports:
            for report in reports:
                print(report.as_json() if given.get("json") else report.as_text(), file=output, flush=True)
                code = 1 if report.to_decide else code
    except KeyboardInterrupt:
        # This is how somebody ends what has no end of its own.
        if not passed.get("follow"):
            raise
    return code


def _reports(migration: Migration, step: str, options: Mapping[str, Any]) -> Generator[Report, None, None]:
    made: Report | Iterable[Report] = getattr(migration, step)(**options)
    if isinstance(made, Report):
        yield made
    else:
        yield from made


def _count(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of one or more")
    return number


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return number


def _moment(text: str) -> datetime.datetime:
    try:
        value = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date or a time such as 2030-12-31") from None
    return value.replace(tzinfo=datetime.UTC) if value.utcoffset() is None else value
