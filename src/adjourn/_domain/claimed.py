"""Jobs that a worker has claimed.

Most runs need only a few facts about their jobs. The whole `Job` is made for whoever asks: a context, a middleware, an event.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs

from adjourn._domain.jobs import Job
from adjourn._domain.json_text import loaded
from adjourn._domain.masking import with_sensitive
from adjourn._domain.terms import JobTerms
from adjourn._domain.times import time_known
from adjourn.exceptions import InvalidTaskArguments
from adjourn.types import JSONDict, JSONLoads

NO_ARGUMENTS = "{}"
"""How the database writes that a job has no arguments."""


@attrs.define(eq=False)
class ClaimedJob:
    """A job as one worker has claimed it.

    Attributes
    ----------
    id, queue, task_name, lock
        Those of the job.
    worker_id, claim
        The worker, and the number of the claim.
    abort_requested
        Whether it was asked to end before this run.
    task_kwargs
        Its arguments; empty if they cannot be read.
    error
        Why its stored arguments cannot be read, or None.
    terms
        Its terms, if it has some.
    companions
        The jobs that its batch task takes in the same call.
    """

    id: int
    claim: int
    queue: str
    task_name: str
    lock: str | None
    abort_requested: bool
    task_kwargs: JSONDict
    error: BaseException | None
    worker_id: int
    _values: Sequence[Any]
    _job: Job | None = None
    terms: JobTerms | None = None
    companions: tuple[ClaimedJob, ...] = ()

    @classmethod
    def of(cls, values: Sequence[Any], worker_id: int, json_loads: JSONLoads) -> ClaimedJob:
        """Make one of a row of an exchange.

        Parameters
        ----------
        values
            The values of the columns `CLAIMED`.
        worker_id
            The worker that has claimed it.
        json_loads
            The function that reads the arguments.
        """
        arguments: JSONDict = {}
        error: BaseException | None = None
        if values[6] != NO_ARGUMENTS or json_loads is not json.loads:
            arguments, error = _read(values[6], json_loads)
        return cls(
            values[0], values[9], values[1], values[2], values[4], values[10], arguments, error, worker_id, values
        )

    @property
    def order(self) -> tuple[int, int]:
        """What jobs are ordered by: higher priorities come first, then older jobs."""
        return -self._values[3], self.id

    @property
    def attempts(self) -> int:
        """How many attempts have ended."""
        return int(self._values[8])

    @property
    def wait_seconds(self) -> float:
        """For how long the job could have run before it was claimed, by the database's clock: since it was stored, due, or no longer kept by
        its lock, a limit, a pause or other jobs.
        """
        values = self._values
        scheduled, enqueued, started, kept = (time_known(values[place]) for place in (7, 11, 12, 14))
        assert enqueued is not None
        assert started is not None
        ready = enqueued if scheduled is None else max(enqueued, scheduled)
        if kept is not None:
            ready = max(ready, kept)
        return max((started - ready).total_seconds(), 0.0)

    @property
    def job(self) -> Job:
        """The job. Every call returns the same object."""
        if self._job is None:
            self._job = Job.claimed(self._values, self.worker_id, self.task_kwargs, self.terms)
        return self._job

    def mark(self, names: Sequence[str]) -> None:
        """Have the job say which of its arguments are sensitive, if whoever stored it did not."""
        if not self.job.sensitive:
            self._job = self.job.evolve(headers=with_sensitive(self.job.headers, names))


def _read(text: str, json_loads: JSONLoads) -> tuple[JSONDict, BaseException | None]:
    """Return the arguments, or why they cannot be read."""
    try:
        arguments = loaded(text, json_loads)
    except BaseException as error:  # of the user's function, even SystemExit, which is this job's outcome alone
        if isinstance(error, KeyboardInterrupt):
            raise
        return {}, error
    if isinstance(arguments, dict):
        return arguments, None
    kind = type(arguments).__name__
    return {}, InvalidTaskArguments(f"The arguments are decoded to a {kind}; json_loads must give a dictionary.")
