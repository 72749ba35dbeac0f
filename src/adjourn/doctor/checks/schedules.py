"""Are the ticks of periodic tasks deferred, and do their jobs run?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from adjourn._domain.wording import counted, verb
from adjourn.doctor.findings import Check, Finding, critical, ok, unknown, warn
from adjourn.doctor.patient import Patient
from adjourn.doctor.words import paused_by, paused_until, span
from adjourn.exceptions import InvalidOption
from adjourn.monitor.schedules import standing_of
from adjourn.types import Row

MOST = 1_000
"""How many schedules are looked at."""


def _schedules(patient: Patient) -> Iterator[Finding]:
    rows, found = patient.rows("schedules", most=MOST), False
    known = {(periodic.task.name, periodic.periodic_id) for periodic in patient.periodic_tasks}
    for row in rows:
        what = f"{row['task']}" + (f" ({row['periodic_id']})" if row["periodic_id"] else "")
        if known and (row["task"], row["periodic_id"]) not in known:
            finding: Finding | None = warn(
                f"The schedule of {what} is in the database, and this app does not have it",
                "If it was removed, workers forget it by themselves after a while. If not, name its module in import_paths.",
            )
        elif row["paused_at"] is not None:
            finding = _paused(patient, row, what)
        else:
            finding = _judged(patient, row, what)
        if finding is not None:
            found = True
            yield finding
    if not found:
        yield ok(
            f"{counted(len(rows), 'schedule')} {verb(len(rows), 'is', 'are')} on time"
            if rows
            else "No schedule is known yet"
        )


def _paused(patient: Patient, row: Row, what: str) -> Finding:
    which = f" --periodic-id={shlex.quote(row['periodic_id'])}" if row["periodic_id"] else ""
    ends_at = row["pause_ends_at"]
    until = paused_until(row["pause_reason"], None if ends_at is None else ends_at - row["now"])
    return warn(
        f"The schedule of {what} has been paused{paused_by(row['paused_by'])} for {span(row['now'] - row['paused_at'])}{until}: none of "
        "its ticks is deferred",
        "Resume it when its jobs are wanted again.",
        patient.command(f"resume --schedule={shlex.quote(row['task'])}{which}"),
    )


def _judged(patient: Patient, row: Row, what: str) -> Finding | None:
    try:
        standing = standing_of(row)
    except InvalidOption as error:
        return unknown(f"The schedule of {what} cannot be read: {error}")
    look = patient.command(f"shell list_jobs task={shlex.quote(row['task'])} status=todo")
    if standing.overdue is not None:
        return (critical if standing.is_critical else warn)(
            f"The tick of {what} is overdue by {span(standing.overdue)}",
            "Ticks are deferred by workers: see the check workers. A job that still waits with its queueing lock holds the "
            "next one back.",
            look,
        )
    if standing.waits is not None:
        for_what = f" for {standing.waits_for}" if standing.waits_for else ""
        return warn(
            f"The last job of {what} has waited for {span(standing.waits)}{for_what}",
            "See why the jobs of its queue wait: the check jobs. While it waits with its queueing lock, ticks are left out.",
            look,
        )
    return None


CHECKS = (Check("schedules", "A tick that nobody defers is a job that does not exist.", _schedules, needs_schema=True),)
"""These checks."""
