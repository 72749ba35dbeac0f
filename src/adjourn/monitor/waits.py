"""What jobs wait for, in words."""

from __future__ import annotations

from collections.abc import Mapping

WAITS_FOR: Mapping[str, str] = {
    "time": "its time",
    "retry": "its retry",
    "event": "an event",
    "lock": "its lock",
    "task": "a worker that knows its task",
    "turn": "its turn to run apart",
    "jobs": "other jobs",
    "limit": "a limit",
    "pause": "the end of a pause",
    "worker": "a worker",
}
"""What each of the words says that the column ``waits_for`` of ``adjourn_all_jobs`` has."""
