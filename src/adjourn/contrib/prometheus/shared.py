"""What workers say of themselves, in the files by which the processes of a program share their metrics (``PROMETHEUS_MULTIPROC_DIR``).

Without such files a collector asks the workers when somebody scrapes. With them, another process may be the one that is scraped.
"""

from __future__ import annotations

import math
import os
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess

from adjourn._runtime import forks
from adjourn.contrib.prometheus.private import names_files_by_pid, observe
from adjourn.worker import exposition as workers
from adjourn.worker.traffic import BOUNDS as EXCHANGE_BOUNDS
from adjourn.worker.traffic import Traffic

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
EXCHANGES = ("adjourn_worker_exchange_seconds", "Round trips that claim jobs and store outcomes")
EXCHANGED = ("adjourn_worker_exchange_jobs", "Jobs claimed and outcomes stored by them")
INFO = ("adjourn_worker_info", "Workers", ("name", "version", "python"))
GAUGES: tuple[tuple[str, str, str, Callable[[Sequence[float]], float]], ...] = (
    ("adjourn_jobs_running", "Jobs that run", "running", sum),
    ("adjourn_worker_slots", "How many jobs can run at once", "slots", sum),
    ("adjourn_worker_buffered_jobs", "Jobs that are claimed and have not begun", "buffered", sum),
    ("adjourn_worker_outbox_jobs", "Outcomes that are not stored yet", "outbox", sum),
    ("adjourn_worker_outbox_oldest_seconds", "Age of the oldest of these", "outbox_oldest", max),
    ("adjourn_worker_last_exchange_timestamp_seconds", "When the last round trip succeeded", "exchanged_at", min),
    ("adjourn_worker_last_heartbeat_timestamp_seconds", "When the last heartbeat succeeded", "beaten_at", min),
    ("adjourn_worker_loop_lag_seconds", "For how long the event loop has not turned", "loop_lag", max),
)
"""Names, what they are, and how those of several workers become one."""
_MODES: dict[Any, Literal["livesum", "livemax", "livemin"]] = {sum: "livesum", max: "livemax", min: "livemin"}
"""How those of several processes become one."""
_WITHOUT_WORKERS: dict[Any, float] = {sum: 0.0, max: 0.0, min: math.inf}
"""What a process says whose workers have ended, so that those of others count."""


@attrs.define(eq=False)
class _Seen:
    """How much of a worker's traffic has been counted."""

    traffic: Traffic
    seconds: float = 0.0
    counts: list[int] = attrs.field(factory=lambda: [0] * (len(EXCHANGE_BOUNDS) + 1))
    claimed: int = 0
    stored: int = 0


class SharedGauges:
    """Writes what the workers of this process say, now and then.

    Parameters
    ----------
    registry
        Where the metrics are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.renew_locks()
        forks.watch(self)
        self._gauges = [
            (Gauge(name, told, registry=registry, multiprocess_mode=_MODES[together]), key, together)
            for name, told, key, together in GAUGES
        ]
        self._info = Gauge(*INFO, registry=registry, multiprocess_mode="livemax")
        self._exchanges = Histogram(*EXCHANGES, buckets=EXCHANGE_BOUNDS, registry=registry)
        self._exchanged = Counter(*EXCHANGED, ("direction",), registry=registry)
        self._known: set[tuple[str, str, str]] = set()

    def renew_locks(self) -> None:
        """Begin with nothing that was counted: in a forked child that is the parent's."""
        self._writing = threading.Lock()
        self._seen: dict[int, _Seen] = {}

    def refresh(self) -> None:
        """Write what they say now. May be called from any thread."""
        with self._writing:
            now = workers.numbers()
            for gauge, key, together in self._gauges:
                values = [each[key] for each in now if each[key] is not None]
                gauge.set(together(values) if values else _WITHOUT_WORKERS[together])
            names = {(each["name"], each["version"], each["python"]) for each in now}
            self._known |= names
            for each in self._known:
                self._info.labels(*each).set(1 if each in names else 0)
            # A worker that has ended needs no memory of what was counted.
            self._seen = {
                id(each["traffic"]): self._seen.get(id(each["traffic"])) or _Seen(each["traffic"]) for each in now
            }
            for seen in self._seen.values():
                self._count(seen)

    def _count(self, seen: _Seen) -> None:
        traffic, counts = seen.traffic, list(seen.traffic.counts)
        seconds, claimed, stored = traffic.seconds, traffic.claimed, traffic.stored
        self._exchanged.labels("claimed").inc(claimed - seen.claimed)
        self._exchanged.labels("stored").inc(stored - seen.stored)
        new = [new - old for new, old in zip(counts, seen.counts, strict=True)]
        observe(self._exchanges, EXCHANGE_BOUNDS, new, seconds - seen.seconds)
        seen.seconds, seen.counts, seen.claimed, seen.stored = seconds, counts, claimed, stored


def forget_dead() -> None:
    """Have the gauges of processes vanish that have died without a word. Their counters stay.

    So do those of processes whose files have other numbers than their pids: nobody knows who is alive by these.
    """
    if not names_files_by_pid():
        return
    files = Path(os.environ[DIRECTORY]).glob("gauge_live*_*.db")
    for pid in {int(found[1]) for each in files if (found := re.search(r"_(\d+)\.db$", each.name))}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
        except OSError:
            continue  # it lives, and is somebody else's
