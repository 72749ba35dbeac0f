"""Metrics for Prometheus, of programs that defer jobs and of workers. Needs the extra ``prometheus``.

``adjourn worker --http`` serves them at ``/metrics`` by itself. Programs that serve their own metrics call `instrument`.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import socket
import socketserver
import threading
import time
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

try:
    import prometheus_client
except ModuleNotFoundError as _error:
    raise ImportError(
        "adjourn.contrib.prometheus needs Prometheus' client: pip install 'adjourn[prometheus]'"
    ) from _error

from prometheus_client import CollectorRegistry, Counter, Histogram, multiprocess
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from adjourn import events, telemetry
from adjourn._domain.claimed import ClaimedJob
from adjourn._domain.statistics import BUCKETS, OTHER, RUN_BOUNDS, WAIT_BOUNDS
from adjourn.app import App
from adjourn.contrib.prometheus.private import observe
from adjourn.contrib.prometheus.shared import (
    DIRECTORY,
    EXCHANGED,
    EXCHANGES,
    GAUGES,
    INFO,
    SharedGauges,
    forget_dead,
)
from adjourn.exceptions import AlreadyEnqueued
from adjourn.jobs import Job
from adjourn.monitor import exports
from adjourn.telemetry import Deferral, Observer
from adjourn.worker import exposition as workers
from adjourn.worker.recording import Recorder, record
from adjourn.worker.tally import BLOCK, EndedRuns, grouped, waits_of
from adjourn.worker.traffic import BOUNDS as EXCHANGE_BOUNDS
from adjourn.worker.traffic import Traffic

__all__ = ["DatabaseCollector", "exposition", "instrument", "server_of"]

MOST_PAIRS = 500
"""Of so many pairs of a queue and a task a process has series of their own."""
DEFER_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


def instrument(app: App, registry: CollectorRegistry | None = None) -> Callable[[], None]:
    """Record metrics of an app, from now on. Calling it twice for an app records them once.

    Parameters
    ----------
    app
        The app.
    registry
        Where the metrics are registered; None for the client's own, ``prometheus_client.REGISTRY``.

    Returns
    -------
    callable
        Ends it for this app.
    """
    chosen = prometheus_client.REGISTRY if registry is None else registry
    with _making:
        metrics = _made.get(chosen)
        if metrics is None:
            metrics = _made[chosen] = _Metrics(chosen)
        return metrics.follow(app)


def exposition(accept: str = "") -> tuple[str, bytes]:
    """Return the metrics of the client's own registry as text, with its type.

    In programs with ``PROMETHEUS_MULTIPROC_DIR`` these are the metrics of all processes.

    Parameters
    ----------
    accept
        The header ``Accept`` of the request, which chooses a format.
    """
    registry = prometheus_client.REGISTRY
    refresh()
    if _has_processes():
        forget_dead()
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    encode, kind = prometheus_client.exposition.choose_encoder(accept)
    return kind, encode(registry)


def refresh() -> None:
    """Have the metrics of the client's own registry say what is so now, for the scrape of another process."""
    if (metrics := _made.get(prometheus_client.REGISTRY)) is not None:
        metrics.refresh()


def _has_processes() -> bool:
    return DIRECTORY in os.environ


_making = threading.Lock()
_made: weakref.WeakKeyDictionary[CollectorRegistry, _Metrics] = weakref.WeakKeyDictionary()


