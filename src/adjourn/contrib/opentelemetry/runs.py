"""Spans of runs."""

from __future__ import annotations

import contextlib
import datetime
import time
import traceback
from collections.abc import Iterator

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanKind, Tracer

from adjourn._domain.masking import mask_of
from adjourn.contrib.opentelemetry import attributes as names
from adjourn.contrib.opentelemetry.contexts import ambient, attached, context_from
from adjourn.contrib.opentelemetry.defers import RELATION, call_hook
from adjourn.contrib.opentelemetry.instruments import Instruments
from adjourn.contrib.opentelemetry.settings import TracingSettings
from adjourn.jobs import Job
from adjourn.telemetry import Outcome, RunObservation, RunOfJob

SOON = datetime.timedelta(seconds=60)
"""A job that is due later than this after it was deferred is no part of the trace that deferred it."""


class TracedRun(RunObservation):
    """Makes the span of one run.

    Parameters
    ----------
    run
        The run.
    tracer
        Makes the span.
    instruments
        Records metrics.
    settings
        What the program has said.
    """

    def __init__(self, run: RunOfJob, tracer: Tracer, instruments: Instruments, settings: TracingSettings) -> None:
        self._run = run
        self._job = run.job
        self._tracer = tracer
        self._instruments = instruments
        self._settings = settings
        self._base = ambient()
        self._span: Span | None = None
        self._within = self._base
        self._began = 0.0
        self._ended = 0.0
        self._ended_at: int | None = None

    @contextlib.contextmanager
    def around_body(self) -> Iterator[None]:
        """Make the span the current one, and start it before that."""
        if self._span is None:
            self._start()
        try:
            with attached(self._within):
                yield
        finally:
            self._ended_at, self._ended = time.time_ns(), time.perf_counter()

    @contextlib.contextmanager
    def around_end(self, outcome: Outcome, error: BaseException | None) -> Iterator[None]:
        """Make the span the current one for the records of the outcome, then end it."""
        if self._span is None and outcome != "failed":
            yield
            return
        span = self._span or self._start()
        try:
            with attached(self._within):
                yield
        finally:
            self._end(span, outcome, error)

    def _start(self) -> Span:
        job, settings = self._job, self._settings
        carried = context_from(job.headers, self._base, baggage=settings.capture_baggage)
        outside = trace.get_current_span(self._base)
        origin = trace.get_current_span(carried).get_span_context()
        has_origin = origin.is_valid and origin != outside.get_span_context()
        attempt = {names.ATTEMPT: job.attempts + 1}
        links = [Link(origin, attempt)] if has_origin else []
        is_child = has_origin and _is_child(job, settings, outside)
        parent = carried if is_child else trace.set_span_in_context(outside, carried)
        facts = {
            **names.operation("process", "process"),
            **names.of_run(self._run),
        }
        self._began = time.perf_counter()
        span = self._span = self._tracer.start_span(
            f"process {settings.destination(job)}", parent, SpanKind.CONSUMER, facts, links
        )
        self._within = trace.set_span_in_context(span, parent)
        if settings.record_arguments and span.is_recording():
            span.set_attribute("adjourn.job.args", names.arguments(job))
        call_hook(settings.process_hook, span, job)
        self._instruments.started(self._run)
        return span

    def _end(self, span: Span, outcome: Outcome, error: BaseException | None) -> None:
        kind: str | None = None
        span.set_attribute(names.OUTCOME, outcome)
        if outcome in ("failed", "retried") and error is not None:
            kind = names.error_type(error)
            span.set_attribute(names.ERROR_TYPE, kind)
            said = self._record(span, error) if span.is_recording() else ""
            span.set_status(names.failed(kind, said))
        elif outcome == "lost":
            span.add_event("adjourn.job.lost")
        seconds = (self._ended or time.perf_counter()) - self._began
        span.end(self._ended_at)
        self._instruments.ended(self._job, seconds, kind)

    def _record(self, span: Span, error: BaseException) -> str:
        """Note an error in the span, and return its message."""
        mask = mask_of(self._job.task_kwargs, self._job.sensitive)
        try:
            message, told = str(error), "".join(traceback.format_exception(error))
        except Exception as unprintable:  # it is the program's own
            message = told = f"It cannot be printed: {type(unprintable).__name__}"
        message = mask(message)
        span.record_exception(error, {"exception.message": message, "exception.stacktrace": mask(told)}, self._ended_at)
        return message


def _is_child(job: Job, settings: TracingSettings, outside: Span) -> bool:
    """Return whether the run belongs to the trace that has deferred its job."""
    if settings.relation != "auto":
        return settings.relation == "parent"
    if job.attempts or outside.get_span_context().is_valid or (job.headers or {}).get(RELATION) == "link":
        return False
    return job.scheduled_at is None or job.enqueued_at is None or job.scheduled_at - job.enqueued_at <= SOON
