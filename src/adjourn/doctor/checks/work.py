"""Do jobs run?"""

from __future__ import annotations

import datetime
import shlex
from collections import Counter
from collections.abc import Iterator

from adjourn._domain.cron import Cron
from adjourn._domain.ticks import OVERDUE
from adjourn._domain.wording import counted, shown, verb
from adjourn.doctor.checks.deaths import NAMED, died_of_late
from adjourn.doctor.findings import Check, Finding, critical, ok, unknown, warn
from adjourn.doctor.patient import Patient
from adjourn.doctor.queries import HIDDEN_BY_SERVER, masked_query
from adjourn.doctor.words import named, span, unseen
from adjourn.exceptions import InvalidOption
from adjourn.monitor.reasons import UNSERVED, held_back, told_held, why_late
from adjourn.monitor.slots import queues_by_worker, serving_of, slots_of
from adjourn.monitor.unknown import by_task, waiting
from adjourn.sql.reading import COUNTED
from adjourn.types import Row

LONG_SILENCE = 30.0
"""Seconds without a heartbeat."""
LONG_HELD = 60.0
"""Seconds for which a worker may hold the lock under which jobs are placed."""
OLD_QUEUEING_LOCK = 86_400.0
LONG_RUN = 60.0
"""Seconds that a job may run in any case."""
OF_LATE = 24.0
"""Hours in which runs of its task tell how long one takes,"""
ENOUGH = 100
"""if there were so many."""


def _workers(patient: Patient) -> Iterator[Finding]:
    queues, found = patient.rows("ready_queues"), False
    alive = [worker for worker in patient.workers if worker["is_alive"]]
    for finding in died_of_late(patient):
        found = True
        yield finding
    if not alive:
        if queues:
            oldest = max(queues, key=lambda row: row["seconds"])
            yield critical(
                f"No worker is alive, and jobs wait in {counted(len(queues), 'queue')}, the oldest for {span(oldest['seconds'])}",
                "Start a worker.",
                "adjourn --app=... worker",
            )
        else:
            yield warn(
                "No worker is alive",
                "Start a worker. Without one, scheduled and periodic jobs do not run.",
                "adjourn --app=... worker",
            )
        return
    silent = [worker for worker in patient.workers if not worker["is_dead"] and worker["silence"] > LONG_SILENCE]
    if silent:
        found = True
        names = ", ".join(f"{named(worker['name'])} ({worker['id']})" for worker in silent[:NAMED])
        yield warn(
            f"{counted(len(silent), 'worker')} {verb(len(silent), 'has', 'have')} been silent for up to "
            f"{span(max(worker['silence'] for worker in silent))}: {names}",
            "Look at their processes. Others take their jobs over when their time is up.",
        )
    if not any(worker["queues"] is None for worker in alive):
        served = {queue for worker in alive for queue in worker["queues"]}
        unserved = [row["queue"] for row in queues if row["queue"] not in served]
        if unserved:
            found = True
            names = ", ".join(map(repr, unserved[:NAMED]))
            yield warn(
                f"Jobs wait in {counted(len(unserved), 'queue')} that no worker serves: {names}",
                "Start a worker for them, or let one serve all queues.",
                f"adjourn --app=... worker --queues={shlex.quote(unserved[0])}",
            )
    versions = Counter(row["details"]["version"] for row in patient.crew[0] if row["is_alive"] and _version(row))
    if len(versions) > 1:
        found = True
        told = ", ".join(f"{shown(version)} ({count})" for version, count in sorted(versions.items()))
        yield warn(
            f"Workers of {len(versions)} versions of adjourn are alive: {told}",
            "All is well while a new release is rolled out. Otherwise restart the older ones.",
        )
    overdue = sum(worker["overdue"] for worker in patient.workers)
    if overdue:
        found = True
        yield warn(
            f"{counted(overdue, 'job')} {verb(overdue, 'was', 'were')} asked to end and {verb(overdue, 'has', 'have')} not: each holds a slot",
            "List them, and restart their workers if they hang.",
            "adjourn --app=... shell list_jobs status=doing",
        )
    if not found:
        yield ok(f"{counted(len(alive), 'worker')} {verb(len(alive), 'is', 'are')} alive")


def _version(worker: Row) -> bool:
    return isinstance(worker["details"], dict) and isinstance(worker["details"].get("version"), str)


