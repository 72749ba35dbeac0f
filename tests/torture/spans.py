"""How many jobs ran at once under something that only so many may have: a lock, a limit, a unique key."""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from torture.story import Run

Span = tuple[float, float, Run]
"""From when to when a run counts."""


def spans(runs_of_jobs: Iterable[Sequence[Run]], names_of: Callable[[Run], Iterable[str]]) -> dict[str, list[Span]]:
    """Return for each name the times in which runs had it, in the order of their begins.

    A run that was rescued counts until the same job runs again, or one that had ended before it in the same process and was
    rescued with it: what a worker that was taken for dead still does cannot be stopped.
    """
    runs_of_jobs = list(runs_of_jobs)
    again: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for runs in runs_of_jobs:
        for run, later in itertools.pairwise(runs):
            for name in names_of(run):
                again[name, run.pid].append((run.ended, later.begun))
    found: dict[str, list[Span]] = defaultdict(list)
    for runs in runs_of_jobs:
        following: list[Run | None] = [*runs[1:], None]
        for run, after in zip(runs, following, strict=True):
            if after is not None and run.begun > after.begun:
                continue
            for name in names_of(run):
                ends = [run.over]
                if after is not None:
                    before = (begun for ended, begun in again[name, run.pid] if ended <= run.begun < begun)
                    ends += [after.begun, *before]
                found[name].append((run.begun, min(ends), run))
    for each in found.values():
        each.sort(key=lambda span: span[:2])
    return found


def beyond(ordered: Iterable[Span], most: int) -> Iterator[list[Run]]:
    """Yield the runs that ran at once, each time that one more began than may run."""
    return (present for present in _present(ordered) if len(present) > most)


def most_at_once(ordered: Iterable[Span]) -> int:
    """Return how many runs ran at once."""
    return max(map(len, _present(ordered)), default=0)


def _present(ordered: Iterable[Span]) -> Iterator[list[Run]]:
    """Yield who runs whenever one begins."""
    numbers = itertools.count()
    present: list[tuple[float, int, Run]] = []
    for begun, ended, run in ordered:
        while present and present[0][0] <= begun:
            heapq.heappop(present)
        heapq.heappush(present, (ended, next(numbers), run))
        yield [each for _, _, each in present]
