"""Errors and traces of jobs in Sentry. Needs the extra ``sentry``.

Pass `AdjournIntegration` to ``sentry_sdk.init``, in the programs that defer jobs and in workers.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any

try:
    import sentry_sdk
except ModuleNotFoundError as _error:
    raise ImportError("adjourn.contrib.sentry needs Sentry's SDK: pip install 'adjourn[sentry]'") from _error

from sentry_sdk.crons import capture_checkin
from sentry_sdk.integrations import Integration
from sentry_sdk.integrations.logging import ignore_logger
from sentry_sdk.scope import Scope, should_send_default_pii, use_isolation_scope, use_scope
from sentry_sdk.tracing import Span, Transaction
from sentry_sdk.utils import event_from_exception

from adjourn import telemetry
from adjourn._domain.checks import check_flag
from adjourn._domain.masking import Mask, mask_of, masked, masked_texts
from adjourn.jobs import Job
from adjourn.telemetry import Deferral, Observer, Outcome, RunObservation, RunOfJob

__all__ = ["AdjournIntegration"]

logger: logging.Logger = logging.getLogger("adjourn.sentry")

_ORIGIN = "auto.queue.adjourn"
_MONITOR = "sentry-monitor"
"""The header of a periodic job that says which monitor it reports to."""
_CARRIED = ("sentry-trace", "baggage")
_STATUSES: Mapping[Outcome, str] = {
    "succeeded": "ok",
    "failed": "internal_error",
    "retried": "internal_error",
    "aborted": "aborted",
    "returned": "cancelled",
    "lost": "aborted",
}


class AdjournIntegration(Integration):
    """Reports failed jobs to Sentry, and shows jobs in its views of traces and of queues.

    A call that defers jobs is a span ``queue.publish``, if there is a transaction, and each run a transaction with a span
    ``queue.process`` in it. The run continues the trace that has deferred the job; a retry begins one of its own. Arguments, and the
    variables of the functions in an error's traceback, which hold them, are sent only if the SDK collects data of queues
    (``data_collection={"queues": True}``, or ``send_default_pii=True``), without values whose names look like secrets.

    Where OpenTelemetry traces adjourn as well, this makes no spans, and warns of that once.

    Parameters
    ----------
    capture_retries
        Whether to report also the errors of attempts that are retried. False by default: only a job that fails is reported.
    monitor_periodic
        Whether each schedule of a periodic task is a monitor of Sentry's, to which its runs report. False by default.

    Raises
    ------
    InvalidOption
        If one of them is neither True nor False.
    """

    identifier = "adjourn"
    origin = _ORIGIN

    def __init__(self, *, capture_retries: bool = False, monitor_periodic: bool = False) -> None:
        check_flag("capture_retries", capture_retries)
        check_flag("monitor_periodic", monitor_periodic)
        self.capture_retries = capture_retries
        self.monitor_periodic = monitor_periodic

    @staticmethod
    def setup_once() -> None:
        """Begin to observe. The SDK calls it once."""
        # An error that is logged would be reported a second time.
        ignore_logger("adjourn.worker")
        telemetry.observe(_Sentry())


def _integration() -> AdjournIntegration | None:
    found = sentry_sdk.get_client().get_integration(AdjournIntegration)
    return found if isinstance(found, AdjournIntegration) else None


class _Sentry(Observer):
    """Tells the SDK what happens."""

    def __init__(self) -> None:
        self._has_warned = False

    def around_defer(self, deferral: Deferral) -> contextlib.AbstractContextManager[object]:
        integration = _integration()
        if integration is None or not deferral.jobs:
            return contextlib.nullcontext()
        if deferral.is_periodic:
            if integration.monitor_periodic:
                deferral.add_headers(_monitor_header(deferral))
            return contextlib.nullcontext()
        if sentry_sdk.get_current_span() is None or self._stands_back():
            return contextlib.nullcontext()
        return _published(deferral)

    def run(self, run: RunOfJob) -> RunObservation | None:
        integration = _integration()
        return None if integration is None else _Run(run, integration, is_traced=not self._stands_back())

    def _stands_back(self) -> bool:
        is_rival = any(each.makes_traces for each in telemetry.OBSERVERS)
        if is_rival and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "OpenTelemetry traces adjourn, so Sentry gets its errors alone; Sentry's OTLPIntegration takes the traces",
                extra={"action": "sentry_stands_back"},
            )
        return is_rival


@contextlib.contextmanager
def _published(deferral: Deferral) -> Iterator[None]:
    job = deferral.jobs[0]
    with sentry_sdk.start_span(op="queue.publish", name=job.task_name, origin=_ORIGIN) as span:
        carried = {"sentry-trace": sentry_sdk.get_traceparent(), "baggage": sentry_sdk.get_baggage()}
        deferral.add_headers({name: value for name, value in carried.items() if value})
        span.set_data("messaging.system", "adjourn")
        span.set_data("messaging.destination.name", job.queue)
        if deferral.is_batch:
            span.set_data("messaging.batch.message_count", len(deferral.jobs))
        else:
            span.set_data("messaging.message.body.size", _size(job))
        yield
        if not deferral.is_batch:
            span.set_data("messaging.message.id", str(deferral.jobs[0].id))


class _Run(RunObservation):
    """Reports one run."""

    def __init__(self, run: RunOfJob, integration: AdjournIntegration, *, is_traced: bool) -> None:
        self._run = run
        self._job = run.job
        self._integration = integration
        self._is_traced = is_traced
        self._scopes: tuple[Scope, Scope] | None = None
        self._spans: tuple[Transaction, Span] | None = None
        self._monitor = _monitor_of(run.job) if integration.monitor_periodic else {}
        self._check_in: str | None = None
        self._began = time.monotonic()
        self._ended_at: datetime.datetime | None = None

    @contextlib.contextmanager
    def around_body(self) -> Iterator[None]:
        if self._scopes is None:
            self._begin()
        with self._within():
            yield
        self._ended_at = datetime.datetime.now(datetime.UTC)

    @contextlib.contextmanager
    def around_end(self, outcome: Outcome, error: BaseException | None) -> Iterator[None]:
        if self._scopes is None and outcome != "failed":
            yield  # it has not begun
            return
        if self._scopes is None:
            self._begin()
        with self._within():
            try:
                yield
            finally:
                self._end(outcome, error)

    @contextlib.contextmanager
    def _within(self) -> Iterator[None]:
        assert self._scopes is not None
        current, isolation = self._scopes
        with use_isolation_scope(isolation), use_scope(current):
            yield

    def _begin(self) -> None:
        job = self._job
        current, isolation = sentry_sdk.get_current_scope().fork(), sentry_sdk.get_isolation_scope().fork()
        self._scopes = current, isolation
        isolation.clear_breadcrumbs()
        for scope in self._scopes:  # either may have a name from outside of the worker
            scope.set_transaction_name(job.task_name, source="task")
        isolation.set_tag("adjourn.task", job.task_name)
        isolation.set_tag("adjourn.job_id", str(job.id))
        isolation.set_context("adjourn", self._context())
        if self._monitor:
            self._check_in = capture_checkin(**self._monitor, status="in_progress")
        if not self._is_traced:
            return
        with self._within():
            headers = {name: text for name, text in (job.headers or {}).items() if name in _CARRIED}
            carried = {} if job.attempts else headers  # a retry begins a trace of its own
            given = sentry_sdk.continue_trace(
                carried, op="queue.task.adjourn", name=job.task_name, source="task", origin=_ORIGIN
            )
            transaction = sentry_sdk.start_transaction(given, custom_sampling_context={"adjourn_job": self._context()})
            if not isinstance(transaction, Transaction):
                return  # tracing is off, or another library traces
            span = transaction.start_child(op="queue.process", name=job.task_name, origin=_ORIGIN)
            for name, value in self._data().items():
                span.set_data(name, value)
            current.span = span
            self._spans = transaction, span

    def _data(self) -> dict[str, Any]:
        job, waited = self._job, self._run.wait_seconds
        data = {
            "messaging.system": "adjourn",
            "messaging.destination.name": job.queue,
            "messaging.message.id": str(job.id),
            "messaging.message.body.size": _size(job),
            "messaging.message.retry.count": job.attempts,
        }
        return data if waited is None else {**data, "messaging.message.receive.latency": waited * 1000}

    def _context(self) -> dict[str, Any]:
        job = self._job
        arguments = masked(job.task_kwargs, job.sensitive) if _has_consent() else "[Filtered]"
        return {
            "task": job.task_name,
            "job_id": job.id,
            "queue": job.queue,
            "attempt": job.attempts + 1,
            "worker": self._run.worker_name,
            "arguments": arguments,
        }

    def _end(self, outcome: Outcome, error: BaseException | None) -> None:
        is_reported = outcome == "failed" or (outcome == "retried" and self._integration.capture_retries)
        if error is not None and is_reported:
            self._report(error)
        if self._spans is not None:
            transaction, span = self._spans
            for each in (span, transaction):
                each.set_status(_STATUSES[outcome])
            span.finish(end_timestamp=self._ended_at)
            transaction.finish(end_timestamp=self._ended_at)
        if self._check_in is not None and outcome not in ("retried", "returned"):
            status = "ok" if outcome == "succeeded" else "error"
            capture_checkin(
                **self._monitor,
                check_in_id=self._check_in,
                status=status,
                duration=time.monotonic() - self._began,
            )

    def _report(self, error: BaseException) -> None:
        event, hint = event_from_exception(
            error,
            client_options=sentry_sdk.get_client().options,
            mechanism={"type": "adjourn", "handled": False},
        )
        mask = mask_of(self._job.task_kwargs, self._job.sensitive)
        for each in event.get("exception", {}).get("values", ()):
            if isinstance(each.get("value"), str):
                each["value"] = mask(each["value"])
            for frame in (each.get("stacktrace") or {}).get("frames", ()):
                self._hide_variables(frame, mask)
        sentry_sdk.capture_event(event, hint=hint)

    def _hide_variables(self, frame: dict[str, Any], mask: Mask) -> None:
        """Hide in the variables of a frame what is hidden in the arguments: they are the same values, under other names as well."""
        if "vars" not in frame:
            return
        if _has_consent():
            frame["vars"] = masked_texts(masked(frame["vars"], self._job.sensitive), mask)
        else:
            del frame["vars"]


def _has_consent() -> bool:
    """Return whether arguments may be sent."""
    collected = sentry_sdk.get_client().options.get("data_collection")  # of newer versions
    if isinstance(collected, Mapping) and "queues" in collected:
        return bool(collected["queues"])
    return should_send_default_pii()


def _size(job: Job) -> int:
    return len(json.dumps(job.task_kwargs, ensure_ascii=False, default=repr).encode())


def _monitor_header(deferral: Deferral) -> dict[str, str]:
    job = deferral.jobs[0]
    slug = "-".join(filter(None, (job.task_name, deferral.periodic_id)))
    return {_MONITOR: json.dumps({"slug": slug, "cron": deferral.cron, "timezone": deferral.timezone})}


def _monitor_of(job: Job) -> dict[str, Any]:
    """Return what a check-in says of the schedule of a periodic job; nothing of other jobs."""
    try:
        told = json.loads((job.headers or {})[_MONITOR])
        cron = str(told["cron"])
        schedule = {"schedule": {"type": "crontab", "value": cron}, "timezone": told["timezone"]}
        # Sentry knows no schedules with seconds.
        config = schedule if len(cron.split()) == 5 else None
        return {"monitor_slug": str(told["slug"]), "monitor_config": config}
    except (KeyError, TypeError, ValueError):
        return {}
