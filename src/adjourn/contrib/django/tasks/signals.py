"""The framework's signal that a task has finished: it is sent when the outcome is stored, from a thread of its own.

Receivers may do what they like there: they keep no job of the worker waiting, and may block.
"""

from __future__ import annotations

import datetime
import json
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

import attrs
from django.db import close_old_connections, connections

from adjourn import events
from adjourn._domain.jobs import Status
from adjourn._domain.outcomes import Attempt, error_entry
from adjourn.contrib.django.names import NAMESPACE, path_of
from adjourn.contrib.django.tasks.compat import AnyResult, InvalidTask, task_finished
from adjourn.contrib.django.tasks.declared import located
from adjourn.contrib.django.tasks.envelopes import Envelope, as_stored
from adjourn.contrib.django.tasks.results import result_of
from adjourn.contrib.django.tasks.runs import backend_of
from adjourn.exceptions import TaskNotFound
from adjourn.jobs import Job

__all__ = ["Finished"]

logger: logging.Logger = logging.getLogger("adjourn.django")

DRAIN_TIMEOUT = 5.0
"""Seconds that a worker which ends waits for receivers."""

Lookup = Callable[[int], list[Job]]


@attrs.frozen
class _End:
    """How a run has ended, and of which worker."""

    worker_id: int | None
    job: Job
    value: Any = None
    error: BaseException | None = None


class Finished:
    """Sends ``task_finished`` for the tasks that the workers of an app end.

    Parameters
    ----------
    app_events
        The events of the app.
    look_up
        Returns a job by its id, in a list that is empty if there is none.
    """

    def __init__(self, app_events: events.Events, look_up: Lookup) -> None:
        self._look_up = look_up
        self._ends: dict[int, _End] = {}
        self._calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        for kind in (events.JobSucceeded, events.JobFailed, events.JobAborted):
            app_events.subscribe(kind, self._ended)
        app_events.subscribe(events.OutcomeStored, self._stored)
        app_events.subscribe(events.OutcomeRefused, self._dropped)
        app_events.subscribe(events.OutcomeLost, self._dropped)
        app_events.subscribe(events.WorkerDeclaredDead, self._forget)
        app_events.subscribe(events.WorkerStopped, self._drain)

    def _ended(self, event: events.JobEnded) -> None:
        if event.job.task_name.startswith(f"{NAMESPACE}:"):
            assert event.job.id is not None
            # Each of the three kinds has a value, an error, or neither.
            value, error = getattr(event, "result", None), getattr(event, "error", None)
            status = Status.SUCCEEDED if isinstance(event, events.JobSucceeded) else Status.FAILED
            if isinstance(event, events.JobAborted):
                status = Status.ABORTED
            job = event.job.evolve(status=status.value, finished_at=datetime.datetime.now(datetime.UTC))
            self._ends[event.job.id] = _End(event.worker.id, job, value, error)

    def _stored(self, event: events.OutcomeStored) -> None:
        if (end := self._ends.pop(event.job_id, None)) is not None:
            self._call(lambda: self._send(end))

    def _dropped(self, event: events.OutcomeRefused | events.OutcomeLost) -> None:
        self._ends.pop(event.job_id, None)

    def _forget(self, event: events.WorkerDeclaredDead) -> None:
        for job_id in [job_id for job_id, end in self._ends.items() if end.worker_id == event.worker.id]:
            del self._ends[job_id]

    def _drain(self, event: events.WorkerStopped) -> None:
        """Wait until the receivers have been called, and close the connections that they used."""
        if self._thread is None:
            return
        has_ended = threading.Event()

        def end() -> None:
            connections.close_all()
            has_ended.set()

        self._call(end)
        if not has_ended.wait(DRAIN_TIMEOUT):
            logger.warning(
                "Receivers of task_finished have taken more than %g s after the end of the worker, and are not waited for",
                DRAIN_TIMEOUT,
                extra={"action": "receivers_left"},
            )

    def _call(self, call: Callable[[], object]) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():  # a fork has not taken it along
                self._thread = threading.Thread(target=self._work, name="adjourn-signals", daemon=True)
                self._thread.start()
        self._calls.put(call)

    def _work(self) -> None:
        while True:
            call = self._calls.get()
            try:
                call()
            except Exception:  # the task's module, or a receiver that is no receiver: the outcome is stored in any case
                logger.exception("task_finished could not be sent", extra={"action": "signal_failed"})
            finally:
                close_old_connections()
                del call

    def _send(self, end: _End) -> None:
        try:
            result = self._result(end)
            sender = type(backend_of(result.backend))
        except (TaskNotFound, InvalidTask):
            return  # it has failed for that reason, and never began
        if end.error is None:
            task_finished.send_robust(sender, task_result=result)
            return
        try:
            raise end.error
        except BaseException:  # Django's own receiver asks what is being handled
            task_finished.send_robust(sender, task_result=result)

    def _result(self, end: _End) -> AnyResult:
        job = end.job
        assert job.id is not None
        errors: tuple[dict[str, Any], ...] = ()
        if job.attempts and (found := self._look_up(job.id)):
            errors = tuple(error for error in found[0].errors if error["attempt"] <= job.attempts)
        if end.error is not None:
            assert job.started_at is not None
            assert job.finished_at is not None
            attempt = Attempt(job.attempts + 1, end.worker_id, None, job.started_at, job.finished_at)
            errors += (json.loads(error_entry(end.error, attempt)),)
        task = located(path_of(job.task_name))
        job = job.evolve(attempts=job.attempts + 1, errors=errors, result=as_stored(end.value))
        return result_of(job, task, Envelope.opened(job.task_name, job.task_kwargs))
