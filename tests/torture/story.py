"""What a ledger tells, put together: runs of jobs, answers to deferrers, and what was done to both."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torture.ledger import Entry

FAR = float("inf")


@dataclass
class Run:
    """One run of a job's body.

    Attributes
    ----------
    begun, ended
        By the monotonic clock. A run that did not end because its process was killed ended then.
    how
        How the body ended, by its own account; None if it did not say.
    claimed
        When the database gave the job to the worker, by the database's clock.
    left
        When it began to commit its own end, if it did: from then on others may have its lock and its places.
    facts
        What else the body said of itself.
    """

    job: int
    claim: int
    task: str
    lock: str | None
    pid: int
    begun: float
    claimed: float
    ended: float = FAR
    how: str | None = None
    left: float = FAR
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def over(self) -> float:
        """When others may have had its lock and its places, at the earliest."""
        return min(self.ended, self.left)


@dataclass
class Deferred:
    """One call of ``defer`` that was answered with an id."""

    job: int
    key: str
    asked: float
    acknowledged: float
    acknowledged_wall: float
    lock: str | None
    priority: int
    queueing_lock: str | None
    is_scheduled: bool
    same: str | None = None
    """Its unique key."""


@dataclass
class Story:
    """What a ledger tells, put together.

    Attributes
    ----------
    runs
        The runs of each job, in the order of their claims.
    deferred
        The acknowledged defers, by the job's id.
    rolled_back
        The keys of the jobs that were deferred in transactions that were rolled back.
    faults
        The times, by the wall clock, in which the servers or all workers were disturbed.
    killed
        When each process was killed.
    paused
        The processes that were stopped for a while.
    declared_dead
        When each process has learnt last that it was declared dead.
    to_wall
        What to add to a monotonic time to have that of the wall clock. A worker's own wall clock may be wrong on purpose.
    others
        The entries of which only some checks know, by their events.
    """

    runs: dict[int, list[Run]] = field(default_factory=lambda: defaultdict(list))
    deferred: dict[int, Deferred] = field(default_factory=dict)
    rolled_back: set[str] = field(default_factory=set)
    faults: list[tuple[float, float]] = field(default_factory=list)
    killed: dict[int, float] = field(default_factory=dict)
    paused: set[int] = field(default_factory=set)
    declared_dead: dict[int, float] = field(default_factory=dict)
    served: tuple[float, float] | None = None
    counts: Counter[str] = field(default_factory=Counter)
    strange: list[str] = field(default_factory=list)
    to_wall: float = 0.0
    others: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))


def tell(entries: Iterable[Entry]) -> Story:
    """Put the entries of a ledger together."""
    entries = list(entries)
    story = Story()
    story.to_wall = next((entry.wall - entry.monotonic for entry in entries if entry.process == "bench"), 0.0)
    open_runs: dict[tuple[int, int, int], Run] = {}
    for entry in entries:
        story.counts[entry.event] += 1
        match entry.event:
            case "begin":
                run = Run(
                    entry["job"],
                    entry["claim"],
                    entry["task"],
                    entry["lock"],
                    entry["pid"],
                    entry.monotonic,
                    entry["claimed"],
                    facts=entry.facts,
                )
                story.runs[run.job].append(run)
                open_runs[run.job, run.claim, run.pid] = run
            case "end":
                run = open_runs.pop((entry["job"], entry["claim"], entry["pid"]))
                run.ended, run.how = entry.monotonic, entry["how"]
            case "leaving":
                open_runs[entry["job"], entry["claim"], entry["pid"]].left = entry.monotonic
            case "acknowledged":
                story.deferred[entry["job"]] = Deferred(
                    entry["job"],
                    entry["key"],
                    entry["asked"],
                    entry.monotonic,
                    entry.monotonic + story.to_wall,
                    entry["lock"],
                    entry["priority"],
                    entry["queueing_lock"],
                    entry["is_scheduled"],
                    entry.get("same"),
                )
            case "rolled_back":
                story.rolled_back.add(entry["key"])
            case "strange":
                story.strange.append(f"{entry.process}: {entry['error']}")
            case "killed":
                story.killed[entry["pid"]] = entry.monotonic
            case "paused":
                story.paused.add(entry["pid"])
            case "declared dead":
                story.declared_dead[entry["pid"]] = entry.monotonic
            case "disturbed":
                story.faults.append((entry.wall, FAR))
            case "undisturbed":
                story.faults[-1] = (story.faults[-1][0], entry.wall)
            case "served":
                story.served = (entry.wall, FAR)
            case "stopping" if story.served:
                story.served = (story.served[0], entry.wall)
            case _:
                story.others[entry.event].append(entry)
    for run in open_runs.values():
        run.ended = story.killed.get(run.pid, FAR)
    for runs in story.runs.values():
        runs.sort(key=lambda run: (run.claim, run.begun))
    return story


def told(runs: Sequence[Run]) -> str:
    return "; ".join(
        f"job {run.job} claim {run.claim} pid {run.pid} {run.begun:.3f}-{run.ended:.3f} {run.how or 'no end'}"
        for run in runs
    )


def may_have_succeeded(run: Run) -> bool:
    """Whether a body ended in success, or was cut off when it had begun to commit the end of its job."""
    return run.how == "succeeded" or run.left < FAR
