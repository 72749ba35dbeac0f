"""The metrics that the semantic conventions have for messaging."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from opentelemetry import metrics

from adjourn.contrib.opentelemetry import attributes as names
from adjourn.jobs import Job
from adjourn.telemetry import RunOfJob
from adjourn.worker import exposition

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""What the conventions advise."""
LONG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 21600)
"""A backlog lasts longer than that."""


class Instruments:
    """Counts and times what is deferred and run.

    Parameters
    ----------
    meter_provider
        Where metrics go; None for the program's.
    version
        The version of adjourn.
    """

    def __init__(self, meter_provider: metrics.MeterProvider | None, version: str) -> None:
        meter = metrics.get_meter("adjourn", version, meter_provider)
        self._sent = meter.create_counter(
            "messaging.client.sent.messages", "{message}", "Number of jobs that were deferred."
        )
        self._consumed = meter.create_counter(
            "messaging.client.consumed.messages", "{message}", "Number of jobs that began to run."
        )
        self._operation = meter.create_histogram(
            "messaging.client.operation.duration",
            "s",
            "Duration of calls that defer jobs.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._process = meter.create_histogram(
            "messaging.process.duration",
            "s",
            "Duration of runs.",
            explicit_bucket_boundaries_advisory=LONG_BUCKETS,
        )
        self._wait = meter.create_histogram(
            "adjourn.job.wait.duration",
            "s",
            "How long jobs could have run before a worker claimed them.",
            explicit_bucket_boundaries_advisory=LONG_BUCKETS,
        )

        # An instrument cannot be taken back, and of a second one of its name the provider ignores the callback.
        meter.create_observable_up_down_counter(
            "adjourn.worker.slots",
            [_slots],
            "{slot}",
            "How many jobs the workers of this process can run at once, by state.",
        )
        Instruments.are_on = True

    are_on: ClassVar[bool] = False
    """Whether what workers say of themselves is observed."""

    def deferred(self, operation: str, jobs: int, queue: str | None, seconds: float, error: str | None) -> None:
        """Record a call that has stored jobs, or failed.

        Parameters
        ----------
        operation
            Its name.
        jobs
            How many jobs it has stored.
        queue
            The queue of all of them; None if they have several.
        seconds
            How long it took.
        error
            The type of its error, or None.
        """
        labels = names.operation(operation, "send")
        if queue is not None:
            labels[names.DESTINATION] = queue
        if error is not None:
            labels[names.ERROR_TYPE] = error
        self._sent.add(jobs, labels)
        self._operation.record(seconds, labels)

    def started(self, run: RunOfJob) -> None:
        """Record that a run begins."""
        labels = self._of_run(run.job)
        self._consumed.add(1, labels)
        if (waited := run.wait_seconds) is not None:
            self._wait.record(waited, labels)

    def ended(self, job: Job, seconds: float, error: str | None) -> None:
        """Record that a run has ended."""
        labels = self._of_run(job)
        if error is not None:
            labels[names.ERROR_TYPE] = error
        self._process.record(seconds, labels)

    def _of_run(self, job: Job) -> dict[str, Any]:
        return {
            **names.operation("process", "process"),
            names.DESTINATION: job.queue,
            "adjourn.task.name": job.task_name,
        }


def _slots(options: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
    if Instruments.are_on and (counted := exposition.slots()) is not None:
        number, busy = counted
        for state, count in (("busy", busy), ("free", number - busy)):
            yield metrics.Observation(count, {names.SYSTEM: "adjourn", "adjourn.worker.slot.state": state})
