"""Outcomes of runs that are not stored in the database yet. The outbox keeps them through any outage."""

from __future__ import annotations

from adjourn._domain.jobs import Status
from adjourn._domain.outcomes import Ended, Outcome, Retried, dump_outcomes
from adjourn._domain.protocols import EventsLike
from adjourn.events import ErrorDropped, RetryDropped
from adjourn.exceptions import ConnectorException

LARGEST_BATCH = 1000
_DATA_ERRORS = ("22", "23", "40", "54", "55")


class Outbox:
    """Keeps outcomes until they are stored. One that cannot be stored does not block the others."""

    def __init__(self, events: EventsLike) -> None:
        self._events = events
        self.outcomes: list[Outcome] = []
        self._largest_batch = LARGEST_BATCH

    def __len__(self) -> int:
        return len(self.outcomes)

    @property
    def job_ids(self) -> set[int]:
        """The ids of the jobs that these outcomes belong to."""
        return {each.id for each in self.outcomes}

    def add(self, outcome: Outcome) -> None:
        """Add an outcome."""
        self.outcomes.append(outcome)

    def clear(self) -> None:
        """Forget everything, because these jobs now belong to other workers."""
        self.outcomes = []

    def next_batch(self) -> list[Outcome]:
        """Return the outcomes to store next."""
        return self.outcomes[: self._largest_batch]

    def stored(self, batch: list[Outcome]) -> None:
        """Forget outcomes that have been stored."""
        del self.outcomes[: len(batch)]
        self._largest_batch = LARGEST_BATCH

    def not_stored(self, batch: list[Outcome], error: Exception) -> bool:
        """If their data is the reason, halve the batch until only the outcome that cannot be stored is left. Return
        whether it is.
        """
        if not isinstance(error, ConnectorException):
            return self._reduce_unwritable(batch, error)
        if not batch or not _is_of_data(error):
            return False
        if len(batch) > 1:
            self._largest_batch = len(batch) // 2
            return True
        outcome = self.outcomes.pop(0)
        if _is_unstorable(error):
            self._tell_reduced(outcome, error)
            outcome = _storable(outcome)
        self.outcomes.append(outcome)
        return True

    def _reduce_unwritable(self, batch: list[Outcome], error: Exception) -> bool:
        """Reduce the outcomes that cannot be written as JSON: a retry strategy's values may be of any class."""
        found = [place for place, outcome in enumerate(batch) if not _is_writable(outcome)]
        for place in found:
            self._tell_reduced(batch[place], error)
            self.outcomes[place] = _storable(batch[place])
        return bool(found)

    def _tell_reduced(self, outcome: Outcome, error: Exception) -> None:
        kind = RetryDropped if isinstance(outcome, Retried) else ErrorDropped
        if _storable(outcome) != outcome and self._events.wants(kind):
            self._events.emit(kind(job_id=outcome.id, error=error))


def _storable(outcome: Outcome) -> Outcome:
    """Return what can be stored of an outcome that the database will never accept."""
    if isinstance(outcome, Retried):
        return Ended(outcome.id, outcome.claim, Status.FAILED.value, outcome.error)
    if isinstance(outcome, Ended):
        return Ended(outcome.id, outcome.claim, outcome.status)
    return outcome


def _is_writable(outcome: Outcome) -> bool:
    try:
        dump_outcomes([outcome])
    except Exception:  # whatever it is, the caller reports it
        return False
    return True


def _is_of_data(error: ConnectorException) -> bool:
    """Return whether the database refused the data."""
    return error.sqlstate is not None and error.sqlstate[:2] in _DATA_ERRORS


def _is_unstorable(error: ConnectorException) -> bool:
    """Return whether the database will never accept the data."""
    return error.sqlstate is not None and error.sqlstate.startswith("22")
