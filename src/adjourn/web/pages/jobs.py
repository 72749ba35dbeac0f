"""The jobs that match filters, page by page, with how far the search has looked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from adjourn._domain.jobs import Job
from adjourn._domain.search import MOST_FOUND
from adjourn.monitor.waits import WAITS_FOR
from adjourn.types import Row
from adjourn.web.bulk import KINDS
from adjourn.web.failures import told_error
from adjourn.web.inputs import MOST_TEXT
from adjourn.web.page import Page, View
from adjourn.web.pages.pausing import pauses_of
from adjourn.web.pages.searching import (
    FIRST_LOOK,
    FURTHER_LOOK,
    NAMES,
    PART,
    STATUSES,
    carried,
    change_of,
    search,
    search_due,
    told_status,
    wanted_by,
)
from adjourn.web.problems import BadInput

MOST_PAUSES = 5
"""So many pauses are told above a list."""
LONGEST_ARGUMENTS = 120
"""Characters of the arguments in a row."""
COLUMNS = {
    "queue": "Queue",
    "args": "Arguments",
    "attempts": "Attempts",
    "at": "When",
    "priority": "Priority",
    "lock": "Lock",
    "queueing_lock": "Queueing lock",
    "worker": "Worker",
    "stored": "Stored",
    "due": "Due",
    "began": "Began",
    "ended": "Ended",
    "took": "Took",
}
"""The columns that can be chosen, besides the id, the task and the status."""
ORDERS = {"newest": "newest first", "oldest": "oldest first", "due": "soonest due first"}
USUAL = ("queue", "args", "attempts", "at")
NUMBERS = ("attempts", "priority", "worker", "took")
AT_ONCE = ("retry", "cancel", "delete")
"""What can be done at once with the jobs that are chosen; the next page has all that can."""


def show(view: View) -> dict[str, Any]:
    """Return a page of jobs. If the filters are not valid, it has no jobs: it says why, and keeps the form as it was filled in."""
    try:
        return _found(view)
    except BadInput as error:
        view.status = 400
        return {**_form(view, usual_columns(view)), "refused": error.text}


def _found(view: View) -> dict[str, Any]:
    query = view.query
    order = query.choice("order", ORDERS, "newest")
    after = query.text("after") or None
    limit = query.number("limit", 50, least=10, most=200) or 50
    is_further = query.flag("further")
    change = change_of(view, query)
    wanted = wanted_by(view, query, change)
    columns = chosen_columns(view)
    named = wanted.get("ids", ())
    if named and change is None:
        # One page has all of them, and is not full: so it is known to be the end.
        limit = max(limit, len(set(named)) + 1)
    can_choose = view.may("bulk") and not view.site.is_read_only
    look = FURTHER_LOOK if is_further else FIRST_LOOK
    if order == "due":
        page = search_due(view, wanted, after=after, look=look, limit=limit)
    else:
        page = search(view, wanted, newest=order == "newest", after=after, look=look, limit=limit)
    return {
        **_form(view, columns),
        "refused": "",
        "jobs": [row(view, job) for job in page.jobs],
        "pauses": _pauses(view, page.jobs),
        "page": page,
        "limit": limit,
        "is_filtered": bool(wanted),
        "is_first": after is None,
        "is_full": len(page.jobs) == limit,
        "change": change,
        "part": query.number("part", 1) or 1,
        "parts": 0 if change is None else -(-len(change.ids) // PART),
        "named": 0 if change is not None else len(set(named)),
        "missing": sorted(set(named) - {job.id for job in page.jobs if job.id is not None}),
        "numbers": NUMBERS,
        "can_choose": can_choose,
        "at_once": {name: KINDS[name] for name in AT_ONCE if view.may(KINDS[name].permission)},
    }


def _pauses(view: View, jobs: Sequence[Job]) -> list[Row]:
    """Return the pauses that hold up jobs of a page."""
    waiting = [job for job in jobs if job.status == "todo"]
    if not waiting:
        return []
    return pauses_of(view.database.rows("pauses"), [(job.queue, job.task_name) for job in waiting])[:MOST_PAUSES]


def _form(view: View, columns: list[str]) -> dict[str, Any]:
    """Return what the form shows: what somebody has filled in, whether or not it is valid."""
    given = view.query.values
    return {
        "typed": {name: given[name][-1][:MOST_TEXT] if given.get(name) else "" for name in NAMES},
        "order": given["order"][-1] if given.get("order", [""])[-1] in ORDERS else "newest",
        "orders": ORDERS,
        "carried": carried(view.query),
        "statuses": STATUSES,
        "waited_for": WAITS_FOR,
        "chosen": ",".join(given.get("status", ())),
        "chosen_told": " or ".join(told_status(each) for value in given.get("status", ()) for each in value.split(",")),
        "ids": [each for each in given.get("job", []) if each][:MOST_FOUND],
        "columns": columns,
        "choices": {name: told for name, told in COLUMNS.items() if name != "args" or not view.site.hides_args},
        "kept": {} if columns == usual_columns(view) else {"column": columns},
    }


def usual_columns(view: View) -> list[str]:
    """Return the columns that there are if nobody has chosen any."""
    return [name for name in USUAL if name != "args" or not view.site.hides_args]


def chosen_columns(view: View) -> list[str]:
    """Return the columns that the address names, in their order.

    Raises
    ------
    BadInput
        If it names one that there is not.
    """
    asked, usual = view.query.several("column", COLUMNS), usual_columns(view)
    return [name for name in asked if name != "args" or "args" in usual] if asked else usual


def row(view: View, job: Job) -> dict[str, Any]:
    """Return what a row shows of a job."""
    arguments = None
    if not view.site.hides_args:
        arguments = json.dumps(view.site.masked(job.task_name, job.task_kwargs, job), ensure_ascii=False, default=str)
        if len(arguments) > LONGEST_ARGUMENTS:
            arguments = f"{arguments[:LONGEST_ARGUMENTS]}…"
    hide = view.site.hides(job)
    last = job.errors[-1] if job.errors else None
    return {
        "job": job,
        "args": arguments,
        "error": None if last is None else hide(told_error(last))[:200],
        "seconds": (job.finished_at - job.started_at).total_seconds() if job.finished_at and job.started_at else None,
        "at": job.finished_at or job.started_at or job.scheduled_at or job.enqueued_at,
    }


PAGE = Page(name="jobs", title="Jobs", show=show, key="j")