def _jobs(patient: Patient) -> Iterator[Finding]:
    limits, found = patient.thresholds, False
    for row in patient.rows("ready_queues"):
        if row["seconds"] >= limits.ready_warn:
            found = True
            why, remedy = _why_late(patient, row["queue"])
            yield (critical if row["seconds"] >= limits.ready_critical else warn)(
                f"Job {row['id']} of queue {row['queue']!r} could have run for {span(row['seconds'])}: {why}",
                remedy,
                f"adjourn --app=... shell list_jobs queue={shlex.quote(row['queue'])} status=todo",
                f"ready_warn={limits.ready_warn:g} s",
            )
    for pause in patient.rows("pauses"):
        found = True
        yield warn(
            f"{pause['scope'].capitalize()} {pause['name']!r} has been paused{_by(pause)} for {span(pause['seconds'])}{_until(pause)}: none "
            "of its jobs starts",
            "Resume it when its jobs may run.",
            f"adjourn --app=... resume --{pause['scope']}={shlex.quote(pause['name'])}",
        )
    waits = patient.row("overdue_jobs")
    for name, text in (
        ("scheduled", "A scheduled job is overdue"),
        ("unplaced", "A job with a lock has waited to be placed"),
    ):
        if (waits[name] or 0) >= limits.overdue_warn:
            found = True
            yield warn(
                f"{text} for {span(waits[name])}",
                "Workers do this as they look for jobs: see the check workers.",
                "",
                f"overdue_warn={limits.overdue_warn:g} s",
            )
    for finding in _unknown(patient):
        found = True
        yield finding
    if waits["apart"]:
        found = True
        yield warn(
            f"{_at_most(waits['apart'])} to run apart from others, because workers died while they had them",
            "Look into the logs of those workers: memory, or a crash in C code.",
            "adjourn --app=... shell list_jobs waits_for=turn",
        )
    if lost := patient.rows("lost_jobs"):
        found = True
        ids = ", ".join(str(row["id"]) for row in lost[:NAMED])
        yield warn(
            f"{counted(len(lost), 'job')} {verb(len(lost), 'belongs', 'belong')} to workers that are not alive: {ids}",
            "A worker that is alive takes them over within seconds: see the check workers.",
        )
    if (waits["queueing_lock"] or 0) >= OLD_QUEUEING_LOCK:
        found = True
        yield warn(
            f"A job has held its queueing lock for {span(waits['queueing_lock'])}: no other one with it can be deferred",
            "See why that job does not run.",
            "adjourn --app=... shell list_jobs status=todo",
        )
    for finding in _lasting(patient):
        found = True
        yield finding
    if not found:
        yield ok("No job that could run has waited for long")


def _why_late(patient: Patient, queue: str) -> tuple[str, str]:
    """Return why jobs of a queue wait that could run, as the dashboard says it, and what to do."""
    crew, working = patient.crew
    if not serving_of(crew, queue):
        return UNSERVED, "Start a worker for this queue; see the check workers."
    slots = slots_of(crew, queues_by_worker(working), queue)
    held = held_back(patient.rows("limits")).get(queue, ())
    told = "; ".join(filter(None, (why_late(slots, held, is_served=True), told_held(held))))
    if slots.kept and slots.are_full:
        return told, "Start another worker for this queue, or wait until the jobs that run apart have ended."
    if slots.are_full:
        return told, "Start more workers for this queue, or raise their concurrency."
    return (
        told,
        "See what keeps them: a worker that hangs, or a database that is slow. More workers would not help.",
    )


def _by(pause: Row) -> str:
    return f" by {shown(pause['by'])}" if pause["by"] else ""


def _until(pause: Row) -> str:
    reason = f" ({shown(pause['reason'])})" if pause["reason"] else ""
    return reason + (
        f", and will be for {span(pause['seconds_left'])} more" if pause["seconds_left"] is not None else ""
    )


def _unknown(patient: Patient) -> Iterator[Finding]:
    tasks = by_task(patient.rows("unknown"))
    for task in tasks[:NAMED]:
        yield warn(
            f"No worker knows task {task['task']!r}: {waiting(task)}",
            "Deploy the workers with the module that declares it; after unknown_task_timeout such a job fails.",
            f"adjourn --app=... shell list_jobs waits_for=task task={shlex.quote(task['task'])}",
        )
    if len(tasks) > NAMED:
        yield warn(
            f"No worker knows {counted(len(tasks) - NAMED, 'other task')} of which jobs wait",
            "Deploy the workers with the modules that declare them.",
            "adjourn --app=... shell list_jobs waits_for=task",
        )


