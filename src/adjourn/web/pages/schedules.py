"""The schedules of periodic tasks: when they were due, what came of it, and when they are due next."""

from __future__ import annotations

import datetime
import time
from collections import Counter
from typing import Any

from adjourn._domain.cron import Cron
from adjourn._domain.wording import counted
from adjourn.exceptions import AlreadyEnqueued, InvalidOption
from adjourn.monitor.reader import Reader
from adjourn.monitor.schedules import Standing, standing_of
from adjourn.sql.reading import LISTED
from adjourn.types import Row
from adjourn.web.page import Action, Done, Page, View
from adjourn.web.pages.pausing import told_waits
from adjourn.web.pages.searching import told_status
from adjourn.web.pictures import Dot
from adjourn.web.pictures import dots as dots_of
from adjourn.web.problems import Conflict, NotFound
from adjourn.web.words import cron_in_words

TICKS = 5
MOST_DRAWN = 100
"""Of so many schedules the last ticks are drawn."""
KEPT = 5.0
"""Seconds for which these are kept."""
SKIPPED, GONE = "skipped", "not stored any more"
OUTCOMES = {
    "succeeded": "good",
    "failed": "bad",
    "aborted": "bad",
    "cancelled": "warn",
    "running": "",
    "waiting": "",
    SKIPPED: "",
    GONE: "",
}
"""What can come of a tick, and how good that is."""


def show(view: View) -> dict[str, Any]:
    """Return the schedules: those that are overdue, then those that are paused, then the others."""
    known = view.app.periodic_registry.periodic_tasks
    rows = view.database.rows("schedules", most=LISTED)
    recent = _recent(view)
    schedules = []
    for row in rows:
        now = datetime.datetime.fromtimestamp(row["now"], datetime.UTC)
        standing = _standing(row)
        schedules.append(
            {
                **row,
                "recent": recent.get((row["task"], row["periodic_id"])),
                "next": _ticks(row["cron"], row["timezone"], now, TICKS),
                "late": standing and standing.overdue,
                "waits": standing and standing.waits,
                "waits_for": standing and standing.waits_for,
                "is_readable": standing is not None,
                "words": cron_in_words(row["cron"]) if standing is not None else None,
                "is_known": (row["task"], row["periodic_id"]) in known,
            }
        )
    schedules.sort(
        key=lambda each: (each["late"] is None, each["paused_at"] is None, each["task"], each["periodic_id"])
    )
    stored = {(row["task"], row["periodic_id"]) for row in rows}
    new = sorted(key for key in known if key not in stored)
    return {"schedules": schedules, "new": [(*key, known[key].cron) for key in new]}


def _standing(row: Row) -> Standing | None:
    """Return how a schedule stands; None if another program has stored what cannot be read here."""
    try:
        return standing_of(row)
    except InvalidOption:
        return None


def _recent(view: View) -> dict[tuple[str, str], dict[str, Any]]:
    """Return, of each schedule, a picture of what came of its last ticks, what it says, and the jobs of those that ended badly."""

    def find(reader: Reader) -> list[Row]:
        return reader.rows("recent_ticks", schedules=MOST_DRAWN)

    nothing: list[Row] = []
    found: dict[tuple[str, str], list[Row]] = {}
    for row in view.site.kept.read(("recent_ticks",), KEPT, find, nothing).found:
        found.setdefault((row["task"], row["periodic_id"]), []).append(row)
    return {key: _drawn(view, rows) for key, rows in found.items()}


