"""``adjourn pause``: start no more jobs of queues and tasks."""

from __future__ import annotations

from typing import Any

from adjourn.cli import pauses

HELP = "start no more jobs of a queue or a task, or defer no ticks of a schedule"


def add_parser(commands: Any) -> None:
    """Add the command."""
    pauses.add_command(
        commands,
        "pause",
        HELP,
        "Start no more jobs of queues or tasks, or defer no ticks of schedules. Jobs that run go on, and jobs can still be deferred. It "
        "holds for all workers, at once, until its end or `adjourn resume`.",
    )
