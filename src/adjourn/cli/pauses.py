"""What ``adjourn pause`` and ``adjourn resume`` have in common, also in the shell."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from adjourn._domain.pauses import keeping, told_pauses
from adjourn._domain.wording import span
from adjourn.app import App
from adjourn.cli import applications, flags
from adjourn.cli.authors import manager_of
from adjourn.cli.doubts import doubt
from adjourn.exceptions import AdjournException
from adjourn.limits import Pause, Scope
from adjourn.manager import JobManager

SAID = ("seconds", "until", "reason")
"""What is said of a pause, as managers call it."""
NO_CHANGE = {"paused": "is paused already", "resumed": "is not paused"}


def add_command(commands: Any, name: str, help_text: str, description: str) -> None:
    """Add one of the two."""
    parser: flags.Parser = commands.add_parser(name, help=help_text, description=description)
    parser.add_argument("-q", "--queue", metavar="QUEUE", action="append", help="a queue; may be repeated")
    parser.add_argument("-t", "--task", metavar="TASK", action="append", help="the name of a task; may be repeated")
    parser.add_argument(
        "--schedule",
        metavar="TASK",
        action="append",
        help="the schedules of a periodic task, of which no tick is deferred; may be repeated",
    )
    parser.add_argument("--periodic-id", metavar="ID", help="with --schedule: only the schedule with this periodic_id")
    if name == "pause":
        parser.add_argument(
            "--for",
            dest="seconds",
            metavar="TIME",
            type=flags.some_seconds,
            help="end the pause after so long, in seconds or as 10m, 1h30m or 2d; default: no end",
        )
        parser.add_argument(
            "--until",
            metavar="TIME",
            type=flags.moment_to_come,
            help="end it at a time with its offset from UTC, by the database's clock",
        )
        parser.add_argument("--reason", metavar="TEXT", help="why, for those who look at what is paused")
    parser.set_defaults(run=run, parser=parser, word=f"{name.removesuffix('e')}ed")


def run(options: argparse.Namespace) -> int:
    """Pause, or resume."""
    queues, names = getattr(options, "queue", None) or [], getattr(options, "task", None) or []
    schedules, periodic_id = getattr(options, "schedule", None) or [], getattr(options, "periodic_id", None)
    if not queues and not names and not schedules:
        options.parser.error("Name what is meant: --queue, --task or --schedule.")
    if periodic_id is not None and not schedules:
        options.parser.error("--periodic-id: pass --schedule as well, which names the task.")
    said = {name: value for name in SAID if (value := getattr(options, name, None)) is not None}
    if "seconds" in said and "until" in said:
        options.parser.error("--for and --until exclude each other: pass one of them.")
    app = applications.load_with_tasks(options) if schedules else applications.load(options)
    with app.open():
        manager, pauses = manager_of(app), options.word == "paused"
        if pauses:
            for queue in queues:
                doubt(app, "queue", queue)
        for name in names:
            if pauses:
                doubt(app, "task", name)
            else:
                applications.doubt_task(app, name)
        given: tuple[tuple[Scope, list[str]], ...] = (("queue", queues), ("task", names))
        for scope, chosen in given:
            for name in chosen:
                print(switch(manager, scope, name, said, pause=pauses))
        for task in schedules:
            for line in switch_schedules(app, task, periodic_id, said, pause=pauses):
                print(line)
    return 0


def switch(manager: JobManager, scope: Scope, name: str, said: Mapping[str, Any], *, pause: bool) -> str:
    """Pause a queue or a task or resume it, and tell of it.

    Parameters
    ----------
    manager
        Does it.
    scope, name
        What it is.
    said
        For how long, and why: what `pause_queue` takes.
    pause
        Whether to pause it.
    """
    of_queue = scope == "queue"
    if pause:
        changed = (manager.pause_queue if of_queue else manager.pause_task)(name, **said)
    else:
        changed = (manager.resume_queue if of_queue else manager.resume_task)(name)
    return _told(f"{scope.capitalize()} {name}", changed, said, pause=pause)


def told_kept(pauses: Iterable[Pause], places: Iterable[tuple[str | None, str]]) -> str:
    """Return which pauses keep jobs of some queues and tasks, in a sentence each; empty if none does. A queue is None if it is not known."""
    kept = keeping(pauses, places, lambda pause: (pause.scope, pause.name))
    return told_pauses((pause.scope, pause.name, pause.ends_at is not None) for pause in kept)[1:]


def _told(what: str, changed: bool, said: Mapping[str, Any], *, pause: bool) -> str:
    word = "paused" if pause else "resumed"
    if not changed:
        return f"{what} {NO_CHANGE[word]}"
    ends = (
        f" for {span(said['seconds'])}" if "seconds" in said else f" until {said['until']}" if "until" in said else ""
    )
    return f"{what} is {word}{ends}"


def switch_schedules(
    app: App, task: str, periodic_id: str | None, said: Mapping[str, Any], *, pause: bool
) -> Iterator[str]:
    """Pause the schedules of a task or resume them, and tell of each.

    Raises
    ------
    AdjournException
        If neither the app nor the database has one.
    """
    manager, declared = app.job_manager, app.periodic_registry.periodic_tasks
    stored = {(row.task_name, row.periodic_id) for row in manager.list_schedules()}
    found = sorted(key for key in stored | declared.keys() if key[0] == task and periodic_id in (None, key[1]))
    if not found:
        applications.doubt_task(app, task)
        which = "" if periodic_id is None else f" with periodic_id={periodic_id!r}"
        raise AdjournException(f"Task {task} has no schedule{which}: `adjourn shell list_schedules` lists all of them.")
    noted = manager_of(app)
    for key in found:
        # One that has not been due yet is stored by its pause.
        new: dict[str, Any] = (
            {} if key in stored else {"cron": declared[key].cron.expression, "timezone": declared[key].cron.timezone}
        )
        changed = noted.pause_schedule(key[0], key[1], **new, **said) if pause else noted.resume_schedule(*key, **new)
        yield _told(f"Schedule {key[0]} ({key[1]})" if key[1] else f"Schedule {key[0]}", changed, said, pause=pause)
    if not pause:
        places = [(declared[key].queue if key in declared else None, key[0]) for key in found]
        if kept := told_kept(manager.list_pauses(), places):
            yield kept
