"""Records of workers and of their upkeep."""

from __future__ import annotations

import logging

from adjourn._domain.upkeep import named_sessions
from adjourn._domain.wording import counted, first_of, verb
from adjourn.events import workers
from adjourn.events.records.shared import WORKER, Writers, brief, identity, unexpected

LONGEST_NAMES = 500
"""The most characters of a list of tasks that a message shows."""


def _worker_started(event: workers.WorkerStarted) -> None:
    _of_worker(event, "start_worker", "Starting")


def _limits_held_up(event: workers.LimitsHeldUp) -> None:
    names = ", ".join(event.limits)
    WORKER.warning(
        "A transaction that is still open changes limits that this worker declares: %s. Until it ends, they are as they were; it is tried again",
        names if len(names) <= LONGEST_NAMES else f"{names[:LONGEST_NAMES]}...",
        extra={"action": "limits_held_up", "limits": event.limits, "worker": identity(event.worker)},
    )


def _hasty(event: workers.RetriesWithoutWait) -> None:
    names = ", ".join(event.task_names)
    WORKER.warning(
        "Retries without a wait: what makes a job fail may last, and retry=5 uses up all five within milliseconds. Write "
        "retry=RetryStrategy(max_attempts=5, exponential_wait=2), or retry=RetryStrategy(max_attempts=5) if they are meant "
        "to be at once. Concerned: %s",
        names if len(names) <= LONGEST_NAMES else f"{names[:LONGEST_NAMES]}...",
        extra={"action": "retries_without_wait", "tasks": event.task_names, "worker": identity(event.worker)},
    )


def _worker_stopping(event: workers.WorkerStopping) -> None:
    _of_worker(event, "stop_worker", "Stopping")


def _of_worker(event: workers.WorkerStarted | workers.WorkerStopping, action: str, what: str) -> None:
    worker = event.worker
    queues = "all queues" if worker.queues is None else "queues " + ", ".join(worker.queues)
    extra = {"action": action, "worker": identity(worker), "queues": worker.queues}
    at_once = counted(event.concurrency, "job")
    WORKER.info("%s worker %s on %s, %s at once", what, worker.name, queues, at_once, extra=extra)


def _declared_dead(event: workers.WorkerDeclaredDead) -> None:
    WORKER.error(
        "This worker (id %s) was not heard of for %s s and was declared dead; its %s given up and %s again elsewhere. It "
        "registers anew and goes on",
        event.worker.id,
        event.silence,
        f"{counted(event.given_up, 'running job')} {verb(event.given_up, 'is', 'are')}",
        verb(event.given_up, "runs", "run"),
        extra={"action": "declared_dead", "worker": identity(event.worker)},
    )


def _others_declared_dead(event: workers.OthersDeclaredDead) -> None:
    WORKER.warning(
        "Declared %s dead: %s",
        counted(event.died, "other worker"),
        first_of([str(each) for each in event.workers], event.died, "; "),
        extra={
            "action": "others_declared_dead",
            "dead_workers": event.died,
            "workers": [
                {"id": each.id, "name": each.name, "host": each.host, "pid": each.pid} for each in event.workers
            ],
        },
    )


def _heartbeat_failed(event: workers.HeartbeatFailed) -> None:
    WORKER.log(
        logging.WARNING if event.is_news else logging.DEBUG,
        "No heartbeat: %s",
        brief(event.error),
        exc_info=unexpected(event.error),
        extra={"action": "heartbeat_failed", "failures": event.failures},
    )


def _slots_lost(event: workers.SlotsLost) -> None:
    ends_after = event.ends_after
    WORKER.error(
        "%s of worker %s held by jobs that were asked to end and have not ended, for %.0f s; it runs no job. %s",
        "The only slot" if event.slots == 1 else f"All {counted(event.slots, 'slot')}",
        f"{event.worker.name} {verb(event.slots, 'is', 'are')}",
        event.duration,
        "Set stuck_worker_timeout to have it end, and be started again"
        if ends_after is None
        else f"It ends after {ends_after:g} s of this",
        extra={"action": "slots_lost", "worker": identity(event.worker)},
    )


def _loop_blocked(event: workers.EventLoopBlocked) -> None:
    culprit = "something blocks it" if event.job is None else f"job {event.job.call_string} blocks it"
    WORKER.warning(
        "The event loop has not turned for %.1f s, so other jobs wait: %s. %s not begun %s back. "
        "Declare tasks that block with `def`, or use asyncio.to_thread\n%s",
        event.patience,
        culprit,
        f"{counted(event.handed_back, 'claimed job')} that {verb(event.handed_back, 'has', 'have')}",
        verb(event.handed_back, "goes", "go"),
        event.stack,
        extra={"action": "loop_blocked", "worker": identity(event.worker, event.job)},
    )


def _connection_lost(event: workers.ConnectionLost) -> None:
    WORKER.log(
        logging.ERROR if event.is_news else logging.DEBUG,
        "The database does not serve this worker (%s); %s. Attempt %d failed; it keeps trying",
        brief(event.error),
        f"{counted(event.waiting, 'outcome')} {verb(event.waiting, 'waits', 'wait')}",
        event.failures,
        exc_info=unexpected(event.error),
        extra={"action": "connector_lost", "failures": event.failures},
    )


def _connection_restored(event: workers.ConnectionRestored) -> None:
    message = "The database is back after %.1f s"
    WORKER.info(message, event.duration, extra={"action": "connector_back", "duration": event.duration})


def _unregistering_failed(event: workers.UnregisteringFailed) -> None:
    message = "The worker could not unregister (%s)"
    arguments: list[object] = [brief(event.error)]
    if event.waiting:
        message += "; other workers will run its %s"
        arguments.append(counted(event.waiting, "job"))
    if event.unstored:
        message += ", %d of them once more, because the outcome is not stored"
        arguments.append(event.unstored)
    level = logging.ERROR if event.unstored else logging.WARNING
    WORKER.log(level, message, *arguments, extra={"action": "stop_worker", "unstored": event.unstored})


def _partitions_not_made(event: workers.PartitionsNotMade) -> None:
    reason = named_sessions(event.waits_for) if event.waits_for else brief(event.error)
    WORKER.info("No partitions made, because of %s", reason, extra={"action": "partitions_not_made"})


WRITERS: Writers = {
    workers.WorkerStarted: (WORKER, logging.INFO, _worker_started),
    workers.LimitsHeldUp: (WORKER, logging.WARNING, _limits_held_up),
    workers.RetriesWithoutWait: (WORKER, logging.WARNING, _hasty),
    workers.WorkerStopping: (WORKER, logging.INFO, _worker_stopping),
    workers.WorkerDeclaredDead: (WORKER, logging.ERROR, _declared_dead),
    workers.OthersDeclaredDead: (WORKER, logging.WARNING, _others_declared_dead),
    workers.HeartbeatFailed: (WORKER, logging.WARNING, _heartbeat_failed),
    workers.SlotsLost: (WORKER, logging.ERROR, _slots_lost),
    workers.EventLoopBlocked: (WORKER, logging.WARNING, _loop_blocked),
    workers.ConnectionLost: (WORKER, logging.ERROR, _connection_lost),
    workers.ConnectionRestored: (WORKER, logging.INFO, _connection_restored),
    workers.UnregisteringFailed: (WORKER, logging.ERROR, _unregistering_failed),
    workers.PartitionsNotMade: (WORKER, logging.INFO, _partitions_not_made),
}