def _drawn(view: View, rows: list[Row]) -> dict[str, Any]:
    outcomes = [_outcome(row) for row in rows]
    counts = Counter(outcomes)
    told = ", ".join(f"{counts[each]} {each}" for each in OUTCOMES if counts[each])
    dots = [
        Dot(
            OUTCOMES[outcome],
            f"{view.clock(datetime.datetime.fromtimestamp(row['tick'], datetime.UTC), with_day=True)}: {outcome}",
            is_hollow=outcome in (SKIPPED, GONE),
        )
        for row, outcome in zip(rows, outcomes, strict=True)
    ]
    label = (
        f"The last {counted(len(rows), 'tick')}, the oldest first: {told}"
        if len(rows) > 1
        else f"The last tick: {told}"
    )
    bad = [row["job_id"] for row, outcome in zip(rows, outcomes, strict=True) if OUTCOMES[outcome] in ("bad", "warn")]
    return {"picture": dots_of(dots, label), "told": told, "bad": bad}


def _outcome(row: Row) -> str:
    if row["job_id"] is None:
        return SKIPPED
    return GONE if row["status"] is None else told_status(row["status"])


def _ticks(cron: str, timezone: str, after: datetime.datetime, count: int) -> list[datetime.datetime]:
    """Return the next ticks; none if another program has stored what cannot be read here."""
    found: list[datetime.datetime] = []
    try:
        schedule = Cron(cron, timezone)
        for _ in range(count):
            found.append(schedule.next(found[-1] if found else after))
    except ValueError:
        return []
    return found


def run(view: View) -> Done:
    """Store a job of a schedule's task, as for a tick at this moment."""
    task, periodic_id = view.form.needed("task"), view.form.text("periodic_id")
    found = view.app.periodic_registry.periodic_tasks.get((task, periodic_id))
    if found is None:
        raise NotFound(
            "The app of this dashboard does not declare this schedule, so it does not know its arguments. Name the module that declares it in the "
            "app's import_paths, and start the dashboard again; or defer a job of the task by `adjourn defer`."
        )
    try:
        with view.database.changing() as connection:
            deferrer = found.task.configure(**found.configure_kwargs, connection=connection)
            job_id = deferrer.defer(timestamp=int(time.time()))
            view.app.job_manager.actions.add_audit(
                view.author, "schedule.run", target=task, outcome=f"stored job {job_id}", connection=connection
            )
    except AlreadyEnqueued as error:
        raise Conflict(f"{error} Nothing was stored: let that job run, or cancel it.") from error
    waits = told_waits(view, lambda: [(deferrer.job.queue, deferrer.job.task_name)])
    return Done(f"Job {job_id} of {task} is stored.{waits}", view.url("schedules"))


def pause(view: View) -> Done:
    """Defer no more ticks of a schedule."""
    return _switch(view, pause=True)


def resume(view: View) -> Done:
    """Defer ticks of a schedule again."""
    return _switch(view, pause=False)


def _switch(view: View, *, pause: bool) -> Done:
    task, periodic_id = view.form.needed("task"), view.form.text("periodic_id")
    name = f"{task} ({periodic_id})" if periodic_id else task
    declared = view.app.periodic_registry.periodic_tasks.get((task, periodic_id))
    # One that has not been due yet is stored by its pause.
    new: dict[str, Any] = (
        {} if declared is None else {"cron": declared.cron.expression, "timezone": declared.cron.timezone}
    )
    word = "paused" if pause else "resumed"
    try:
        with view.database.changing() as connection:
            change = view.manager.pause_schedule if pause else view.manager.resume_schedule
            changed = change(task, periodic_id, **new, connection=connection)
    except InvalidOption as error:
        raise NotFound(
            f"There is no schedule of {name}. If a program declares it, it appears with its first tick; else its name is another one.",
            lead=("The schedules that there are", view.url("schedules")),
        ) from error
    text = f"The schedule of {name} is {word}." if changed else f"The schedule of {name} was {word} already."
    waits = "" if pause else told_waits(view, lambda: [(None if declared is None else declared.queue, task)])
    return Done(text + waits, view.url("schedules"))


PAGE = Page(name="schedules", title="Schedules", show=show, key="s")
ACTIONS = (
    Action(name="schedule.run", permission="schedule.run", act=run),
    Action(name="schedule.pause", permission="schedule.pause", act=pause),
    Action(name="schedule.resume", permission="schedule.pause", act=resume),
)
