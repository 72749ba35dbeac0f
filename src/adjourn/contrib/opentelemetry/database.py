"""Figures of an app's database as metrics of OpenTelemetry."""

from __future__ import annotations

import importlib.metadata
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from adjourn._runtime import forks
from adjourn.app import App
from adjourn.contrib.opentelemetry import attributes as names
from adjourn.exceptions import InvalidOption
from adjourn.monitor.exports import INTERVAL, Exports

SCHEMA = "adjourn.schema"
STATE = "adjourn.job.state"
TOGETHER = 1.0
"""Seconds in which the instruments of one collection ask one after the other, and get what one of them has read."""
Samples = Mapping[tuple[str, ...], float]


def observe(app: App, *, meter_provider: MeterProvider | None = None, interval: float = INTERVAL) -> Callable[[], None]:
    """Have the figures of an app's database observed as metrics, from now on: ``adjourn.queue.latency`` and ``adjourn.queue.jobs``.

    They are read whenever a reader of metrics collects, on a connection of its own and in a few seconds at most. While the database does not
    answer, there are none: old ones would look like new ones. They are those of all programs together, so one process of a system is
    enough. Calling it twice for an app observes it once.

    Parameters
    ----------
    app
        The app. It need not be open.
    meter_provider
        Where the metrics go; None (the default) means where those of the whole program do.
    interval
        For how many seconds what was read is told again, from 1 to 3,600. Default: 10.

    Returns
    -------
    callable
        Ends it for this app.

    Raises
    ------
    InvalidOption
        If the app has no database, or an argument is not valid.

    Examples
    --------
    In a process of its own, or in one of the workers::

        from adjourn.contrib.opentelemetry import observe

        observe(app)
    """
    if not isinstance(app, App):
        raise InvalidOption(f"app={app!r}: pass an App.")
    if meter_provider is not None and not isinstance(meter_provider, MeterProvider):
        raise InvalidOption(f"meter_provider={meter_provider!r}: pass a MeterProvider, or None for the program's own.")
    figures = _Figures(app, interval)
    with _making:
        observed = _observed.get(meter_provider)
        if observed is None:
            observed = _observed[meter_provider] = _Observed(meter_provider)
        return observed.add(app, figures)


class _Figures:
    """What was read of one database."""

    def __init__(self, app: App, interval: float) -> None:
        self._app, self._interval = app, interval
        self._exports = Exports(app, interval, only=("queues",))
        self.renew_locks()
        forks.watch(self)

    def renew_locks(self) -> None:
        """Begin anew. A forked child must not talk on the parent's connection."""
        if hasattr(self, "_reading"):
            forks.keep(self._exports)
            self._exports = Exports(self._app, self._interval, only=("queues",))
        self._reading = threading.Lock()
        self._read: tuple[float, dict[str, Samples]] | None = None

    def samples(self, name: str) -> Samples:
        """Return the present figures of a metric; none while the database does not answer. From any thread."""
        with self._reading:
            if self._read is None or time.monotonic() >= self._read[0] + TOGETHER:
                found = {family.name: family.samples for family in self._exports.families()}
                self._read = time.monotonic(), found
            return self._read[1][name]

    def observations(self, name: str, *labels: str) -> Iterator[Observation]:
        """Yield the figures of a metric, with its labels by their names here."""
        for values, number in sorted(self.samples(name).items()):
            attributes: dict[str, Any] = dict(zip(labels, values, strict=True))
            yield Observation(number, {names.SYSTEM: "adjourn", SCHEMA: self._app.job_manager.schema, **attributes})

    def close(self) -> None:
        """Close the connection."""
        self._exports.close()


class _Observed:
    """The databases whose figures go to one provider, and the instruments, which cannot be taken back."""

    def __init__(self, meter_provider: MeterProvider | None) -> None:
        self._figures: dict[App, _Figures] = {}
        meter = metrics.get_meter("adjourn", importlib.metadata.version("adjourn"), meter_provider)
        meter.create_observable_gauge(
            "adjourn.queue.latency",
            [self._latency],
            "s",
            "For how long the oldest job of the queue could have run that does not.",
        )
        meter.create_observable_gauge(
            "adjourn.queue.jobs", [self._jobs], "{job}", "Live jobs of the queue by their state, counted up to 10,000."
        )

    def add(self, app: App, figures: _Figures) -> Callable[[], None]:
        self._figures.setdefault(app, figures)

        def end() -> None:
            if (ended := self._figures.pop(app, None)) is not None:
                ended.close()

        return end

    def _latency(self, options: CallbackOptions) -> Iterable[Observation]:
        for each in tuple(self._figures.values()):
            yield from each.observations("adjourn_queue_latency_seconds", names.DESTINATION)

    def _jobs(self, options: CallbackOptions) -> Iterable[Observation]:
        for each in tuple(self._figures.values()):
            yield from each.observations("adjourn_queue_jobs", names.DESTINATION, STATE)


_making = threading.Lock()
_observed: dict[MeterProvider | None, _Observed] = {}
"""By provider, which a program has one or two of: they live as long as it does."""