def _lasting(patient: Patient) -> Iterator[Finding]:
    """Yield the jobs that run for much longer than those of their task do."""
    running = [row for row in patient.crew[1] if (row["seconds"] or 0) >= LONG_RUN]
    usual, factor = patient.usual(OF_LATE) if running else {}, patient.thresholds.run_warn
    for row in running:
        runs = usual.get(row["task"])
        most = runs.percentile(99) if runs is not None and runs.count >= ENOUGH else None
        if most is not None and row["seconds"] >= factor * most:
            yield warn(
                f"Job {row['id']} of task {row['task']!r} has run for {span(row['seconds'])}; 99 of 100 of its runs took {span(most)} at most",
                "See what it does, and abort it if it hangs. A task may have a time-out.",
                f"adjourn --app=... shell abort {row['id']}",
                f"run_warn={factor:g} times",
            )


def _at_most(number: int) -> str:
    return (
        f"{COUNTED:,} jobs or more wait"
        if number >= COUNTED
        else f"{counted(number, 'job')} {verb(number, 'waits', 'wait')}"
    )


def _locks(patient: Patient) -> Iterator[Finding]:
    limits, found, rows = patient.thresholds, False, patient.rows("locks")
    headless = [row["lock"] for row in rows if not row["has_head"] and row["seconds"] > LONG_SILENCE]
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
            f"adjourn --app=... shell list_jobs lock={shlex.quote(longest['lock'])}",
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


def _schedules(patient: Patient) -> Iterator[Finding]:
    rows, found = patient.rows("schedules"), False
    known = {(periodic.task.name, periodic.periodic_id) for periodic in patient.periodic_tasks}
    now = datetime.datetime.fromtimestamp(patient.row("server")["now"], datetime.UTC)
    for row in rows:
        what = f"{row['task']}" + (f" ({row['periodic_id']})" if row["periodic_id"] else "")
        if known and (row["task"], row["periodic_id"]) not in known:
            found = True
            yield warn(
                f"The schedule of {what} is in the database, and this app does not have it",
                "If it was removed, workers forget it by themselves after a while. If not, name its module in import_paths.",
            )
            continue
        if row["paused"] is not None:
            found = True
            which = f" --periodic-id={shlex.quote(row['periodic_id'])}" if row["periodic_id"] else ""
            yield warn(
                f"The schedule of {what} has been paused{_by(row)} for {span(row['paused'])}{_until(row)}: none of its ticks is deferred",
                "Resume it when its jobs are wanted again.",
                f"adjourn --app=... resume --schedule={shlex.quote(row['task'])}{which}",
            )
            continue
        try:
            cron = Cron(row["cron"], row["timezone"])
        except InvalidOption as error:
            found = True
            yield unknown(f"The schedule of {what} cannot be read: {error}")
            continue
        first = cron.next(datetime.datetime.fromtimestamp(row["last_tick"], datetime.UTC))
        overdue, interval = (now - first).total_seconds(), (cron.next(first) - first).total_seconds()
        if overdue > OVERDUE:
            found = True
            yield (critical if overdue > max(5 * interval, 600.0) else warn)(
                f"The tick of {what} is overdue by {span(overdue)}",
                "Ticks are deferred by workers: see the check workers. A job that still waits with its queueing lock holds the "
                "next one back.",
                f"adjourn --app=... shell list_jobs task={shlex.quote(row['task'])} status=todo",
            )
        elif (row["job_waits"] or 0.0) > max(min(interval, 600.0), OVERDUE):
            found = True
            yield warn(
                f"The last job of {what} could have run for {span(row['job_waits'])}",
                "See why the jobs of its queue wait: the check jobs. While it waits with its queueing lock, ticks are left out.",
                f"adjourn --app=... shell list_jobs task={shlex.quote(row['task'])} status=todo",
            )
    if not found:
        yield ok(
            f"{counted(len(rows), 'schedule')} {verb(len(rows), 'is', 'are')} on time"
            if rows
            else "No schedule is known yet"
        )


CHECKS = (
    Check(
        "workers",
        "Only workers run jobs, make scheduled ones due, and defer periodic ones.",
        _workers,
        needs_schema=True,
    ),
    Check(
        "jobs", "The age of the oldest job that could run says whether the workers keep up.", _jobs, needs_schema=True
    ),
    Check(
        "locks",
        "Jobs of a lock run one after the other, so one that hangs holds back all behind it.",
        _locks,
        needs_schema=True,
    ),
    Check("waits", "A statement that waits for somebody else's lock holds up the jobs behind it.", _waits),
    Check("schedules", "A tick that nobody defers is a job that does not exist.", _schedules, needs_schema=True),
)
"""These checks."""
