"""What has become of jobs in the past, read once for all who look at the same, and only while somebody does."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import attrs

from adjourn._domain.statistics import BUCKETS, RUN_BOUNDS, WAIT_BOUNDS, Durations
from adjourn.monitor.reader import Reader
from adjourn.monitor.statistics import PeriodFigures, statistics
from adjourn.web.kept import Answer, Kept


@attrs.frozen(kw_only=True)
class Range:
    """How far a history goes back, and in which steps.

    Attributes
    ----------
    name
        Its name in addresses.
    told, step_told
        How it and its steps are told.
    seconds, step
        How long both are.
    kept
        After how many seconds it is read again.
    """

    name: str
    told: str
    step_told: str
    seconds: float
    step: float
    kept: float

    @property
    def last(self) -> str:
        """The range as the end of a sentence, such as ``"the last hour"``."""
        return f"the last {self.told.removeprefix('1 ')}"


RANGES: dict[str, Range] = {
    each.name: each
    for each in (
        Range(name="1h", told="1 hour", step_told="each minute", seconds=3600, step=60, kept=10),
        Range(name="6h", told="6 hours", step_told="each 10 minutes", seconds=6 * 3600, step=600, kept=20),
        Range(name="24h", told="24 hours", step_told="each half hour", seconds=24 * 3600, step=1800, kept=60),
        Range(name="7d", told="7 days", step_told="each 3 hours", seconds=7 * 86400, step=10800, kept=120),
    )
}
BRIEF = Range(name="brief", told="1 hour", step_told="each 5 minutes", seconds=3600, step=300, kept=10)
"""That of the small pictures in lists."""


@attrs.frozen(kw_only=True)
class History:
    """What has become of jobs in a range of time.

    Attributes
    ----------
    range
        The range.
    periods
        What has become of them in each step, the oldest first. The last one is not over.
    error
        Why it could not be read the last time; empty if it could.
    """

    range: Range
    periods: Sequence[PeriodFigures]
    error: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known."""
        return not any(each.jobs for each in self.periods)

    @property
    def run(self) -> Durations:
        """How long all runs took."""
        return _together((each.run for each in self.periods), RUN_BOUNDS)

    @property
    def wait(self) -> Durations:
        """How long all of them were waited for."""
        return _together((each.wait for each in self.periods), WAIT_BOUNDS)

    def count(self, *outcomes: str) -> int:
        """Return how many jobs there were with one of these outcomes."""
        return sum(counted(each, *outcomes) for each in self.periods)

    @property
    def failed_share(self) -> float | None:
        """Which part of the jobs that have succeeded or failed has failed, from 0 to 1; None if there are none."""
        failed, succeeded = self.count("failed"), self.count("succeeded")
        return failed / (failed + succeeded) if failed + succeeded else None


def counted(period: PeriodFigures, *outcomes: str) -> int:
    """Return how many jobs of a period had one of these outcomes."""
    return sum(period.jobs.get(outcome, 0) for outcome in outcomes)


Scope = Literal["all", "queue", "task", "by_queue", "by_task"]
Found = Mapping[str, Sequence[PeriodFigures]]


class Histories:
    """Reads statistics, and keeps them for some seconds.

    Parameters
    ----------
    kept
        Keeps them.
    """

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def of(self, chosen: Range, now: datetime.datetime, *, queue: str = "", task: str = "") -> History:
        """Return the history of a queue, of a task, or of all jobs."""
        scope: Scope = "queue" if queue else "task" if task else "all"
        answer = self._read(scope, queue or task, chosen, now)
        periods = _each(answer.found.get("", ()), chosen, now)
        return History(range=chosen, periods=periods, error=answer.error)

    def by(self, scope: Literal["queue", "task"], now: datetime.datetime) -> dict[str, History]:
        """Return the history of the last hour of each queue, or of each task, that has one."""
        answer = self._read("by_queue" if scope == "queue" else "by_task", "", BRIEF, now)
        return {
            name: History(range=BRIEF, periods=_each(periods, BRIEF, now), error=answer.error)
            for name, periods in answer.found.items()
        }

    def _read(self, scope: Scope, name: str, chosen: Range, now: datetime.datetime) -> Answer[Found]:
        def find(reader: Reader) -> Found:
            return _found(reader, scope, name, chosen, now)

        nothing: Found = {}
        return self._kept.read(("history", chosen.name, scope, name), chosen.kept, find, nothing)


def _found(reader: Reader, scope: Scope, name: str, chosen: Range, now: datetime.datetime) -> Found:
    rows = statistics(
        reader,
        start=_start(chosen, now),
        end=now + datetime.timedelta(minutes=1),
        step=chosen.step,
        queue=name if scope == "queue" else None,
        task=name if scope == "task" else None,
        by_queue=scope == "by_queue",
        by_task=scope == "by_task",
    )
    found: dict[str, list[PeriodFigures]] = {}
    for row in rows:
        found.setdefault(
            (row.queue if scope == "by_queue" else row.task if scope == "by_task" else "") or "", []
        ).append(row)
    return found


def _start(chosen: Range, now: datetime.datetime) -> datetime.datetime:
    """Return when the first step begins: steps are the same whenever somebody looks."""
    first = (now.timestamp() - chosen.seconds) // chosen.step * chosen.step + chosen.step
    return datetime.datetime.fromtimestamp(first, datetime.UTC)


def _each(periods: Sequence[PeriodFigures], chosen: Range, now: datetime.datetime) -> list[PeriodFigures]:
    """Return a period for each step, also where nothing has happened."""
    known = {each.at.timestamp(): each for each in periods}
    start = _start(chosen, now).timestamp()
    count = round(chosen.seconds / chosen.step)
    times: Iterable[float] = (start + place * chosen.step for place in range(count))
    return [known.get(at) or _nothing(at, chosen.step) for at in times]


def _nothing(at: float, step: float) -> PeriodFigures:
    return PeriodFigures(
        at=datetime.datetime.fromtimestamp(at, datetime.UTC),
        seconds=step,
        queue=None,
        task=None,
        jobs={},
        run=_together((), RUN_BOUNDS),
        wait=_together((), WAIT_BOUNDS),
    )


def _together(durations: Iterable[Durations], bounds: Sequence[float]) -> Durations:
    found = Durations(seconds=0.0, counts=[0] * BUCKETS, bounds=bounds)
    for each in durations:
        found += each
    return found
