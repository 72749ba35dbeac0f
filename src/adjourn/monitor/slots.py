"""The slots of workers, and how many of them jobs take: one count for all who tell it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from adjourn._domain.wording import counted, shown, verb

Row = Mapping[str, Any]


LONG_AWAY = 60.0
"""Seconds after which a worker with free slots is said to have looked for no jobs: it does so every few seconds."""


@attrs.frozen(kw_only=True)
class SlotCount:
    """The slots of some workers.

    Attributes
    ----------
    number
        How many there are, of the workers that have said it.
    taken
        In how many of them a job runs.
    others
        How many jobs of other queues these workers have, by queue.
    kept
        How many are kept empty: their workers run jobs apart from others, are ending, or have looked for no jobs for long.
    apart, ending, away
        The names of these workers. The last ones hang, have lost the database, or wait to be notified.
    """

    number: int = 0
    taken: int = 0
    others: Counter[str] = attrs.field(factory=Counter)
    kept: int = 0
    apart: tuple[str, ...] = ()
    ending: tuple[str, ...] = ()
    away: tuple[str, ...] = ()

    @property
    def are_full(self) -> bool:
        """Whether no job can begin."""
        return self.taken + self.kept >= self.number > 0

    @property
    def told(self) -> str:
        """Whether they are full, and with what: ``all 4 slots of its workers are busy, 3 with jobs of queue reports``."""
        if not self.number:
            return "its workers have not said yet how many slots they have"
        if not self.are_full:
            return "its workers have free slots"
        if self.kept:
            return ", ".join(
                _told(names, *texts)
                for names, texts in (
                    (self.apart, ("runs jobs apart and takes no others", "run jobs apart and take no others")),
                    (self.ending, ("is ending and takes no jobs", "are ending and take no jobs")),
                    (self.away, ("has looked for no jobs lately", "have looked for no jobs lately")),
                )
                if names
            )
        slots = f"all {self.number:,} slots" if self.number > 1 else "the one slot"
        return f"{slots} of its workers {verb(self.number, 'is', 'are')} busy{self._by_others()}"

    def _by_others(self) -> str:
        if not self.others:
            return ""
        (name, most), *more = self.others.most_common()
        if not more:
            return f", {most:,} with jobs of queue {shown(name)}"
        return f", {self.others.total():,} with jobs of other queues, {most:,} of them of queue {shown(name)}"


def _told(names: Sequence[str], one: str, many: str) -> str:
    return f"worker {shown(names[0])} {one}" if len(names) == 1 else f"{counted(len(names), 'worker')} {many}"


def queues_by_worker(working: Iterable[Row]) -> Mapping[int, Sequence[str]]:
    """Return the queues of the jobs that each worker has, from rows of ``sql/monitor/working``."""
    found: dict[int, list[str]] = {}
    for job in working:
        found.setdefault(job["worker_id"], []).append(job["queue"])
    return found


def slots_of(workers: Iterable[Row], working: Mapping[int, Sequence[str]], queue: str | None = None) -> SlotCount:
    """Count the slots of the workers that are alive.

    Parameters
    ----------
    workers
        Rows of ``sql/monitor/crew``.
    working
        The queues of the jobs that each has: see `queues_by_worker`.
    queue
        Only those of the workers that serve this queue.
    """
    serving = serving_of(workers, queue)
    known = [worker for worker in serving if number_of(worker)]
    taken = {worker["id"]: taken_of(worker, len(working.get(worker["id"], ()))) for worker in known}
    free = [worker for worker in known if taken[worker["id"]] < (number_of(worker) or 0)]
    apart = [worker for worker in free if worker["apart"]]
    ending = [worker for worker in free if not worker["apart"] and worker["details"].get("ending")]
    away = [worker for worker in free if worker not in apart and worker not in ending and is_away(worker)]
    return SlotCount(
        number=sum(number_of(worker) or 0 for worker in known),
        taken=sum(taken.values()),
        others=Counter(
            name for worker in serving for name in working.get(worker["id"], ()) if queue not in (None, name)
        ),
        kept=sum((number_of(worker) or 0) - taken[worker["id"]] for worker in (*apart, *ending, *away)),
        apart=_names(apart),
        ending=_names(ending),
        away=_names(away),
    )


def _names(workers: Iterable[Row]) -> tuple[str, ...]:
    return tuple(worker["name"] or str(worker["id"]) for worker in workers)


def serving_of(workers: Iterable[Row], queue: str | None = None) -> Sequence[Row]:
    """Return the workers that are alive, or those of them that serve a queue."""
    return [
        worker
        for worker in workers
        if worker["is_alive"] and (queue is None or worker["queues"] is None or queue in worker["queues"])
    ]


def is_late(worker: Row) -> bool:
    """Return whether a worker that counts as alive has sent no heartbeat for half of the time after which it does not any more."""
    return bool(worker["is_alive"] and worker["silence"] > worker["patience"] / 2)


def is_away(worker: Row) -> bool:
    """Return whether the last round trip of a worker by which it could have claimed jobs was long ago."""
    ago = worker["details"].get("exchanged_ago")
    return ago is not None and ago + worker["silence"] > LONG_AWAY


def number_of(worker: Row) -> int | None:
    """Return how many slots a worker has; None if it has not said it yet."""
    number = (worker["details"] or {}).get("concurrency")
    return None if number is None else int(number)


def taken_of(worker: Row, jobs: int) -> int:
    """Return in how many slots of a worker a job runs, which are no more than it has: jobs that it has claimed ahead are in none.

    Parameters
    ----------
    worker
        A row of ``sql/monitor/crew``.
    jobs
        How many jobs are its own now. It may have said more with its last heartbeat.
    """
    number, told = number_of(worker), max(len(worker["running"]), jobs)
    return told if number is None else min(told, number)
