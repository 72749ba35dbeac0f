"""Filters of jobs, as addresses and forms carry them."""

from __future__ import annotations

import json
from typing import Any

from adjourn._domain.search import JobPage, checked_search, position_of
from adjourn.exceptions import InvalidOption
from adjourn.types import JSONDict
from adjourn.web.inputs import Inputs
from adjourn.web.page import View
from adjourn.web.problems import BadInput

STATUSES = ("todo", "doing", "succeeded", "failed", "cancelled", "aborted")
TEXTS = ("queue", "task", "lock", "queueing_lock", "error")
NAMES = ("status", *TEXTS, "worker", "priority", "attempts", "args", "after_time", "before_time", "job")
"""The filters, by the names that addresses have."""
FIRST_LOOK = 100_000
FURTHER_LOOK = 1_000_000
LONGEST = 1.5
"""Seconds of a walk: a query of the dashboard may take two."""
MOST_DEPTH = 5


def filters_of(inputs: Inputs) -> JSONDict:
    """Return the filters of an address or a form, as the search takes them.

    Raises
    ------
    BadInput
        If one is not valid; the message names it.
    """
    statuses = [text for value in inputs.values.get("status", ()) for text in value.split(",") if text]
    for status in statuses:
        if status not in STATUSES:
            raise BadInput("status", f"{status[:40]!r} is none of {', '.join(STATUSES)}.")
    try:
        return checked_search(
            ids=inputs.ids("job") or None,
            statuses=statuses or None,
            worker_id=inputs.number("worker"),
            priority=inputs.number("priority", least=-(2**31), most=2**31 - 1),
            min_attempts=inputs.number("attempts", most=2**31 - 1),
            args=_arguments(inputs),
            finished_after=inputs.moment("after_time"),
            finished_before=inputs.moment("before_time"),
            up_to_id=inputs.number("up_to"),
            **{name: inputs.text(name) or None for name in TEXTS},
        )
    except InvalidOption as error:
        raise BadInput("filter", str(error)) from error


def carried(inputs: Inputs) -> dict[str, Any]:
    """Return the filters as parameters for addresses and forms."""
    return {name: inputs.values[name] for name in NAMES if any(inputs.values.get(name, ()))}


def search(view: View, wanted: JSONDict, *, newest: bool, after: str | None, look: int, limit: int) -> JobPage:
    """Search jobs on a connection of the dashboard.

    Raises
    ------
    BadInput
        If ``after`` is not the position of a page.
    """
    try:
        is_live, after_id = position_of(after)
    except InvalidOption as error:
        raise BadInput("after", str(error)) from error
    rows = view.database.rows(
        "search",
        filter=json.dumps(wanted),
        newest=newest,
        is_live=is_live,
        after_id=after_id,
        budget=look,
        seconds=LONGEST,
        limit=limit,
    )
    return JobPage.of(rows, json.loads)


def _arguments(inputs: Inputs) -> Any:
    text = inputs.text("args", most=2048).strip()
    if not text:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise BadInput("args", 'it is no JSON object: pass one such as {"user": {"id": 7}}.')
    if _depth(value) > MOST_DEPTH:
        raise BadInput("args", f"it is more than {MOST_DEPTH} deep: look for less.")
    return value


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)
