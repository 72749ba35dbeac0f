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


@attrs.frozen(kw_only=True)
class JobResult:
    """How a run went, as log records tell it.

    Attributes
    ----------
    start_timestamp, end_timestamp
        When it began and ended: seconds since the epoch; None for the end while it runs.
    result
        What the task returned.
    """

    start_timestamp: float
    end_timestamp: float | None = None
    result: Any = None

    def duration(self, current_timestamp: float) -> float:
        """Return how many seconds it took, or, while it runs, has taken until ``current_timestamp``."""
        end = current_timestamp if self.end_timestamp is None else self.end_timestamp
        return end - self.start_timestamp

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes, and the duration of a run that has ended, as a dictionary."""
        values = attrs.asdict(self, recurse=False)
        if self.end_timestamp is not None:
            values["duration"] = self.duration(self.end_timestamp)
        return values


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
    worker_name: str | None = None
    worker_queues: Iterable[str] | None = None
    job: Job
    # Looked up when it is asked for: a context may be made by hand, in a test of a task.
    _task: Task[Any, Any, Any] | None = attrs.field(default=None, alias="task")
    start_timestamp: float
    additional_context: Mapping[str, Any] = attrs.field(factory=dict)
    abort_reason: Callable[[], AbortReason | None] = _not_aborted

    @property
    def task(self) -> Task[Any, Any, Any]:
        """The job's task."""
        return self.app.tasks[self.job.task_name] if self._task is None else self._task

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
