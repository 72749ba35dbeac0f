"""What ``adjourn pause`` and ``adjourn resume`` have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from adjourn.cli import applications, flags

NO_CHANGE = {"paused": "is paused already", "resumed": "is not paused"}


def add_command(commands: Any, name: str, help_text: str, description: str) -> None:
    """Add one of the two."""
    parser: flags.Parser = commands.add_parser(name, help=help_text, description=description)
    parser.add_argument("-q", "--queue", metavar="QUEUE", action="append", help="a queue; may be repeated")
    parser.add_argument("-t", "--task", metavar="TASK", action="append", help="the name of a task; may be repeated")
    parser.set_defaults(run=run, parser=parser, word=f"{name.removesuffix('e')}ed")


def run(options: argparse.Namespace) -> int:
    """Pause, or resume."""
    queues, names = getattr(options, "queue", None) or [], getattr(options, "task", None) or []
    if not queues and not names:
        options.parser.error("Name what is meant: --queue or --task.")
    app = applications.load(options)
    for name in names:
        applications.doubt_task(app, name)
    with app.open():
        manager, pauses = app.job_manager, options.word == "paused"
        for_queues: Callable[[str], bool] = manager.pause_queue if pauses else manager.resume_queue
        for_tasks: Callable[[str], bool] = manager.pause_task if pauses else manager.resume_task
        for kind, given, change in (("Queue", queues, for_queues), ("Task", names, for_tasks)):
            for name in given:
                print(f"{kind} {name} {'is ' + options.word if change(name) else NO_CHANGE[options.word]}")
    return 0
