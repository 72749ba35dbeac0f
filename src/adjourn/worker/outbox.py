"""Outcomes of runs that are not stored in the database yet. The outbox keeps them through any outage.

An outcome that cannot be stored yet, because another transaction has locked its job or because the database refuses it,
is set aside and tried again after longer and longer pauses; the others do not wait for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection

import attrs

from adjourn._domain.jobs import Status
from adjourn._domain.outcomes import Claim, Ended, Outcome, Retried, dump_outcomes, error_entry
from adjourn._domain.protocols import EventsLike
from adjourn.events import ErrorDropped, OutcomePostponed, ResultDropped, RetryDropped
from adjourn.exceptions import ConnectorException, InvalidResult

LARGEST_BATCH = 1000
MOST_OF_RESULTS = 2**23
"""Characters of results that one batch has; more only if it is one result."""
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 5.0
"""Seconds between two tries to store an outcome that was set aside."""
LONGEST_UNTOLD = 0.5
"""A pause so long is told. Another worker that looked at a job when it was being claimed may hold its row for a moment."""
LOCK_TIMEOUT = "55P03"
"""The database's code for a lock that took too long. It is a table's, because exchanges do not wait for rows."""
_DATA_ERRORS = ("22", "23", "40", "54", "55", "P0")


@attrs.define
class _SetAside:
    """An outcome that could not be stored, and when to try again."""

    outcome: Outcome
    pause: float
    due_at: float
    is_told: bool


class Outbox:
    """Keeps outcomes until they are stored. One that cannot be stored does not block the others."""

    def __init__(self, events: EventsLike) -> None:
        self._events = events
        self.outcomes: list[Outcome] = []
        self._set_aside: dict[int, _SetAside] = {}
        self._largest_batch = LARGEST_BATCH

    def __len__(self) -> int:
        """Return how many outcomes are not stored yet."""
        return len(self.outcomes) + len(self._set_aside)

    @property
    def waiting(self) -> list[Outcome]:
        """All outcomes that are not stored yet."""
        return [*self.outcomes, *(each.outcome for each in self._set_aside.values())]

    @property
    def claims(self) -> set[Claim]:
        """The claims that these outcomes belong to."""
        return {(each.id, each.claim) for each in self.waiting}

    @property
    def due_at(self) -> float:
        """When there is something to store, in seconds of the monotonic clock: 0 for now, infinity for never."""
        if self.outcomes:
            return 0.0
        return min((each.due_at for each in self._set_aside.values()), default=math.inf)

    @property
    def is_due(self) -> bool:
        """Whether there is something to store now."""
        return bool(self.outcomes) or (bool(self._set_aside) and self.due_at <= time.monotonic())

    def add(self, outcome: Outcome) -> None:
        """Add an outcome."""
        # An older run of the same job, whose outcome was set aside, has lost it.
        if self._set_aside:
            self._set_aside.pop(outcome.id, None)
        self.outcomes.append(outcome)

    def clear(self) -> None:
        """Forget everything, because these jobs now belong to other workers."""
        self.outcomes = []
        self._set_aside = {}

    def hurry(self) -> None:
        """Try everything that was set aside once more, now."""
        for each in self._set_aside.values():
            each.due_at = 0.0

    def next_batch(self) -> list[Outcome]:
        """Return the outcomes to store next."""
        # What was set aside goes alone: what the database refused once it may refuse again.
        if self._set_aside:
            now = time.monotonic()
            if due := [each.outcome for each in self._set_aside.values() if each.due_at <= now]:
                return _bounded(due[: self._largest_batch])
        return _bounded(self.outcomes[: self._largest_batch])

    def stored(self, batch: list[Outcome], held: Collection[int] = ()) -> None:
        """Forget outcomes that have been stored.

        Parameters
        ----------
        batch
            What `next_batch` has returned.
        held
            The ids of those that are not stored, because another transaction has locked their jobs.
        """
        kept = [each for each in batch if each.id in held] if held else []
        self._remove(batch, kept)
        self._largest_batch = LARGEST_BATCH
        for each in kept:
            self._postpone(each, None)

    def not_stored(self, batch: list[Outcome], error: Exception) -> bool:
        """If their data is the reason, halve the batch until only the outcome that cannot be stored is left.

        Returns
        -------
        bool
            Whether it is, so that the next batch may go at once.
        """
        if not isinstance(error, ConnectorException):
            return self._reduce_unwritable(batch, error)
        if not batch or not _is_of_data(error):
            return False
        if len(batch) > 1:
            self._largest_batch = len(batch) // 2
            return True
        (outcome,) = batch
        if _is_unstorable(outcome, error) and (reduced := _storable(outcome, error)) != outcome:
            self._remove(batch, [])
            self._tell_reduced(outcome, error)
            self.outcomes.append(reduced)
        else:
            self._remove(batch, [outcome])
            self._postpone(outcome, error)
        return True

    def _reduce_unwritable(self, batch: list[Outcome], error: Exception) -> bool:
        """Reduce the outcomes that cannot be written as JSON: a retry strategy's values may be of any class."""
        found = [outcome for outcome in batch if not _is_writable(outcome)]
        for outcome in found:
            self._tell_reduced(outcome, error)
            self.outcomes[self.outcomes.index(outcome)] = _storable(outcome, error)
        return bool(found)

    def _remove(self, batch: list[Outcome], kept: Collection[Outcome]) -> None:
        """Remove a batch, wherever its outcomes are; what is kept stays among those that were set aside."""
        if batch and self.outcomes and self.outcomes[0] is batch[0]:
            del self.outcomes[: len(batch)]
            return
        for each in batch:
            # A newer run of the same job may have ended meanwhile, which has taken the older outcome out.
            if each not in kept and self._is_set_aside(each):
                del self._set_aside[each.id]

    def _is_set_aside(self, outcome: Outcome) -> bool:
        aside = self._set_aside.get(outcome.id)
        return aside is not None and aside.outcome is outcome

    def _postpone(self, outcome: Outcome, error: Exception | None) -> None:
        older = self._set_aside.get(outcome.id)
        pause = min(2 * older.pause, LONGEST_PAUSE) if older else FIRST_PAUSE
        was_told = older is not None and older.is_told
        is_told = was_told or error is not None or pause > LONGEST_UNTOLD
        if is_told and not was_told and self._events.wants(OutcomePostponed):
            self._events.emit(OutcomePostponed(job_id=outcome.id, error=error))
        self._set_aside[outcome.id] = _SetAside(outcome, pause, time.monotonic() + pause, is_told)

    def _tell_reduced(self, outcome: Outcome, error: Exception) -> None:
        kind: type[ErrorDropped | ResultDropped | RetryDropped] = ErrorDropped
        if isinstance(outcome, Retried):
            kind = RetryDropped
        elif _has_result(outcome):
            kind = ResultDropped
        if _storable(outcome, error) != outcome and self._events.wants(kind):
            self._events.emit(kind(job_id=outcome.id, error=error))


