"""How runs have ended of which the database has not been told yet. They wait here through any outage."""

from __future__ import annotations

import logging

from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.jobs import Job, Status
from adjourn._domain.outcomes import Ended, Retried
from adjourn.exceptions import ConnectorException

logger: logging.Logger = logging.getLogger("adjourn.worker")

LARGEST_BATCH = 1000
_DATA_ERRORS = ("22", "23", "40", "54", "55")


class Outbox:
    """Keeps outcomes until they are stored, and one that cannot be stored from blocking those that can.

    Attributes
    ----------
    ended, retried, returned
        Jobs that have ended, that are to be run again, and that were claimed and are to be handed back.
    """

    def __init__(self) -> None:
        self.ended: list[Ended] = []
        self.retried: list[Retried] = []
        self.returned: list[Job] = []
        self._largest_batch = LARGEST_BATCH

    def __len__(self) -> int:
        return len(self.ended) + len(self.retried) + len(self.returned)

    @property
    def job_ids(self) -> set[int]:
        """The jobs that these outcomes are of."""
        outcomes: list[Ended | Retried | Job] = [*self.ended, *self.retried, *self.returned]
        return {each.id or 0 for each in outcomes}

    def add(self, outcome: Ended | Retried | Job) -> None:
        """Take an outcome in; a job itself is to be handed back."""
        if isinstance(outcome, Ended):
            self.ended.append(outcome)
        elif isinstance(outcome, Retried):
            self.retried.append(outcome)
        else:
            self.returned.append(outcome)

    def clear(self) -> None:
        """Forget everything: these jobs are somebody else's."""
        self.ended, self.retried, self.returned = [], [], []

    async def hand_back(self, manager: AsyncWorkerManager, worker_id: int) -> None:
        """Store which jobs are handed back."""
        if batch := list(self.returned):
            await manager.hand_back_async(worker_id, batch)
            del self.returned[: len(batch)]

    async def store_retried(self, manager: AsyncWorkerManager, worker_id: int) -> None:
        """Store which jobs are to be run again."""
        if not (batch := self.retried[: self._largest_batch]):
            return
        try:
            await manager.retry_jobs_async(worker_id, batch)
        except ConnectorException as error:
            self._narrow_down_retried(batch, error)
            raise
        del self.retried[: len(batch)]

    def next_ended(self) -> list[Ended]:
        """Return those that have ended and are to be stored next."""
        return self.ended[: self._largest_batch]

    def stored(self, batch: list[Ended]) -> None:
        """Forget those that have been stored."""
        del self.ended[: len(batch)]
        self._largest_batch = LARGEST_BATCH

    def not_stored(self, batch: list[Ended], error: ConnectorException) -> None:
        """Where it is their data that was refused, halve the batch, down to the one that cannot be stored."""
        if not batch or not _is_of_data(error):
            return
        if len(batch) > 1:
            self._largest_batch = len(batch) // 2
        elif batch[0].error is not None and _is_unstorable(error):
            logger.error(
                "The error of job %s cannot be stored (%s); it ends without",
                batch[0].id,
                error,
                extra={"action": "error_dropped"},
            )
            self.ended[0] = Ended(batch[0].id, batch[0].claim, batch[0].status)
        else:
            self.ended.append(self.ended.pop(0))

    def _narrow_down_retried(self, batch: list[Retried], error: ConnectorException) -> None:
        if not _is_of_data(error):
            return
        if len(batch) > 1:
            self._largest_batch = len(batch) // 2
            return
        retried = self.retried.pop(0)
        if _is_unstorable(error):
            logger.error(
                "The retry of job %s cannot be stored (%s); the job fails",
                retried.id,
                error,
                extra={"action": "retry_dropped"},
            )
            self.ended.append(Ended(retried.id, retried.claim, Status.FAILED.value, retried.error))
        else:
            self.retried.append(retried)


def _is_of_data(error: ConnectorException) -> bool:
    """Tell whether the database refused what it was given, rather than failed."""
    return error.sqlstate is not None and error.sqlstate[:2] in _DATA_ERRORS


def _is_unstorable(error: ConnectorException) -> bool:
    """Tell whether it will never take it."""
    return error.sqlstate is not None and error.sqlstate.startswith("22")
