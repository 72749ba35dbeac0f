"""What a task with ``pass_context=True`` is told about its run."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from adjourn.jobs import Job

if TYPE_CHECKING:
    from adjourn.app import App
    from adjourn.tasks import Task


class AbortReason(enum.StrEnum):
    """Why a running job is asked to end."""

    USER_REQUEST = "user_request"
    """Somebody called ``cancel_job_by_id(..., abort=True)``."""
    SHUTDOWN = "shutdown"
    """The worker is stopping."""
    TIMEOUT = "timeout"
    """It has run for longer than its task's ``timeout``."""


def _not_aborted() -> AbortReason | None:
    return None


@attrs.frozen(kw_only=True)
class JobContext:
    """The circumstances of one run of a job.

    Attributes
    ----------
    app
        The app whose worker runs the job.
    worker_name, worker_queues
        The worker's name, and the queues it serves, None for all.
    job
        The job.
    task
        Its task.
    start_timestamp
        When the run began: seconds since the epoch.
    additional_context
        What the worker was started with, for its tasks.
    abort_reason
        Called, tells why the job is asked to end; None while it is not.
    """

    app: App
    worker_name: str
    worker_queues: Iterable[str] | None
    job: Job
    task: Task[Any, Any, Any]
    start_timestamp: float
    additional_context: Mapping[str, Any]
    abort_reason: Callable[[], AbortReason | None] = _not_aborted

    def should_abort(self) -> bool:
        """Tell whether the job is asked to end. Async tasks are cancelled besides; sync ones have to ask."""
        return self.abort_reason() is not None

    def evolve(self, **changes: Any) -> JobContext:
        """Return a copy with some attributes changed."""
        return attrs.evolve(self, **changes)

    @property
    def queues_display(self) -> str:
        """The worker's queues, for people to read."""
        return "all queues" if self.worker_queues is None else "queues " + ", ".join(self.worker_queues)
