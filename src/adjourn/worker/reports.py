"""What the exchange tells of its worker and its jobs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from adjourn._domain.outcomes import Ended, HandedBack, Outcome, Unknown
from adjourn._domain.protocols import EventsLike
from adjourn.events import OutcomeLost, OutcomeRefused, OutcomeStored, WorkerEvent, WorkerIdentity


class Reports:
    """Emits the events of one exchange.

    Parameters
    ----------
    events
        Who is told.
    identity
        Returns the worker's present identity.
    """

    def __init__(self, events: EventsLike, identity: Callable[[], WorkerIdentity]) -> None:
        self._events = events
        self._identity = identity

    def tell(self, kind: type[WorkerEvent], **facts: Any) -> None:
        """Tell of the worker."""
        if self._events.wants(kind):
            self._events.emit(kind(worker=self._identity(), **facts))

    def stored(self, batch: Iterable[Outcome], refused: Collection[int], held: Collection[int]) -> None:
        """Tell what became of the outcomes of a batch."""
        if refused and self._events.wants(OutcomeRefused):
            for each in batch:
                # A job that is not ours to hand back has been handed back, or rescued: nothing is lost.
                if each.id in refused and not isinstance(each, HandedBack | Unknown):
                    self._events.emit(OutcomeRefused(job_id=each.id))
        if self._events.wants(OutcomeStored):
            for each in batch:
                if isinstance(each, Ended) and each.id not in refused and each.id not in held:
                    self._events.emit(OutcomeStored(job_id=each.id, status=each.status))

    def lost(self, waiting: Iterable[Outcome]) -> int:
        """Tell of the outcomes that are lost with this worker, and return how many these are."""
        lost = [each.id for each in waiting if not isinstance(each, HandedBack | Unknown)]
        if self._events.wants(OutcomeLost):
            for job_id in lost:
                self._events.emit(OutcomeLost(job_id=job_id))
        return len(lost)
