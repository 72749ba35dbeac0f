"""Events of jobs, workers, schedules and connections, to which programs can subscribe.

Each kind of event is a class. One subscription can cover several, because the classes form a hierarchy: `JobEnded`
covers every way in which a run ends, `Event` everything. Subscribe at the app::

    def count(event: events.JobEnded) -> None:
        runs.labels(event.job.task_name, type(event).__name__).observe(event.duration)


    app.events.subscribe(events.JobEnded, count)

Subscribers get the events of their own process and app: a program that only defers jobs gets `JobsDeferred`, and a
worker's program gets the events of runs. An app made by ``app.with_connector(...)`` has its own events, and subscribers
of the original app get them as well.

An event is made only if it has a subscriber. The log is the first subscriber.
"""

from __future__ import annotations

from adjourn._domain.upkeep import BlockingSession, DeadWorker
from adjourn.events.jobs import (
    ErrorAfterCompletion,
    ErrorDropped,
    JobAborted,
    JobAbortRequested,
    JobEnded,
    JobEvent,
    JobFailed,
    JobHandedBack,
    JobOverdue,
    JobRetried,
    JobsDeferred,
    JobsRescued,
    JobStarted,
    JobSucceeded,
    JobSuspended,
    JobTimeoutIgnored,
    JobWaitedFor,
    OutcomeLost,
    OutcomePostponed,
    OutcomeReduced,
    OutcomeRefused,
    OutcomeStored,
    ResultDropped,
    RetryDropped,
    RetryStrategyFailed,
    TaskAwaited,
    TaskUnknown,
)
from adjourn.events.schedules import (
    PeriodicJobAlreadyDeferred,
    PeriodicJobDeferred,
    PeriodicJobHeldUp,
    PeriodicJobSkipped,
    ScheduleForgotten,
    SchedulingFailed,
)
from adjourn.events.subscriptions import Event, Events
from adjourn.events.workers import (
    ConnectionLost,
    ConnectionRestored,
    EventLoopBlocked,
    HeartbeatFailed,
    LimitsHeldUp,
    OthersDeclaredDead,
    PartitionsNotMade,
    RetriesWithoutWait,
    SlotsLost,
    UnregisteringFailed,
    WorkerDeclaredDead,
    WorkerEvent,
    WorkerIdentity,
    WorkerStarted,
    WorkerStopped,
    WorkerStopping,
)

__all__ = [
    "BlockingSession",
    "ConnectionLost",
    "ConnectionRestored",
    "DeadWorker",
    "ErrorAfterCompletion",
    "ErrorDropped",
    "Event",
    "EventLoopBlocked",
    "Events",
    "HeartbeatFailed",
    "JobAbortRequested",
    "JobAborted",
    "JobEnded",
    "JobEvent",
    "JobFailed",
    "JobHandedBack",
    "JobOverdue",
    "JobRetried",
    "JobStarted",
    "JobSucceeded",
    "JobSuspended",
    "JobTimeoutIgnored",
    "JobWaitedFor",
    "JobsDeferred",
    "JobsRescued",
    "LimitsHeldUp",
    "OthersDeclaredDead",
    "OutcomeLost",
    "OutcomePostponed",
    "OutcomeReduced",
    "OutcomeRefused",
    "OutcomeStored",
    "PartitionsNotMade",
    "PeriodicJobAlreadyDeferred",
    "PeriodicJobDeferred",
    "PeriodicJobHeldUp",
    "PeriodicJobSkipped",
    "ResultDropped",
    "RetriesWithoutWait",
    "RetryDropped",
    "RetryStrategyFailed",
    "ScheduleForgotten",
    "SchedulingFailed",
    "SlotsLost",
    "TaskAwaited",
    "TaskUnknown",
    "UnregisteringFailed",
    "WorkerDeclaredDead",
    "WorkerEvent",
    "WorkerIdentity",
    "WorkerStarted",
    "WorkerStopped",
    "WorkerStopping",
]
