"""Who waits in this process for jobs to end, in either colour."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Iterable

from adjourn._runtime import forks


class TaskThread(threading.Thread):
    """A thread of a worker that runs tasks."""


def is_in_task() -> bool:
    """Return whether this is such a thread."""
    return isinstance(threading.current_thread(), TaskThread)


class EndsWait:
    """One caller's wait for some jobs.

    Attributes
    ----------
    left
        The ids of those that have not ended, as far as is known.
    seen
        The ids of those whose ends the caller has seen by itself. Who is told of an end has still to look at it.
    turn
        Done when none is left, or when the caller has to look again.
    """

    def __init__(self, ids: Iterable[int]) -> None:
        self.left: set[int] = set(ids)
        self.seen: set[int] = set()
        self.turn: concurrent.futures.Future[None] = concurrent.futures.Future()
        # From here on, a caller that gives up cannot cancel it.
        self.turn.set_running_or_notify_cancel()


class Ends:
    """The waits for jobs of one app.

    Callers first say what they wait for, then mark these jobs in the database, so that no end between the two is missed.
    """

    longest_turn: float = 1.0
    """Seconds after which a caller looks by itself. A subclass that tells of each end makes it infinite."""

    def __init__(self) -> None:
        self.lock: threading.RLock = threading.RLock()
        self.has_told = False
        """Whether it was said that tasks wait here."""
        self._waits: dict[int, set[EndsWait]] = {}
        forks.watch(self)

    def expect(self, ids: Iterable[int]) -> EndsWait:
        """Begin a wait for these jobs. Call `forget` when it is over, however that came."""
        wait = EndsWait(ids)
        with self.lock:
            for id_ in wait.left:
                self._waits.setdefault(id_, set()).add(wait)
        return wait

    def forget(self, wait: EndsWait) -> None:
        """End a wait."""
        with self.lock:
            for id_ in wait.left:
                self._drop(id_, wait)
            wait.left = set()

    def has_seen(self, wait: EndsWait, ids: Iterable[int]) -> None:
        """Note that the caller has seen by itself how some of its jobs have ended."""
        with self.lock:
            wait.seen.update(ids)
            for id_ in wait.left.intersection(wait.seen):
                self._drop(id_, wait)
                wait.left.discard(id_)

    def tell(self, ids: Iterable[int]) -> None:
        """Note that these jobs have ended, and wake the callers for whom none is left."""
        with self.lock:
            for id_ in ids:
                for wait in self._waits.pop(id_, ()):
                    wait.left.discard(id_)
                    if not wait.left:
                        self._wake(wait)

    def have_them_look(self) -> None:
        """Wake all callers, so that each looks by itself."""
        with self.lock:
            for wait in {wait for waits in self._waits.values() for wait in waits}:
                self._wake(wait)

    def attend(self) -> None:
        """Do what it takes to hear of ends: a caller is about to wait. Here that is nothing: callers look by themselves."""

    def dismiss(self) -> bool:
        """End what `attend` has begun as soon as nobody waits, and return whether it has ended."""
        return True

    def expected(self) -> list[int]:
        """Return the ids of all jobs that somebody waits for, in order."""
        with self.lock:
            return sorted(self._waits)

    def renew_locks(self) -> None:
        """Forget the waits of the threads that a forked child does not have."""
        self.lock = threading.RLock()
        self._waits = {}

    def _drop(self, id_: int, wait: EndsWait) -> None:
        waits = self._waits.get(id_)
        if waits is not None:
            waits.discard(wait)
            if not waits:
                del self._waits[id_]

    @staticmethod
    def _wake(wait: EndsWait) -> None:
        if not wait.turn.done():
            wait.turn.set_result(None)
