"""Lets blocking calls of several threads share a commit.

A commit costs far more than an insert. One call at a time leads: it takes what other threads wait to store, stores all of it
in one commit, wakes them, and passes the lead on to one that has come meanwhile. A thread that is alone leads itself and stores
its job as if there were no group. A leader of few calls after one of many waits for a moment: threads that were just served
often call again.

Whatever ends a leader, the others go on: the lead is passed on in any case, and a thread that waits looks now and then
whether the call that leads is over.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from adjourn._domain.jobs import Job
from adjourn._runtime import forks
from adjourn.exceptions import AdjournException, ConnectorException, WrongCaller

T = TypeVar("T")

LARGEST_GROUP = 1000
LINGER = 0.0001
"""Seconds that a leader waits for the threads that were served last."""
LOOK = 1.0
"""Seconds after which a waiting thread looks whether the call that leads is over."""


class SharedCall(Generic[T]):
    """One thread's call. All but ``turn`` changes under the group's lock, or by the leader that has taken it."""

    __slots__ = ("error", "is_over", "item", "job", "taken_by", "turn")

    def __init__(self, item: T) -> None:
        self.item: T = item
        self.turn: threading.Lock | None = None
        """Released when the call is served, or leads."""
        self.taken_by: SharedCall[T] | None = None
        self.job: Job | None = None
        self.error: BaseException | None = None
        self.is_over: bool = False


class ThreadGroup(Generic[T]):
    """Stores jobs of several threads together.

    Parameters
    ----------
    store_one, store_many
        Store what one call stores, or several in one transaction, and return jobs with their ids. They do not encode
        arguments: an encoder of the user's may need what its own thread has, or has locked.
    """

    def __init__(self, store_one: Callable[[T], Job], store_many: Callable[[Sequence[T]], list[Job]]) -> None:
        self._store_one = store_one
        self._store_many = store_many
        self.renew_locks()
        forks.watch(self)

    def renew_locks(self) -> None:
        """Forget the calls of other threads, which do not exist in a forked child."""
        self._lock = threading.Lock()
        self._leader: SharedCall[T] | None = None
        self._waiting: deque[SharedCall[T]] = deque()
        self._inside: set[int] = set()
        self._last = 1
        """How many calls the last leader has served."""

    def defer(self, item: T) -> Job:
        """Store a job, alone or with those of other threads, and return it with its id."""
        thread = threading.get_ident()
        if thread in self._inside:
            # A signal handler or a finalizer has interrupted a call of this thread, which cannot go on before it ends.
            return self._store_one(item)
        call = SharedCall(item)
        try:
            self._inside.add(thread)
            return self._take_part(call)
        finally:
            call.is_over = True
            self._inside.discard(thread)

    def _take_part(self, call: SharedCall[T]) -> Job:
        try:
            with self._lock:
                if not self._may_lead():
                    call.turn = threading.Lock()
                    call.turn.acquire()
                    self._waiting.append(call)
                else:
                    self._leader = call
            if self._leader is call or self._comes_to_lead(call):
                return self._lead(call)
        finally:
            self._pass_on(call)
        if call.job is not None:
            return call.job
        if call.error is not None:
            raise call.error
        return self._store_one(call.item)

    def _may_lead(self) -> bool:
        return self._leader is None or self._leader.is_over

    def _comes_to_lead(self, call: SharedCall[T]) -> bool:
        """Wait until a call is served, and return False, or until it leads."""
        assert call.turn is not None
        while not call.turn.acquire(timeout=LOOK):
            with self._lock:
                if call.taken_by is None and self._may_lead():
                    self._waiting.remove(call)
                    self._leader = call
                    return True
                if call.taken_by is not None and call.taken_by.is_over:
                    call.error = call.error or (None if call.job else _interrupted())
                    return False
        return self._leader is call

    def _lead(self, call: SharedCall[T]) -> Job:
        if len(self._waiting) < self._last - 1:
            time.sleep(LINGER)
        group = [call]
        with self._lock:
            while self._waiting and len(group) < LARGEST_GROUP:
                other = self._waiting.popleft()
                other.taken_by = call
                group.append(other)
        self._last = len(group)
        if self._last == 1:
            return self._store_one(call.item)
        try:
            self._store(group)
        finally:
            for other in group[1:]:
                assert other.turn is not None
                other.turn.release()
        if call.job is not None:
            return call.job
        if call.error is not None:
            raise call.error
        return self._store_one(call.item)

    def _store(self, group: list[SharedCall[T]]) -> None:
        """Store a group. If nothing of it was stored, each thread stores its job alone, and gets only its own error."""
        try:
            for call, job in zip(group, self._store_many([call.item for call in group]), strict=True):
                call.job = job
        except AdjournException as error:
            # If the connection or a loop was lost meanwhile, it is not known whether the group was stored.
            if isinstance(error, WrongCaller) or (isinstance(error, ConnectorException) and not error.was_refused):
                for call in group:
                    call.error = error
        except BaseException as error:
            # A signal is for this thread alone.
            theirs = error if isinstance(error, Exception) else _interrupted()
            for call in group[1:]:
                call.error = theirs
            raise

    def _pass_on(self, call: SharedCall[T]) -> None:
        """If a call leads, let one that waits lead; if it waits, which an interrupt has ended, leave."""
        with self._lock:
            if call in self._waiting:
                self._waiting.remove(call)
            if self._leader is call:
                self._leader = self._waiting.popleft() if self._waiting else None
                if self._leader is not None and self._leader.turn is not None:
                    self._leader.turn.release()


def _interrupted() -> ConnectorException:
    return ConnectorException(
        "The thread that stored this job together with its own was interrupted, so it is not known whether the job was stored."
    )
