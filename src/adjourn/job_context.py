"""What a task with ``pass_context=True`` is told about its run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from adjourn._domain.jobs import Job
from adjourn._domain.runs import AbortReason, JobResult

if TYPE_CHECKING:
    from adjourn.app import App
    from adjourn.tasks import Task

__all__ = ["AbortReason", "JobContext", "JobResult"]


def not_aborted() -> AbortReason | None:
    """Return None: nobody has asked for the end of a run."""
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
    _task: Task[Any, Any, Any] | None = None
    start_timestamp: float
    additional_context: Mapping[str, Any] = attrs.field(factory=dict)
    abort_reason: Callable[[], AbortReason | None] = not_aborted

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
