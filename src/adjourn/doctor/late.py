"""Why jobs of a queue wait that could run, and what to do about it."""

from __future__ import annotations

import shlex

import attrs

from adjourn.doctor.patient import Patient
from adjourn.monitor.reasons import UNSERVED, held_back, told_held, why_late
from adjourn.monitor.slots import queues_by_worker, serving_of, slots_of

LATELY = 300.0
"""Seconds in which the end of jobs shows that a queue moves."""


@attrs.frozen
class WhyLate:
    """Why jobs of a queue wait.

    Attributes
    ----------
    text
        Why, as the dashboard says it.
    remedy
        What to do.
    statement
        A command to paste.
    """

    text: str
    remedy: str
    statement: str


def reason_of(patient: Patient, queue: str) -> WhyLate:
    """Return why jobs of a queue wait that could run."""
    crew, working = patient.crew
    more = patient.command(f"worker --queues={shlex.quote(queue)}")
    if not serving_of(crew, queue):
        return WhyLate(UNSERVED, "Start a worker for this queue; see the check workers.", more)
    slots = slots_of(crew, queues_by_worker(working), queue)
    held = held_back(patient.limits).get(queue, ())
    told = "; ".join(filter(None, (why_late(slots, held, is_served=True), told_held(held))))
    if slots.kept and slots.are_full:
        remedy = (
            "Start another worker for this queue, or wait until the jobs that run apart have ended."
            if slots.apart
            else "Start another worker for this queue, and see in its log why that one looks for no jobs: a task that blocks the event loop, a "
            "database that does not answer it, or notifications that do not arrive (the check pooler)."
            if slots.away
            else "Start another worker for this queue."
        )
        return WhyLate(told, remedy, more)
    if slots.are_full:
        return WhyLate(told, "Start more workers for this queue, or raise their concurrency.", more)
    if patient.ended_in(LATELY).get(queue):
        return WhyLate(
            f"{told} now and then, and its jobs do end",
            "More comes than is done: start more workers for this queue.",
            more,
        )
    return WhyLate(
        told,
        "None of its jobs has ended in the last minutes. Look into the logs of its workers; the check xmin names sessions that may have locked "
        "these jobs.",
        patient.command("shell list_workers"),
    )
