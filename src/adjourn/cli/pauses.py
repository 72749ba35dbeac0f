"""What ``adjourn pause`` and ``adjourn resume`` have in common, also in the shell."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

from adjourn.app import App
from adjourn.cli import applications, flags
from adjourn.cli.doubts import doubt
from adjourn.exceptions import AdjournException

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
    parser.set_defaults(run=run, parser=parser, word=f"{name.removesuffix('e')}ed")


def run(options: argparse.Namespace) -> int:
    """Pause, or resume."""
    queues, names = getattr(options, "queue", None) or [], getattr(options, "task", None) or []
    schedules, periodic_id = getattr(options, "schedule", None) or [], getattr(options, "periodic_id", None)
    if not queues and not names and not schedules:
        options.parser.error("Name what is meant: --queue, --task or --schedule.")
    if periodic_id is not None and not schedules:
        options.parser.error("--periodic-id: pass --schedule as well, which names the task.")
    app = applications.load_with_tasks(options) if schedules else applications.load(options)
    with app.open():
        manager, pauses = app.job_manager, options.word == "paused"
        if pauses:
            for queue in queues:
                doubt(app, "queue", queue)
        for name in names:
            if pauses:
                doubt(app, "task", name)
            else:
                applications.doubt_task(app, name)
        for_queues: Callable[[str], bool] = manager.pause_queue if pauses else manager.resume_queue
        for_tasks: Callable[[str], bool] = manager.pause_task if pauses else manager.resume_task
        for kind, given, change in (("Queue", queues, for_queues), ("Task", names, for_tasks)):
            for name in given:
                print(f"{kind} {name} {'is ' + options.word if change(name) else NO_CHANGE[options.word]}")
        for task in schedules:
            for line in switch_schedules(app, task, periodic_id, pause=pauses):
                print(line)
    return 0


def switch_schedules(app: App, task: str, periodic_id: str | None, *, pause: bool) -> Iterator[str]:
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
    word = "paused" if pause else "resumed"
    change = manager.pause_schedule if pause else manager.resume_schedule
    for key in found:
        # One that has not been due yet is stored by its pause.
        new = {} if key in stored else {"cron": declared[key].cron.expression, "timezone": declared[key].cron.timezone}
        name = f"{key[0]} ({key[1]})" if key[1] else key[0]
        yield f"Schedule {name} {f'is {word}' if change(*key, **new) else NO_CHANGE[word]}"
