"""Do jobs run?"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence

from adjourn._domain.wording import counted, shown, verb
from adjourn._sync.managers.exchange import PATIENCE
from adjourn.doctor.checks.deaths import died_of_late
from adjourn.doctor.findings import Check, Finding, critical, ok, warn
from adjourn.doctor.late import reason_of
from adjourn.doctor.patient import Patient
from adjourn.doctor.words import NAMED, named, paused_by, paused_until, span
from adjourn.monitor.slots import slots_of
from adjourn.monitor.unknown import by_task, waiting
from adjourn.monitor.waits import WAITS_FOR
from adjourn.sql.reading import COUNTED
from adjourn.types import Row

LONG_SILENCE = 30.0
"""Seconds without a heartbeat."""
LONG_RUN = 60.0
"""Seconds that a job may run in any case."""
OF_LATE = 24.0
"""Hours in which runs of its task tell how long one takes,"""
ENOUGH = 100
"""if there were so many."""
FEW = 20
"""So many jobs of a queue tell how long they take in it."""


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
                patient.command("worker"),
            )
        else:
            yield warn(
                "No worker is alive",
                "Start a worker. Without one, scheduled and periodic jobs do not run.",
                patient.command("worker"),
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
                patient.command(f"worker --queues={shlex.quote(unserved[0])}"),
            )
    versions = Counter(row["details"]["version"] for row in patient.crew[0] if row["is_alive"] and _told_version(row))
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
            patient.command("shell list_jobs status=doing"),
        )
    for finding in _single(patient, [row["queue"] for row in queues]):
        found = True
        yield finding
    if not found:
        yield ok(f"{counted(len(alive), 'worker')} {verb(len(alive), 'is', 'are')} alive")


def _single(patient: Patient, queues: Sequence[str]) -> Iterator[Finding]:
    """Yield the queues in which jobs wait that have one slot, and long jobs in it, behind which others have waited."""
    narrow = [name for name in queues if slots_of(patient.crew[0], {}, name).number == 1]
    past = patient.past(OF_LATE) if narrow else {}
    for name in narrow:
        figures = past.get(name)
        if figures is None or figures.run.count < FEW:
            continue
        ran, waited = figures.run.percentile(95) or 0.0, figures.wait.percentile(95) or 0.0
        if min(ran, waited) >= LONG_RUN:
            yield warn(
                f"Queue {name!r} has one slot and long jobs: of the last day's, one in 20 ran for {span(ran)} or more, and one in 20 waited for "
                f"{span(waited)} or more",
                "Let its worker run several jobs at once, or start another one.",
                patient.command(f"worker --queues={shlex.quote(name)} --concurrency=4"),
            )


def _told_version(worker: Row) -> bool:
    return isinstance(worker["details"], dict) and isinstance(worker["details"].get("version"), str)


def _jobs(patient: Patient) -> Iterator[Finding]:
    found = False
    for look in (_late, _unready, _paused, _unknown, _apart, _lost, _queueing_lock, _lasting):
        for finding in look(patient):
            found = True
            yield finding
    if not found:
        yield ok("No job that could run has waited for long")


def _late(patient: Patient) -> Iterator[Finding]:
    """Yield the queues whose oldest job that is ready has waited for long."""
    limits = patient.thresholds
    for row in patient.rows("ready_queues"):
        if row["seconds"] >= limits.ready_warn:
            reason = reason_of(patient, row["queue"])
            yield (critical if row["seconds"] >= limits.ready_critical else warn)(
                f"Job {row['id']} of queue {row['queue']!r} could have run for {span(row['seconds'])}: {reason.text}",
                reason.remedy,
                reason.statement,
                f"ready_warn={limits.ready_warn:g} s",
            )


def _unready(patient: Patient) -> Iterator[Finding]:
    """Yield the queues with jobs that could run, if only a worker had looked whether they are due or their locks are free."""
    limits = patient.thresholds
    for row in patient.rows("unready_queues"):
        if row["seconds"] >= limits.overdue_warn:
            reason = reason_of(patient, row["queue"])
            yield warn(
                f"A job of queue {row['queue']!r} has been due, or its lock free, for {span(row['seconds'])}, and no worker has looked: {reason.text}",
                f"Workers see to this as they look for jobs. {reason.remedy}",
                reason.statement,
                f"overdue_warn={limits.overdue_warn:g} s",
            )


def _paused(patient: Patient) -> Iterator[Finding]:
    for pause in patient.rows("pauses"):
        yield warn(
            f"{pause['scope'].capitalize()} {pause['name']!r} has been paused{paused_by(pause['by'])} for "
            f"{span(pause['seconds'])}{paused_until(pause['reason'], pause['seconds_left'])}: none of its jobs starts",
            "Resume it when its jobs may run.",
            patient.command(f"resume --{pause['scope']}={shlex.quote(pause['name'])}"),
        )


def _apart(patient: Patient) -> Iterator[Finding]:
    if number := patient.waiting_jobs["apart"]:
        yield warn(
            f"{_at_most(number)} to run apart from others, because workers died while they had them",
            "Look into the logs of those workers: memory, or a crash in C code.",
            patient.command("shell list_jobs waits_for=turn"),
        )


def _lost(patient: Patient) -> Iterator[Finding]:
    if lost := patient.rows("lost_jobs"):
        ids = ", ".join(str(row["id"]) for row in lost[:NAMED])
        yield warn(
            f"{counted(len(lost), 'job')} {verb(len(lost), 'belongs', 'belong')} to workers that are not alive: {ids}",
            "A worker that is alive takes them over within seconds: see the check workers.",
        )


def _queueing_lock(patient: Patient) -> Iterator[Finding]:
    row, limits = patient.waiting_jobs, patient.thresholds
    if (row["seconds"] or 0) >= limits.queueing_lock_warn:
        what = WAITS_FOR.get(row["waits_for"] or "")
        yield warn(
            f"Job {row['id']} of task {row['task']!r} has held queueing lock {row['lock']!r} for {span(row['seconds'])}, as it waits for "
            f"{what or 'something'}: no other one with it can be deferred",
            "See why that job does not run, and cancel it if nobody needs it.",
            patient.command(f"shell show {row['id']}"),
            f"queueing_lock_warn={limits.queueing_lock_warn:g} s",
        )


def _unknown(patient: Patient) -> Iterator[Finding]:
    tasks, patience = by_task(patient.rows("unknown")), unknown_task_patience(patient)
    for task in tasks[:NAMED]:
        left = patience - (task["seconds"] or 0.0)
        fails = f"the first fails in {span(left)}" if left > 0 else "the first is about to fail"
        is_declared = task["task"] in patient.app.tasks
        told = f"No worker knows task {task['task']!r}"
        if is_declared:
            told = f"A worker that does not know task {task['task']!r} has met its jobs"
        remedy = (
            "This app declares it: see whether workers of it that serve this queue are alive and have free slots, and which worker of "
            "another app or an older release serves it, too."
        )
        yield warn(
            f"{told}: {waiting(task)}; {fails}",
            f"{remedy if is_declared else 'Deploy the workers with the module that declares it.'} A worker fails a job that has waited for {span(patience)} "
            "(its option unknown_task_timeout, if it was not started with another one); it can be run again later.",
            patient.command(f"shell list_jobs waits_for=task task={shlex.quote(task['task'])}"),
        )
    if len(tasks) > NAMED:
        yield warn(
            f"No worker knows {counted(len(tasks) - NAMED, 'other task')} of which jobs wait",
            "Deploy the workers with the modules that declare them.",
            patient.command("shell list_jobs waits_for=task"),
        )


def unknown_task_patience(patient: Patient) -> float:
    """Return for how many seconds workers of the app keep a job whose task they do not know, unless they were started with another option."""
    patience = patient.app.worker_defaults.get("unknown_task_timeout")
    return PATIENCE if patience is None else patience


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
                patient.command(f"shell abort {row['id']}"),
                f"run_warn={factor:g} times",
            )


def _at_most(number: int) -> str:
    return (
        f"{COUNTED:,} jobs or more wait"
        if number >= COUNTED
        else f"{counted(number, 'job')} {verb(number, 'waits', 'wait')}"
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
)
"""These checks."""
