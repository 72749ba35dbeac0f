"""Do jobs and sessions wait for each other?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from adjourn._domain.wording import counted, verb
from adjourn.doctor.findings import Check, Finding, critical, ok, warn
from adjourn.doctor.patient import Patient
from adjourn.doctor.queries import HIDDEN_BY_SERVER, masked_query
from adjourn.doctor.words import NAMED, named, span, unseen

LONG_HEADLESS = 30.0
"""Seconds for which a lock may have no job that may run."""
LONG_HELD = 60.0
"""Seconds for which a worker may hold the lock under which jobs are placed."""


def _locks(patient: Patient) -> Iterator[Finding]:
    limits, found, rows = patient.thresholds, False, patient.rows("locks")
    headless = [row["lock"] for row in rows if not row["has_head"] and row["seconds"] > LONG_HEADLESS]
    if headless:
        found = True
        yield warn(
            f"{counted(len(headless), 'lock')} {verb(len(headless), 'has', 'have')} waiting jobs and none that may run: "
            + ", ".join(map(repr, headless[:NAMED])),
            "A worker that is alive mends that within a minute. If it does not, see who holds the lock below, or the check waits.",
        )
    longest = max(rows, key=lambda row: row["seconds"], default=None)
    if longest and longest["seconds"] >= limits.lock_wait_warn:
        found = True
        yield (critical if longest["seconds"] >= limits.lock_wait_critical else warn)(
            f"A job of lock {longest['lock']!r} has waited for {span(longest['seconds'])} behind another one",
            "See what the first job of the lock does.",
            patient.command(f"shell list_jobs lock={shlex.quote(longest['lock'])}"),
            f"lock_wait_warn={limits.lock_wait_warn:g} s",
        )
    for row in patient.rows("lock_holders"):
        if (row["seconds"] or 0) >= LONG_HELD:
            found = True
            yield warn(
                f"Session {row['pid']} ({named(row['application'])}) has placed jobs for {span(row['seconds'])}, and no other worker can",
                "If its worker hangs, end the session.",
                f"select pg_terminate_backend({row['pid']});",
            )
    if not found:
        yield ok(
            f"{counted(len(rows), 'lock')} {verb(len(rows), 'has', 'have')} jobs that wait, in order"
            if rows
            else "No job waits behind a lock"
        )


def _waits(patient: Patient) -> Iterator[Finding]:
    limits, found, hidden = patient.thresholds, False, 0
    for row in patient.rows("waits"):
        if (row["seconds"] or 0) >= limits.blocked_warn:
            found = True
            pids = [pid for pid in row["blockers"] if pid]
            is_prepared = len(pids) < len(row["blockers"])
            blockers = ", ".join([*map(str, pids), *(["a prepared transaction"] if is_prepared else [])])
            who = f"Session {row['pid']} ({named(row['application'])})"
            what = f"{row['table_name'] or 'a row'}, which {blockers or 'another one'} holds"
            texts = [f"{who} has waited for {span(row['seconds'])} for {what}"]
            if (query := _query(row["query"])) is not None:
                texts.append(f"it waits in: {query}")
            if (holder := row["holder"]) and (query := _query(holder["query"])) is not None:
                state = holder["state"] or "state unknown"
                texts.append(f"{pids[0]} ({named(holder['application'])}, {state}) has executed: {query}")
            hidden += HIDDEN_BY_SERVER in (row["query"], (row["holder"] or {}).get("query"))
            yield (critical if row["seconds"] >= limits.blocked_critical else warn)(
                "; ".join(texts),
                "Have the other one commit, or end it."
                if pids or not is_prepared
                else "Commit the prepared transaction or roll it back; the check xmin names the old ones.",
                f"select pg_terminate_backend({pids[0]});" if pids else "",
                f"blocked_warn={limits.blocked_warn:g} s",
            )
    if hidden:
        yield unseen(patient, f"{counted(hidden, 'wait')} {verb(hidden, 'has', 'have')} statements of other roles")
    elif not found:
        yield ok("No session waits for long for one of our tables")


def _query(text: str | None) -> str | None:
    return masked_query(text) if text and text != HIDDEN_BY_SERVER else None


CHECKS = (
    Check(
        "locks",
        "Jobs of a lock run one after the other, so one that hangs holds back all behind it.",
        _locks,
        needs_schema=True,
    ),
    Check("waits", "A statement that waits for somebody else's lock holds up the jobs behind it.", _waits),
)
"""These checks."""
