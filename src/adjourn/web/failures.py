"""Why jobs fail: the errors of those that failed last, by their class, with how many there are of each and since when."""

from __future__ import annotations

import json
from typing import Any

from adjourn._domain.jobs import Job
from adjourn.monitor.reader import Reader
from adjourn.types import JSONDict, Row
from adjourn.web.page import View

LOOK = 5000
"""So many jobs that have not succeeded are looked at, the newest ones,"""
MOST = 500
"""and of so many that have failed among them, the errors."""
LISTED = 8
KEPT = 10.0
"""Seconds for which they are shown."""
LONGEST_MESSAGE = 200


def failures(view: View, *, queue: str = "", task: str = "") -> dict[str, Any]:
    """Return what the macro ``failures`` of ``failures.html`` shows of a queue, of a task, or of all jobs."""

    def find(reader: Reader) -> list[Row]:
        return reader.rows("failures", queue=queue or None, task=task or None, look=LOOK, most=MOST, listed=LISTED)

    nothing: list[Row] = []
    answer = view.site.kept.read(("failures", queue, task), KEPT, find, nothing)
    looked = answer.found[0] if answer.found else None
    kinds = [_kind(view, row, queue, task) for row in answer.found if row["jobs"] is not None]
    return {
        "error": answer.error,
        "looked": looked,
        "is_full": looked is not None and looked["matched"] >= MOST,
        "kinds": kinds,
        "more": kinds and answer.found[0]["kinds"] - len(kinds),
        "has_tasks": not task,
    }


def told_class(error: JSONDict) -> str:
    """Return the class of an error."""
    return str(error.get("exception")).removeprefix("builtins.")


def told_error(error: JSONDict) -> str:
    """Return the class and the message of an error. Hide secrets before it is cut: a part of one would be seen."""
    return f"{told_class(error)}: {error.get('message')}"


def _kind(view: View, row: Row, queue: str, task: str) -> dict[str, Any]:
    # Somebody may have deleted the newest job meanwhile.
    job = None if row["id"] is None else Job.from_row(row, json.loads)
    last = job.errors[-1] if job is not None and job.errors else None
    exception = row["exception"]
    # The list finds the class as it is stored, with the colon that ends it.
    wanted = {"queue": queue or None, "task": row["failed_task"], "error": exception and f"{exception}: "}
    return {
        "task": row["failed_task"],
        "name": "no error was stored" if exception is None else told_class(row),
        "message": None
        if job is None or last is None
        else view.site.hides(job)(str(last.get("message")))[:LONGEST_MESSAGE],
        "jobs": row["jobs"],
        "first_at": row["first_at"],
        "last_at": row["last_at"],
        "last_id": None if job is None else job.id,
        "wanted": {"status": "failed", **wanted},
    }
