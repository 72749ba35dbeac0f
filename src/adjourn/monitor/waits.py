"""What jobs wait for, in words."""

from __future__ import annotations

from collections.abc import Mapping

WAITS_FOR: Mapping[str, str] = {
    "time": "its time",
    "event": "an event",
    "retry": "its next attempt",
    "lock": "its lock",
    "task": "a worker that knows its task",
    "turn": "a turn apart from other jobs",
    "jobs": "other jobs",
    "limit": "a place under a limit",
    "pause": "the end of a pause",
    "worker": "a worker",
}
"""What each of the words says that the column ``waits_for`` of ``adjourn_all_jobs`` has."""
