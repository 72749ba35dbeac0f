"""What happens to jobs, workers, schedules and connections, for programs that want to be told of it.

Each kind of event is a class. They derive from each other, so that one subscription can cover several: to `JobEnded` for
every way in which a run ends, to `Event` for everything. Each app has one place to subscribe at::

    def count(event: events.JobEnded) -> None:
        runs.labels(event.job.task_name, type(event).__name__).observe(event.duration)


    app.events.subscribe(events.JobEnded, count)

Events are told in the process in which they happen, to its own app: a program that only defers jobs hears that they were
deferred, and a worker's program hears that they have run. An app that was made by ``app.with_connector(...)`` has events
of its own, and the subscribers of the app that it was made from are told of them as well.

An event is made only if somebody is to be told of it. The log is the first subscriber.
"""

from __future__ import annotations

from adjourn.events.jobs import (
    ErrorDropped,
    JobAborted,
    JobAbortRequested,
    JobEnded,
    JobEvent,
    JobFailed,
    JobHandedBack,
    JobRetried,
    JobsDeferred,
    JobsRescued,
    JobStarted,
    JobSucceeded,
    JobTimeoutIgnored,
    JobWaitedFor,
    OutcomeReduced,
    OutcomeRefused,
    OutcomeStored,
    RetryDropped,
    RetryStrategyFailed,
    TaskUnknown,
)
from adjourn.events.schedules import (
    PeriodicJobAlreadyDeferred,
    PeriodicJobDeferred,
    PeriodicJobSkipped,
    ScheduleForgotten,
    SchedulingFailed,
)
from adjourn.events.subscriptions import Event, Events
from adjourn.events.workers import (
    ConnectionLost,
    ConnectionRestored,
    HeartbeatFailed,
    PartitionsNotMade,
    UnregisteringFailed,
    WorkerDeclaredDead,
    WorkerEvent,
    WorkerIdentity,
    WorkerStarted,
    WorkerStopped,
    WorkerStopping,
)

__all__ = [
    "ConnectionLost",
    "ConnectionRestored",
    "ErrorDropped",
    "Event",
    "Events",
    "HeartbeatFailed",
    "JobAbortRequested",
    "JobAborted",
    "JobEnded",
    "JobEvent",
    "JobFailed",
    "JobHandedBack",
    "JobRetried",
    "JobStarted",
    "JobSucceeded",
    "JobTimeoutIgnored",
    "JobWaitedFor",
    "JobsDeferred",
    "JobsRescued",
    "OutcomeReduced",
    "OutcomeRefused",
    "OutcomeStored",
    "PartitionsNotMade",
    "PeriodicJobAlreadyDeferred",
    "PeriodicJobDeferred",
    "PeriodicJobSkipped",
    "RetryDropped",
    "RetryStrategyFailed",
    "ScheduleForgotten",
    "SchedulingFailed",
    "TaskUnknown",
    "UnregisteringFailed",
    "WorkerDeclaredDead",
    "WorkerEvent",
    "WorkerIdentity",
    "WorkerStarted",
    "WorkerStopped",
    "WorkerStopping",
]
