"""The statement that searches jobs."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

from adjourn._memory.list_statements import last_error
from adjourn._memory.statements import answers
from adjourn._memory.tables import JobRow, Tables
from adjourn.types import Row

_MATCHES: dict[str, Callable[[JobRow, Any], bool]] = {
    "statuses": lambda job, value: job.status in value,
    "queue": lambda job, value: job.queue == value,
    "task": lambda job, value: job.task_name == value,
    "lock": lambda job, value: job.lock == value,
    "queueing_lock": lambda job, value: job.queueing_lock == value,
    "worker_id": lambda job, value: job.worker_id == value,
    "waits_for": lambda job, value: job.waits_for == value,
    "priority": lambda job, value: job.priority == value,
    "min_attempts": lambda job, value: job.attempts >= value,
    "error": lambda job, value: value in last_error(job),
    "args": lambda job, value: _contains(json.loads(job.args), value),
}
_IS_LOOKED_AT: dict[str, Callable[[JobRow, Any], bool]] = {
    "statuses": lambda job, value: job.finished_as != "succeeded" or "succeeded" in value,
    "ids": lambda job, value: job.id in value,
    "up_to_id": lambda job, value: job.id <= value,
    "finished_after": lambda job, value: job.finished_at is not None and job.finished_at >= _time(value),
    "finished_before": lambda job, value: job.finished_at is not None and job.finished_at < _time(value),
}


@answers
def search_jobs(
    tables: Tables,
    *,
    filter: str,  # noqa: A002 - the statement's parameter
    newest: bool,
    is_live: bool | None,
    after_id: int | None,
    budget: int,
    seconds: float,
    limit: int,
) -> list[Row]:
    """Walk through jobs until enough match, or enough were looked at."""
    wanted = json.loads(filter)
    found: list[JobRow] = []
    looked, last = 0, None
    for job in _walk(tables, wanted, newest, is_live, after_id):
        looked, last = looked + 1, job
        if all(matches(job, wanted[name]) for name, matches in _MATCHES.items() if name in wanted):
            found.append(job)
        if len(found) == limit or looked == budget:
            break
    else:
        return _rows(tables, found, looked, last, is_complete=True)
    return _rows(tables, found, looked, last, is_complete=False)


def _walk(
    tables: Tables, wanted: dict[str, Any], newest: bool, is_live: bool | None, after_id: int | None
) -> list[JobRow]:
    """Return the jobs to look at, in order."""
    walk = []
    for lives in (True, False):
        if lives and is_live is False:
            continue
        if "waits_for" in wanted and not lives:
            continue
        kinds = ("todo", "doing") if lives else ("succeeded", "failed", "cancelled", "aborted")
        if "statuses" in wanted and not set(wanted["statuses"]) & set(kinds):
            continue
        jobs = sorted((tables.jobs if lives else tables.finished).values(), key=lambda job: job.id, reverse=newest)
        for job in jobs:
            if is_live is lives and after_id is not None and (job.id >= after_id if newest else job.id <= after_id):
                continue
            if all(counts(job, wanted[name]) for name, counts in _IS_LOOKED_AT.items() if name in wanted):
                walk.append(job)
    return walk


def _rows(tables: Tables, found: list[JobRow], looked: int, last: JobRow | None, *, is_complete: bool) -> list[Row]:
    reached: Row = {
        "looked": looked,
        "is_live": None if last is None else last.finished_as is None,
        "reached_id": None if last is None else last.id,
        "reached_at": None if last is None else last.finished_at or last.enqueued_at,
        "is_complete": is_complete,
    }
    rows: list[Row] = [job.columns(tables.now) for job in found] or [{"id": None}]
    return [{**reached, **row} for row in rows]


def _contains(value: Any, part: Any) -> bool:
    """Return whether jsonb has a part, as its operator ``@>`` says."""
    if isinstance(part, dict):
        return isinstance(value, dict) and all(
            name in value and _contains(value[name], each) for name, each in part.items()
        )
    if isinstance(part, list):
        return isinstance(value, list) and all(any(_contains(each, wanted) for each in value) for wanted in part)
    # Python takes True for one.
    return bool(value == part) and isinstance(value, bool) == isinstance(part, bool)


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)
