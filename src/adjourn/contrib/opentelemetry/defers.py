"""Spans of calls that defer jobs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer

from adjourn import telemetry
from adjourn.contrib.opentelemetry import attributes as names
from adjourn.contrib.opentelemetry.contexts import attached, carrier_of, context_from, is_suppressed
from adjourn.contrib.opentelemetry.instruments import Instruments
from adjourn.contrib.opentelemetry.settings import Hook, TracingSettings
from adjourn.exceptions import AlreadyEnqueued
from adjourn.jobs import Job
from adjourn.telemetry import Deferral

RELATION = "adjourn-relation"
"""The header of a job whose runs are never children of the span that deferred it."""


def call_hook(hook: Hook | None, span: Span, job: Job) -> None:
    """Call a hook for a span that is recorded; what it raises is reported."""
    if hook is not None and span.is_recording():
        try:
            hook(span, job)
        except Exception as error:
            telemetry.report(error)


class Defers:
    """Makes the spans of calls that defer jobs, and has the jobs carry their contexts.

    Parameters
    ----------
    tracer
        Makes the spans.
    instruments
        Records metrics.
    settings
        What the program has said.
    """

    def __init__(self, tracer: Tracer, instruments: Instruments, settings: TracingSettings) -> None:
        self._tracer = tracer
        self._instruments = instruments
        self._settings = settings

    @contextlib.contextmanager
    def around(self, deferral: Deferral) -> Iterator[None]:
        """Make the span of a call."""
        if not deferral.jobs or (is_suppressed() and not deferral.is_periodic):
            yield
            return
        create = self._create_spans(deferral) if deferral.is_batch and self._settings.create_spans else []
        span = self._start(deferral, create)
        within = trace.set_span_in_context(span)
        if create:
            contexts = [trace.set_span_in_context(each) for each in create]
            deferral.jobs = [self._carrying(*each) for each in zip(deferral.jobs, contexts, strict=True)]
        else:
            carrier = carrier_of(within, baggage=self._settings.capture_baggage)
            deferral.add_headers({**carrier, RELATION: "link"} if deferral.is_periodic and carrier else carrier)
        began = time.perf_counter()
        error: str | None = None
        try:
            with attached(within):
                yield
        except BaseException as raised:
            error = names.error_type(raised)
            span.set_attribute(names.ERROR_TYPE, error)
            # That the queueing lock is taken is an answer that the program asked for.
            if not isinstance(raised, AlreadyEnqueued):
                span.set_status(Status(StatusCode.ERROR, type(raised).__name__))
                span.record_exception(raised)
            raise
        finally:
            if deferral.jobs:  # otherwise another worker has deferred this tick, and there is nothing to show
                self._end(deferral, span, create, time.perf_counter() - began, error)

    @contextlib.contextmanager
    def around_group(self, jobs: Sequence[Job]) -> Iterator[None]:
        """Make the span of one commit of several calls, linked to those of the calls."""
        contexts = [context_from(job.headers, Context(), baggage=False) for job in jobs]
        spans = [trace.get_current_span(each).get_span_context() for each in contexts]
        links = [Link(each) for each in spans if each.is_valid]
        if not links:
            with attached(Context()):
                yield
            return
        facts = {**names.operation("defer_group", "send"), **names.of_batch(jobs)}
        span = self._tracer.start_span("defer_group", Context(), SpanKind.CLIENT, facts, links)
        with attached(trace.set_span_in_context(span, Context())), contextlib.closing(_Ending(span)):
            yield

    def _create_spans(self, deferral: Deferral) -> list[Span]:
        return [
            self._tracer.start_span(
                f"create {self._settings.destination(job)}",
                kind=SpanKind.PRODUCER,
                attributes={**names.operation("create", "create"), **names.of_deferred(job)},
            )
            for job in deferral.jobs
        ]

    def _start(self, deferral: Deferral, create: Sequence[Span]) -> Span:
        parent = Context() if deferral.is_periodic else None
        if not deferral.is_batch:
            job = deferral.jobs[0]
            facts = {**names.operation("defer", "send"), **names.of_deferred(job)}
            span = self._tracer.start_span(f"defer {self._settings.destination(job)}", parent, SpanKind.PRODUCER, facts)
            if self._settings.record_arguments and span.is_recording():
                span.set_attribute("adjourn.job.args", names.arguments(job))
            return span
        facts = {**names.operation("defer_batch", "send"), **names.of_batch(deferral.jobs)}
        queue = facts.get(names.DESTINATION)
        kind = SpanKind.CLIENT if create else SpanKind.PRODUCER
        links = [Link(each.get_span_context()) for each in create]
        return self._tracer.start_span(f"defer_batch {queue}" if queue else "defer_batch", parent, kind, facts, links)

    def _carrying(self, job: Job, within: Context) -> Job:
        carrier = carrier_of(within, baggage=self._settings.capture_baggage)
        return job.evolve(headers={**carrier, **(job.headers or {})} or None)

    def _end(self, deferral: Deferral, span: Span, create: Sequence[Span], seconds: float, error: str | None) -> None:
        jobs = deferral.jobs
        operation = "defer_batch" if deferral.is_batch else "defer"
        if error is None:
            if not deferral.is_batch:
                span.set_attribute(names.MESSAGE_ID, str(jobs[0].id))
            for each, job in zip(create, jobs, strict=False):
                each.set_attribute(names.MESSAGE_ID, str(job.id))
                call_hook(self._settings.defer_hook, each, job)
            if not create:
                call_hook(self._settings.defer_hook, span, jobs[0])
        for each in create:
            each.end()
        span.end()
        queues = {job.queue for job in jobs}
        queue = queues.pop() if len(queues) == 1 else None
        self._instruments.deferred(operation, 0 if error else len(jobs), queue, seconds, error)


class _Ending:
    """Ends a span when it is closed."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def close(self) -> None:
        """End the span."""
        self._span.end()
