"""Workflows: jobs that wait for each other, before they are stored and afterwards."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from adjourn._domain.job_limits import JobLimit
from adjourn._domain.jobs import Job
from adjourn._domain.times import time_of, time_or_none
from adjourn.exceptions import InvalidOption
from adjourn.types import Row

RUN_IF: dict[str, int | None] = {"all_succeeded": None, "all_done": 1, "any_failed": 2}
"""When a job runs, by what has become of those that it waits for, and the number that stands for it."""

EMPTY_GROUP = -1
"""The place of a group of no jobs among the parents of a job that has a name for it. No job has the id of that parent."""


def by_name(rows: Iterable[Row], value_of: Callable[[Row], Any]) -> dict[str, Any]:
    """Return something of each job that another one has names for, by these names: of a group a list in the order of its jobs."""
    found: dict[str, Any] = {}
    for row in rows:
        if row["place"] is None:
            found[row["name"]] = value_of(row)
        elif row["place"] == EMPTY_GROUP:
            found[row["name"]] = []
        else:
            found.setdefault(row["name"], []).append(value_of(row))
    return found


class WorkflowStatus(enum.StrEnum):
    """The status of a workflow."""

    RUNNING = "running"
    """Some of its jobs have not ended, or it is open."""
    SUCCEEDED = "succeeded"
    """All have ended, and none has failed or was cancelled, unless that was because nothing had failed (``run_if="any_failed"``)."""
    FAILED = "failed"
    """All have ended, and some have failed or were aborted."""
    CANCELLED = "cancelled"
    """It was cancelled, and running jobs may go on until they end; or all have ended, none has failed, and some were cancelled or have expired."""


def status_of(*, is_cancelled: bool, has_ended: bool, failed: int, cancelled: int) -> WorkflowStatus:
    """Return the status of a workflow, by what is stored of it."""
    if is_cancelled:
        return WorkflowStatus.CANCELLED
    if not has_ended:
        return WorkflowStatus.RUNNING
    if failed:
        return WorkflowStatus.FAILED
    return WorkflowStatus.CANCELLED if cancelled else WorkflowStatus.SUCCEEDED


# A dataclass, so that web frameworks can make JSON of it.
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowState:
    """A workflow that is stored.

    Attributes
    ----------
    id
        Its number.
    name
        Its name; None if it has none.
    status
        Its status.
    jobs
        How many jobs it has.
    remaining
        How many of them have not ended.
    failed
        How many have failed or were aborted.
    cancelled
        How many were cancelled or have expired, also because of others. Those that were only to run if others failed
        (``run_if="any_failed"``) are not among them if none has, nor are those that wait for them.
    is_open
        Whether it stays open for jobs that are added, so that it has not ended even if its jobs have.
    created_at, finished_at
        When it was stored, and when its last job ended (a moment later), by the database's clock.
    """

    id: int
    name: str | None
    status: WorkflowStatus
    jobs: int
    remaining: int
    failed: int
    cancelled: int
    is_open: bool
    created_at: datetime.datetime
    finished_at: datetime.datetime | None

    @property
    def has_ended(self) -> bool:
        """Whether all of its jobs have ended, and that was noticed."""
        return self.finished_at is not None

    @classmethod
    def from_row(cls, row: Row) -> WorkflowState:
        """Make it of a row that a statement has returned."""
        status = status_of(
            is_cancelled=row["is_cancelled"],
            has_ended=row["finished_at"] is not None,
            failed=row["failed"],
            cancelled=row["cancelled"],
        )
        return cls(
            id=row["id"],
            name=row["name"],
            status=status,
            jobs=row["jobs"],
            remaining=int(row["remaining"]),
            failed=int(row["failed"]),
            cancelled=int(row["cancelled"]),
            is_open=row["is_open"],
            created_at=time_of(row["created_at"]),
            finished_at=time_or_none(row["finished_at"]),
        )


@attrs.define(eq=False)
class Planned:
    """Jobs of one task that are not stored yet, and what they wait for.

    Attributes
    ----------
    job
        The job; of several, what they have in common.
    kwargs
        The arguments of each of several jobs, beside those of ``job``; None for one job.
    parents
        What it waits for: other plans, or the ids of jobs that are stored.
    names
        The name under which it finds the results of each of them, None for none.
    run_if
        The number of the rule, None for the usual one.
    limits
        Of several jobs, what each has to do with limits; None if that is nothing.
    """

    job: Job
    kwargs: Sequence[dict[str, Any]] | None
    parents: list[Planned | int]
    names: list[str | None]
    run_if: int | None
    limits: Sequence[JobLimit | None] | None = None

    @property
    def count(self) -> int:
        """How many jobs it stands for."""
        return 1 if self.kwargs is None else len(self.kwargs)

    def arguments_of(self, number: int) -> dict[str, Any]:
        """Return the arguments of one of its jobs."""
        return self.job.task_kwargs if self.kwargs is None else {**self.job.task_kwargs, **self.kwargs[number]}

    def limit_of(self, number: int) -> JobLimit | None:
        """Return what one of its jobs has to do with limits."""
        return self.job.limit if self.limits is None else self.limits[number]


def number_of_rule(run_if: Any, has_parents: bool) -> int | None:
    """Return the number of a rule.

    Raises
    ------
    InvalidOption
        If there is no such rule, or nothing that it could be about.
    """
    if run_if not in RUN_IF:
        raise InvalidOption(f"run_if={run_if!r}: pass one of {', '.join(map(repr, RUN_IF))}.")
    if run_if != "all_succeeded" and not has_parents:
        raise InvalidOption(f"run_if={run_if!r}: pass it together with depends_on.")
    return RUN_IF[run_if]
