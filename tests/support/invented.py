"""Runs of the bench that were made up, for the tests of its checker."""

from __future__ import annotations

from typing import Any

from torture.checker import check
from torture.ledger import Entry
from torture.tables import JobRow, Tables, WorkflowRow

PID = 100
OTHER_PID = 200
DAY = 1_000_000.0
"""The wall clock's time when the monotonic clock shows zero."""


class Made:
    """A run that was made up: what happened, second by second, and what the tables hold in the end."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.jobs: dict[int, JobRow] = {}
        self.workers: set[int] = set()
        self.sessions: list[str] = []
        self.workflows: dict[int, WorkflowRow] = {}
        self.effects: list[tuple[int, int]] = []

    def note(self, event: str, at: float, process: str = "bench", **facts: Any) -> None:
        self.entries.append(Entry(event, process, at, DAY + at, facts))

    def defer(self, job: int, at: float, key: str | None = None, **options: Any) -> None:
        facts = {"lock": None, "priority": 0, "queueing_lock": None, "is_scheduled": False, **options}
        self.note("acknowledged", at, "deferrer", job=job, key=key or f"key {job}", asked=at - 0.1, **facts)

    def begin(self, job: int, at: float, claim: int = 1, pid: int = PID, task: str = "quick", **facts: Any) -> None:
        facts = {"lock": None, "claimed": DAY + at, **facts}
        self.note("begin", at, f"worker {pid}", job=job, claim=claim, pid=pid, task=task, **facts)

    def end(self, job: int, at: float, claim: int = 1, pid: int = PID, how: str = "succeeded") -> None:
        self.note("end", at, f"worker {pid}", job=job, claim=claim, pid=pid, how=how)

    def row(self, job: int, status: str = "succeeded", claim: int = 1, task: str = "quick", **more: Any) -> None:
        self.jobs[job] = JobRow(job, task, status, claim, **{"key": f"key {job}", **more})

    def run(self, job: int, at: float, task: str = "quick", **facts: Any) -> None:
        """Defer a job, and run it from ``at`` to a second later."""
        options = {name: value for name, value in facts.items() if name != "claimed"}
        self.defer(job, at - 0.5, **options)
        self.begin(job, at, task=task, lock=facts.get("lock"), claimed=facts.get("claimed", DAY + at))
        self.end(job, at + 1)
        self.row(job, task=task)

    def tables(self) -> Tables:
        flows = list(self.workflows.values())
        return Tables(list(self.jobs.values()), self.workers, self.sessions, flows, self.effects)

    def faults(self) -> set[str]:
        entries = sorted(self.entries, key=lambda entry: entry.monotonic)
        verdict = check(entries, self.tables())
        return {name for name, cases in verdict.faults.items() if cases}
