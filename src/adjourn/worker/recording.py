"""Tells of runs many at a time: for who counts them, which events, one for each job, would cost more than the job does."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from adjourn._domain.claimed import ClaimedJob
from adjourn._runtime import forks
from adjourn.events.subscriptions import RAISED, report
from adjourn.worker.tally import EndedRuns, RunTally

LATEST = 1.0
"""Seconds after which runs are told of that are less than a block of those that a tally counts at once."""

Told: TypeAlias = Callable[[Sequence[ClaimedJob], Sequence[EndedRuns]], object]
"""What is told of the runs that have begun or ended since it was told last."""

_recorders: weakref.WeakKeyDictionary[Any, list[Recorder]] = weakref.WeakKeyDictionary()


class Recorder:
    """Collects the runs of an app's workers in this process until there is a block of them.

    Parameters
    ----------
    told
        Called with them, in whichever thread: one call at a time. What it raises is reported, and harms nobody; it is told of these
        runs no more, as it may have counted some of them.
    """

    def __init__(self, told: Told) -> None:
        self._told = told
        self.renew_locks()
        forks.watch(self)

    def renew_locks(self) -> None:
        """Begin with nothing. In a forked child, what was noted is the parent's to tell, and its loop's timers do not exist."""
        self._telling = threading.Lock()
        self._knowing = threading.Lock()
        self._began: deque[ClaimedJob] = deque()
        self._tallies: weakref.WeakSet[RunTally] = weakref.WeakSet()
        self._is_awaited = False

    def begin(self, job: ClaimedJob) -> None:
        """Note that a run begins. This is called on the event loop of its worker."""
        # This is done for each job, so the rest is done for many at once.
        self._began.append(job)
        if not self._is_awaited:
            self._await()

    def expect(self, tally: RunTally) -> None:
        """Have a tally count in time. This is called on the event loop of its worker."""
        with self._knowing:
            self._tallies.add(tally)
        if not self._is_awaited:
            self._await()

    def _await(self) -> None:
        self._is_awaited = True
        asyncio.get_running_loop().call_later(LATEST, self._tell_in_time)

    def end(self, ended: Sequence[EndedRuns]) -> None:
        """Tell of runs that have ended, and of those that have begun before."""
        self._tell(ended)

    def tell(self) -> None:
        """Tell of what was noted, now. May be called from any thread."""
        with self._knowing:  # the loop of another worker may add its tally meanwhile
            tallies = tuple(self._tallies)
        for tally in tallies:
            tally.count()
        self._tell(())

    def _tell(self, ended: Sequence[EndedRuns]) -> None:
        with self._telling:
            began = _taken(self._began)
            if began or ended:
                try:
                    self._told(began, ended)
                except RAISED as error:  # a full disk, for one, must not harm the job that has just ended
                    report("What counts runs", error)

    def leave(self) -> None:
        """Tell of what was noted, since the event loop of a worker is about to end."""
        self._tell_in_time()

    def _tell_in_time(self) -> None:
        self._is_awaited = False
        self.tell()


def _taken(noted: deque[Any]) -> list[Any]:
    """Take what is there; another thread may append more meanwhile."""
    take = noted.popleft
    return [take() for _ in range(len(noted))]


class _Known:
    """The tallies of the workers in this process, by their apps."""

    def __init__(self) -> None:
        self.renew_locks()
        forks.watch(self)

    def renew_locks(self) -> None:
        """Begin with nothing. In a forked child, a thread of the parent may have held the lock of a tally."""
        self.changing = threading.Lock()
        self.tallies: weakref.WeakKeyDictionary[Any, weakref.WeakSet[RunTally]] = weakref.WeakKeyDictionary()


_known = _Known()


def recorders_of(app: Any) -> list[Recorder]:
    """Return the recorders of an app: always the same list."""
    with _known.changing:
        return _recorders.setdefault(app, [])


def know(app: Any, tally: RunTally) -> None:
    """Have whoever begins to record an app not be told of the runs that a tally has noted before."""
    with _known.changing:
        _known.tallies.setdefault(app, weakref.WeakSet()).add(tally)


def record(app: Any, told: Told) -> tuple[Recorder, Callable[[], None]]:
    """Have a function told of the runs of an app's workers, from now on.

    Parameters
    ----------
    app
        The app.
    told
        The function.

    Returns
    -------
    tuple
        The recorder, and what ends it.
    """
    recorder, recorders = Recorder(told), recorders_of(app)
    with _known.changing:
        tallies = tuple(_known.tallies.get(app, ()))
    for tally in tallies:
        tally.count()
    recorders.append(recorder)

    def end() -> None:
        recorder.tell()  # of what its workers have counted as well, as long as it is among those that are told
        if recorder in recorders:
            recorders.remove(recorder)

    return recorder, end
