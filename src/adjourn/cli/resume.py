"""``adjourn resume``: start jobs of paused queues and tasks again."""

from __future__ import annotations

from typing import Any

from adjourn.cli import pauses

HELP = "start jobs of a paused queue or task again, or defer ticks of a paused schedule"


def add_parser(commands: Any) -> None:
    """Add the command."""
    pauses.add_command(
        commands,
        "resume",
        HELP,
        "Start jobs of queues or tasks again, and defer ticks of schedules, that `adjourn pause` has paused. What becomes of the ticks that "
        "came meanwhile is up to `missed` and `max_delay` of the task.",
    )
