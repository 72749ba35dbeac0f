"""Filters of jobs, as addresses and forms carry them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from adjourn._domain.checks import DUE
from adjourn._domain.jobs import Job
from adjourn._domain.search import MOST_FOUND, JobPage, checked_search, position_of
from adjourn._domain.times import time_or_none
from adjourn.exceptions import InvalidOption
from adjourn.monitor.waits import WAITS_FOR
from adjourn.types import JSONDict
from adjourn.web.inputs import Inputs
from adjourn.web.page import View
from adjourn.web.problems import BadInput

STATUSES = ("todo", "doing", "succeeded", "failed", "cancelled", "aborted")
TEXTS = ("queue", "task", "lock", "queueing_lock", "error")
NAMES = (
    "status",
    *TEXTS,
    "worker",
    "waits_for",
    "priority",
    "attempts",
    "args",
    "after_time",
    "before_time",
    "job",
    "change",
    "part",
)
"""The filters, by the names that addresses have."""
RETRYING = "retrying"
"""What addresses call jobs that wait to be tried again."""
FIRST_LOOK = 100_000
FURTHER_LOOK = 1_000_000
LONGEST = 1.5
"""Seconds of a walk: a query of the dashboard may take two."""
MOST_DEPTH = 5
FIRST_DUE = "0001-01-01T00:00:00+00:00"
MOST_DUE = 20_000
"""So many jobs that wait for their time are looked at at once."""
PART = MOST_FOUND
"""So many of the jobs of a change are looked for at a time."""
WORKER = "worker "
"""How the target of the note of a worker begins that was declared dead."""


def filters_of(inputs: Inputs) -> JSONDict:
    """Return the filters of an address or a form, as the search takes them.

    Raises
    ------
    BadInput
        If one is not valid; the message names it.
    """
    statuses = [text for value in inputs.values.get("status", ()) for text in value.split(",") if text]
    for status in statuses:
        if status not in (*STATUSES, RETRYING):
            raise BadInput("status", f"{status[:40]!r} is none of {', '.join((*STATUSES, RETRYING))}.")
    attempts = inputs.number("attempts", most=2**31 - 1)
    if RETRYING in statuses:
        if len(statuses) > 1:
            raise BadInput("status", f"{RETRYING!r} stands alone: leave the other ones out.")
        statuses, attempts = ["todo"], max(1, attempts or 0)
    try:
        return checked_search(
            ids=inputs.ids("job") or None,
            statuses=statuses or None,
            worker_id=inputs.number("worker"),
            waits_for=inputs.choice("waits_for", WAITS_FOR) or None,
            priority=inputs.number("priority", least=-(2**31), most=2**31 - 1),
            min_attempts=attempts,
            args=_arguments(inputs),
            finished_after=inputs.moment("after_time"),
            finished_before=inputs.moment("before_time"),
            up_to_id=inputs.number("up_to"),
            **{name: inputs.text(name) or None for name in TEXTS},
        )
    except InvalidOption as error:
        raise BadInput("filter", str(error)) from error


@attrs.frozen
class Change:
    """A change of many jobs, as this process or the audit knows it.

    Attributes
    ----------
    id
        Its id.
    ids
        Those of the jobs that it has changed.
    is_known
        Whether this process knows it.
    is_death
        Whether it is no change: these are the jobs of a worker that was declared dead.
    """

    id: str
    ids: Sequence[int]
    is_known: bool
    is_death: bool = False

    @property
    def target(self) -> str:
        """What its notes in the audit are about."""
        return self.id if self.is_death else f"bulk {self.id}"


def wanted_by(view: View, inputs: Inputs, change: Change | None = None) -> JSONDict:
    """Return the filters of an address or a form. One may be a change of many jobs: it stands for those that it has changed, a thousand at a time.

    Parameters
    ----------
    view, inputs
        The request, and the address or the form.
    change
        That change, if the caller has looked it up.

    Raises
    ------
    BadInput
        If one is not valid, or nobody knows the change.
    """
    wanted = filters_of(inputs)
    change = change or change_of(view, inputs)
    if change is None:
        return wanted
    first = PART * ((inputs.number("part", 1, least=1, most=10_000) or 1) - 1)
    part = list(change.ids[first : first + PART])
    if not part:
        raise BadInput("part", f"it has changed {len(change.ids):,} jobs: pass a smaller number.")
    return {**wanted, "ids": [each for each in part if each in set(wanted.get("ids", part))]}


def change_of(view: View, inputs: Inputs) -> Change | None:
    """Return the change of many jobs that an address or a form names; None if it names none.

    Raises
    ------
    BadInput
        If nobody knows it.
    """
    id_ = inputs.text("change", most=64)
    if not id_:
        return None
    bulk = view.site.bulks.find(id_)
    if bulk is not None:
        return Change(id_, bulk.changed, is_known=True)
    change = Change(id_, (), is_known=False, is_death=id_.startswith(WORKER))
    ids = [job_id for row in view.database.rows("changed", target=change.target) for job_id in row["ids"]]
    if not ids:
        raise BadInput("change", "nobody knows such a change any more: old notes of the audit are deleted.")
    return attrs.evolve(change, ids=ids)


def carried(inputs: Inputs) -> dict[str, Any]:
    """Return the filters as parameters for addresses and forms."""
    return {name: inputs.values[name] for name in NAMES if any(inputs.values.get(name, ()))}


def told_filter(view: View, wanted: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a filter in words: what of a job has to be what."""
    return [
        (_NAMED.get(name, name.replace("_", " ")), _value(view, name, value))
        for name, value in wanted.items()
        if name != "up_to_id"
    ]