def _bounded(batch: list[Outcome]) -> list[Outcome]:
    """Leave out the last of a batch whose results are too large together."""
    left = MOST_OF_RESULTS
    for number, outcome in enumerate(batch):
        if isinstance(outcome, Ended) and outcome.result is not None:
            left -= len(outcome.result.text)
            if left < 0 and number:
                return batch[:number]
    return batch


def _has_result(outcome: Outcome) -> bool:
    return isinstance(outcome, Ended) and outcome.result is not None


def _storable(outcome: Outcome, error: Exception) -> Outcome:
    """Return what can be stored of an outcome that the database will never accept."""
    if isinstance(outcome, Retried):
        return Ended(outcome.id, outcome.claim, Status.FAILED.value, outcome.error)
    if isinstance(outcome, Ended) and outcome.result is not None:
        invalid = InvalidResult(f"The database does not accept the result: {error}")
        return Ended(outcome.id, outcome.claim, Status.FAILED.value, error_entry(invalid, outcome.result.attempt()))
    if isinstance(outcome, Ended):
        return Ended(outcome.id, outcome.claim, outcome.status, is_deleted=outcome.is_deleted)
    return outcome


def _is_writable(outcome: Outcome) -> bool:
    try:
        dump_outcomes([outcome])
    except Exception:  # whatever it is, the caller reports it
        return False
    return True


def _is_of_data(error: ConnectorException) -> bool:
    """Return whether the database refused the data."""
    return error.sqlstate is not None and error.sqlstate != LOCK_TIMEOUT and error.sqlstate[:2] in _DATA_ERRORS


def _is_unstorable(outcome: Outcome, error: ConnectorException) -> bool:
    """Return whether the database will never accept the data. A result may be nested too deeply for it (54)."""
    classes = ("22", "54") if _has_result(outcome) else ("22",)
    return error.sqlstate is not None and error.sqlstate.startswith(classes)