class _Metrics:
    """The metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        registry.register(_Latest(self.tell))

        def counter(name: str, told: str, *labels: str) -> Counter:
            return Counter(name, told, labels, registry=registry)

        def histogram(name: str, told: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(name, told, labels, buckets=buckets, registry=registry)

        pair = ("queue", "task")
        self._defers = counter("adjourn_defers_total", "Jobs that were to be deferred", *pair, "result")
        self._defer_seconds = histogram("adjourn_defer_seconds", "Durations of calls that defer jobs", DEFER_BUCKETS)
        self._started = counter("adjourn_jobs_started_total", "Runs that have begun", *pair)
        self._ended = counter("adjourn_jobs_ended_total", "Runs that have ended", *pair, "outcome")
        self._run_seconds = histogram("adjourn_job_run_seconds", "Durations of runs", RUN_BOUNDS, *pair)
        self._wait_seconds = histogram(
            "adjourn_job_wait_seconds",
            "How long jobs could have run before a worker claimed them",
            WAIT_BOUNDS,
            "queue",
        )
        self._stale = counter(
            "adjourn_worker_stale_outcomes_total",
            "Runs whose outcomes were discarded, because the jobs were no longer theirs",
        )
        self._errors = counter("adjourn_worker_database_errors_total", "Failed round trips of workers", "role")
        self._dead = counter("adjourn_worker_declared_dead_total", "How often workers here were declared dead")
        self._others_dead = counter(
            "adjourn_worker_others_declared_dead_total", "Workers that workers here have declared dead"
        )
        self._rescued = counter(
            "adjourn_worker_rescued_jobs_total", "Jobs of dead workers that workers here have freed", "result"
        )
        self._overflow = counter("adjourn_metrics_overflow_total", f"Samples that {OTHER} stands for")
        self._registry = weakref.ref(registry)
        self._shared: SharedGauges | None = None
        self._pairs: set[tuple[str, str]] = set()
        self._recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()
        self._apps: weakref.WeakKeyDictionary[App, list[Callable[[], None]]] = weakref.WeakKeyDictionary()
        if not _has_processes():
            registry.register(_Workers())
        telemetry.observe(_Defers(self))

    def follow(self, app: App) -> Callable[[], None]:
        """Begin to record an app, unless that has begun. Nobody else may do so meanwhile."""
        if app not in self._apps:
            subscribe = app.events.subscribe
            recorder, end_of_recorder = record(app, self._count)
            self._recorders.add(recorder)
            self._apps[app] = [
                end_of_recorder,
                subscribe(events.OutcomeRefused, lambda _: self._stale.inc()),
                subscribe(events.ConnectionLost, lambda _: self._errors.labels("exchange").inc()),
                subscribe(events.HeartbeatFailed, lambda _: self._errors.labels("heartbeat").inc()),
                subscribe(events.WorkerDeclaredDead, lambda _: self._dead.inc()),
                subscribe(events.OthersDeclaredDead, lambda event: self._others_dead.inc(event.died)),
                subscribe(events.JobsRescued, self._on_rescue),
            ]

        def end() -> None:
            for unsubscribe in self._apps.pop(app, []):
                unsubscribe()

        return end

    def deferred(self, jobs: Iterable[Job], result: str, seconds: float) -> None:
        counts: dict[tuple[str, str], int] = {}
        for job in jobs:
            names = job.queue, job.task_name
            counts[names] = counts.get(names, 0) + 1
        for names, count in counts.items():
            self._defers.labels(*self._pair(*names), result).inc(count)
        self._defer_seconds.observe(seconds)

    def _pair(self, queue: str, task: str, samples: int = 1) -> tuple[str, str]:
        """Return the labels of a queue and a task: there may be more of them than a database of metrics can bear."""
        names = queue, task
        if names in self._pairs:
            return names
        if len(self._pairs) < MOST_PAIRS:
            self._pairs.add(names)
            return names
        self._overflow.inc(samples)
        return OTHER, OTHER

    def tell(self) -> None:
        """Count the runs that nobody has counted yet."""
        for recorder in tuple(self._recorders):
            recorder.tell()

    def refresh(self) -> None:
        """Count the runs that nobody has counted yet, and say how the workers are where processes share that."""
        self.tell()
        if not _has_processes():
            return
        with _making:
            # A process that has no worker has no such gauges, which would be those of the worst worker.
            if self._shared is None and workers.numbers() and (registry := self._registry()) is not None:
                self._shared = SharedGauges(registry)
        if self._shared is not None:
            self._shared.refresh()

    def _count(self, began: Sequence[ClaimedJob], ended: Sequence[EndedRuns]) -> None:
        """Count runs that have begun, and runs that have ended: many at once cost little for each."""
        for (queue, task), jobs in grouped(began).items():
            pair = self._pair(queue, task, samples=len(jobs))
            self._started.labels(*pair).inc(len(jobs))
            counts, total = [0] * BUCKETS, 0.0
            for waited, number in waits_of(jobs, is_block=len(began) >= BLOCK):
                counts[bisect_left(WAIT_BOUNDS, waited)] += number
                total += waited * number
            observe(self._wait_seconds.labels(pair[0]), WAIT_BOUNDS, counts, total)
        for runs in ended:
            pair = self._pair(runs.queue, runs.task_name, samples=runs.jobs)
            self._ended.labels(*pair, runs.outcome).inc(runs.jobs)
            observe(self._run_seconds.labels(*pair), RUN_BOUNDS, runs.counts, runs.seconds)

    def _on_rescue(self, event: events.JobsRescued) -> None:
        self._rescued.labels("freed").inc(event.rescued)
        self._rescued.labels("failed").inc(event.failed)


class _Defers(Observer):
    """Counts and times calls that defer jobs."""

    def __init__(self, metrics: _Metrics) -> None:
        self._metrics = metrics

    @contextlib.contextmanager
    def around_defer(self, deferral: Deferral) -> Iterator[None]:
        began, result, jobs = time.perf_counter(), "error", deferral.jobs
        try:
            yield
            result, jobs = "stored", deferral.jobs
        except AlreadyEnqueued:
            result = "already_enqueued"
            raise
        finally:
            if jobs:  # otherwise another worker has deferred this tick
                self._metrics.deferred(jobs, result, time.perf_counter() - began)


class DatabaseCollector(Collector):
    """Has a registry show the figures of an app's database, as ``adjourn metrics`` does: register it in one of its own.

    They are read when somebody asks, in a few seconds at most, and shown for a while. One process of a system is enough.

    Parameters
    ----------
    app
        The app. It need not be open.
    interval
        For how many seconds what was read is shown. Default: 10.

    Raises
    ------
    InvalidOption
        If the app has no database, or the interval is not from 1 to 3,600.
    """

    def __init__(self, app: App, interval: float = exports.INTERVAL) -> None:
        self._exports = exports.Exports(app, interval)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._answer = prometheus_client.make_wsgi_app(self._registry)

    @property
    def is_up(self) -> bool:
        """Whether the database answers, or has answered not long ago."""
        return any(each.name == "adjourn_up" and each.samples[()] for each in self._exports.families())

    def text(self) -> bytes:
        """Return the figures in Prometheus' own format."""
        return prometheus_client.generate_latest(self._registry)

    def exposition(self, accept: str = "") -> tuple[str, bytes]:
        """Return the figures as text, with its type.

        Parameters
        ----------
        accept
            The header ``Accept`` of the request, which chooses a format.
        """
        encode, kind = prometheus_client.exposition.choose_encoder(accept)
        return kind, encode(self._registry)

    def answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request by WSGI: ``/metrics`` in the format that it accepts, ``/livez`` and ``/readyz``.

        Parameters
        ----------
        environ
            What WSGI says of the request.
        start_response
            Begins the answer.
        """
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            answer: Iterable[bytes] = self._answer(environ, start_response)
            return answer
        status, text = "404 Not Found", b"Here are /metrics, /livez and /readyz.\n"
        if path == "/livez":
            status, text = "200 OK", b"alive\n"
        elif path == "/readyz":
            up = self.is_up
            status = "200 OK" if up else "503 Service Unavailable"
            text = b"ready\n" if up else b"the database does not answer\n"
        start_response(status, [("Content-Type", "text/plain"), ("Cache-Control", "no-store")])
        return [text]

    def close(self) -> None:
        """Close the connection to the database."""
        self._exports.close()

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without figures, for the registry, which does not ask the database when this is registered."""
        return map(_family, exports.DECLARED)

    def collect(self) -> Iterable[Metric]:
        """Return the figures."""
        return map(_family, self._exports.families())