_NAMED = {
    "statuses": "status",
    "min_attempts": "attempts at least",
    "worker_id": "worker",
    "error": "error has",
    "args": "arguments have",
    "ids": "chosen jobs",
    "finished_after": "ended at or after",
    "finished_before": "ended before",
}


def _value(view: View, name: str, value: Any) -> str:
    if name == "statuses":
        return " or ".join(told_status(each) for each in value)
    if name == "waits_for":
        return WAITS_FOR[value]
    if name in ("finished_after", "finished_before"):
        return datetime.datetime.fromisoformat(value).astimezone(view.zone).strftime("%Y-%m-%d %H:%M:%S %Z")
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def told_status(status: str) -> str:
    """Return a status as people call it."""
    return {"todo": "waiting", "doing": "running"}.get(status, status)


def search_due(view: View, wanted: JSONDict, *, after: str | None, look: int, limit: int) -> JobPage:
    """Search jobs that wait for their time, the soonest due first.

    Raises
    ------
    BadInput
        If ``after`` is not the position of a page, or jobs of another status are wanted.
    """
    other = set(wanted.get("statuses", ("todo",))) - {"todo"}
    if other or {"finished_after", "finished_before", "worker_id"} & wanted.keys():
        raise BadInput(
            "order", "only jobs that wait have a time when they are due: leave out other statuses, ends and workers."
        )
    if wanted.get("waits_for", DUE["waits_for"][0]) not in DUE["waits_for"]:
        raise BadInput("order", f"jobs that wait for {WAITS_FOR[wanted['waits_for']]} have no time when they are due.")
    at, _, id_ = (after or f"{FIRST_DUE}_0").rpartition("_")
    try:
        datetime.datetime.fromisoformat(at)
        after_id = int(id_)
    except ValueError:
        raise BadInput("after", "it is no place in this list: begin again.") from None
    rows = view.database.rows(
        "due", filter=json.dumps(wanted), after_at=at, after_id=after_id, budget=min(look, MOST_DUE), limit=limit
    )
    first = rows[0]
    return JobPage(
        jobs=[Job.from_row(row, json.loads) for row in rows if row["id"] is not None],
        looked=first["looked"],
        reached_at=time_or_none(first["reached_at"]),
        position=None if first["is_complete"] else f"{first['reached_at']}_{first['reached_id']}",
    )


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
    except (ValueError, RecursionError):
        value = text
    if not isinstance(value, dict):
        raise BadInput("args", f"arguments are found by their names. {_instead(text, value)}")
    if _depth(value) > MOST_DEPTH:
        raise BadInput("args", f"it is more than {MOST_DEPTH} deep: look for less.")
    return value


def _instead(text: str, value: Any) -> str:
    """Return what to write instead of something that is no JSON object."""
    if text[0] in "{[":
        return 'Write them in JSON, such as {"user": 7}, or {"user": "ann"} for a text; inner ones, too: {"user": {"id": 7}}.'
    told = json.dumps(value, ensure_ascii=False)[:100]
    return f'Write {{"NAME": {told}}}, with the name of the argument in place of NAME; to look for {text[:40]!r} in errors, use "Error has".'


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)
