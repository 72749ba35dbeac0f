"""What a program switches tracing on and off with."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar

from opentelemetry import trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from adjourn import telemetry
from adjourn._domain.spelling import unknown_option
from adjourn.contrib.opentelemetry.contexts import ambient, is_suppressed, silence
from adjourn.contrib.opentelemetry.defers import Defers
from adjourn.contrib.opentelemetry.instruments import Instruments
from adjourn.contrib.opentelemetry.records import CurrentSpan
from adjourn.contrib.opentelemetry.runs import TracedRun
from adjourn.contrib.opentelemetry.settings import Hook, Relation, SpanNames, TracingSettings
from adjourn.jobs import Job
from adjourn.telemetry import Deferral, Observer, RunObservation, RunOfJob

logger: logging.Logger = logging.getLogger("adjourn.opentelemetry")

_OF_THE_LOADER = ("skip_dep_check", "raise_exception_on_conflict")
"""Keywords that ``opentelemetry-instrument`` passes to every instrumentor."""


class Tracing(Observer):
    """Makes spans and metrics of what happens in this process."""

    makes_traces = True

    def __init__(
        self, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None, settings: TracingSettings
    ) -> None:
        version = importlib.metadata.version("adjourn")
        self._tracer = trace.get_tracer("adjourn", version, tracer_provider)
        self._instruments = Instruments(meter_provider, version)
        self._settings = settings
        self._defers = Defers(self._tracer, self._instruments, settings)

    def around_defer(self, deferral: Deferral) -> contextlib.AbstractContextManager[object]:
        """Make the span of a call that stores jobs."""
        return self._defers.around(deferral)

    def around_group(self, jobs: Sequence[Job]) -> contextlib.AbstractContextManager[object]:
        """Make the span of one commit of several calls."""
        return self._defers.around_group(jobs)

    def run(self, run: RunOfJob) -> RunObservation | None:
        """Make the span of a run."""
        if is_suppressed(ambient()):
            return None
        return TracedRun(run, self._tracer, self._instruments, self._settings)

    def around_worker(self) -> contextlib.AbstractContextManager[object]:
        """Keep other instrumentations away from what a worker does for itself."""
        return contextlib.nullcontext() if self._settings.exchange_spans else silence()


class AdjournInstrumentor:
    """Makes spans of calls that defer jobs and of their runs, in every app of this process.

    There is one: each call of the class returns the same object. ``opentelemetry-instrument`` calls `instrument` without
    arguments.
    """

    _instance: ClassVar[AdjournInstrumentor | None] = None
    _end: Callable[[], None] | None = None
    _records: CurrentSpan | None = None

    def __new__(cls) -> AdjournInstrumentor:
        """Return the instrumentor of this process."""
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether tracing is on."""
        return self._end is not None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return the packages that are traced."""
        return ("adjourn",)

    def instrument(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        relation: Relation = "auto",
        create_spans: bool = False,
        exchange_spans: bool = False,
        capture_baggage: bool = False,
        span_names: SpanNames = "task",
        record_arguments: bool = False,
        defer_hook: Hook | None = None,
        process_hook: Hook | None = None,
        **others: Any,
    ) -> None:
        """Begin to make spans. Call it before workers begin.

        Parameters
        ----------
        tracer_provider, meter_provider
            Where spans and metrics go. None (the default) means those that the program has set for everything.
        relation
            How a run's span relates to that of the call that deferred its job. It is always linked to that. ``"auto"``, the
            default, makes it a child as well if it is the first attempt of a job that was due within a minute; other runs are
            roots of traces of their own. ``"parent"`` makes all of them children, ``"link"`` none.
        create_spans
            Whether a batch has a span for each of its jobs, besides its own. A batch of 10,000 then has 10,001 spans. False by
            default.
        exchange_spans
            Whether instrumentations of other libraries, such as of psycopg, see the statements by which a worker claims jobs,
            stores outcomes and sends heartbeats. False by default: a worker asks the database all the time.
        capture_baggage
            Whether the program's baggage is stored with a job, and is there when it runs. It stays in the database as long as the
            job, and may hold anything. False by default.
        span_names
            Whether the names of spans end with the name of the ``"task"``, the default, or of the ``"queue"``.
        record_arguments
            Whether spans hold the arguments of jobs. Values whose names look like secrets are hidden. False by default.
        defer_hook, process_hook
            Called with the span and the job when a job was stored, and when a run begins, to add attributes; None for nothing.
            Of a batch without ``create_spans`` it is called with the first job.
        **others
            What ``opentelemetry-instrument`` passes, which changes nothing.

        Raises
        ------
        InvalidOption
            If a value is not valid, or an option does not exist.
        """
        known = [*TracingSettings.__annotations__, "tracer_provider", "meter_provider"]
        for name in others:
            if name not in _OF_THE_LOADER:
                raise unknown_option("AdjournInstrumentor.instrument", name, known)
        settings = TracingSettings(
            relation=relation,
            create_spans=create_spans,
            exchange_spans=exchange_spans,
            capture_baggage=capture_baggage,
            span_names=span_names,
            record_arguments=record_arguments,
            defer_hook=defer_hook,
            process_hook=process_hook,
        )
        if self._end is not None:
            logger.warning("adjourn is instrumented already", extra={"action": "instrumented_already"})
            return
        self._end = telemetry.observe(Tracing(tracer_provider, meter_provider, settings))
        self._records = CurrentSpan()
        self._records.add()

    def uninstrument(self, **others: Any) -> None:
        """End that. Runs that are under way have their spans still.

        Parameters
        ----------
        **others
            What other instrumentors take, which changes nothing.
        """
        if self._end is None or self._records is None:
            logger.warning("adjourn is not instrumented", extra={"action": "not_instrumented"})
            return
        self._end()
        Instruments.are_on = False
        self._records.remove()
        self._end = self._records = None