def server_of(collector: DatabaseCollector, host: str, port: int) -> socketserver.BaseServer:
    """Return a server that listens already, and answers by a collector once it serves.

    Parameters
    ----------
    collector
        The collector.
    host, port
        Where it listens.

    Raises
    ------
    OSError
        If it cannot listen there.
    """
    kind = type("Server", (_Server,), {"address_family": socket.AF_INET6 if ":" in host else socket.AF_INET})
    server = kind((host, port), _Handler)
    server.set_app(collector.answer)
    made: socketserver.BaseServer = server
    return made


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False

    def server_bind(self) -> None:
        """Listen, and do not ask a name server for this host's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away is no error."""


class _Handler(WSGIRequestHandler):
    timeout = 5.0  # seconds that a client may take for its request

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the class has
        """Say nothing: scrapes come every few seconds."""


def _family(family: exports.Family) -> Metric:
    labels = list(family.labels)
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    made: CounterMetricFamily | GaugeMetricFamily = kind(family.name, family.told, labels=labels)
    for values, number in sorted(family.samples.items()):
        made.add_metric(values, number)
    return made


def _exchanges(traffic: Sequence[Traffic]) -> Iterable[Metric]:
    """Return what the round trips of workers carry, and how long they take."""
    durations = HistogramMetricFamily(*EXCHANGES)
    jobs = CounterMetricFamily(*EXCHANGED, labels=["direction"])
    if traffic:
        counts = itertools.accumulate(map(sum, zip(*(each.counts for each in traffic), strict=True)))
        bounds = [floatToGoString(bound) for bound in (*EXCHANGE_BOUNDS, math.inf)]  # type: ignore[no-untyped-call]
        durations.add_metric([], list(zip(bounds, counts, strict=True)), sum(each.seconds for each in traffic))
        jobs.add_metric(["claimed"], sum(each.claimed for each in traffic))
        jobs.add_metric(["stored"], sum(each.stored for each in traffic))
    return durations, jobs


class _Latest(Collector):
    """Has the runs counted that have ended lately, before anything else of its registry is collected."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell

    def describe(self) -> Iterable[Metric]:
        """Return no metric."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Count them, and return no metric."""
        self._tell()
        return ()


class _Workers(Collector):
    """Asks the workers of this process, those that answer probes, when somebody asks for metrics."""

    def collect(self) -> Iterable[Metric]:
        """Return what the workers say now."""
        now = workers.numbers()
        yield from _exchanges([each["traffic"] for each in now])
        for name, told, key, together in GAUGES:
            family = GaugeMetricFamily(name, told)
            if values := [each[key] for each in now if each[key] is not None]:
                family.add_metric([], together(values))
            yield family
        info = GaugeMetricFamily(INFO[0], INFO[1], labels=INFO[2])
        for identity in sorted({(each["name"], each["version"], each["python"]) for each in now}):
            info.add_metric(identity, 1)
        yield info
