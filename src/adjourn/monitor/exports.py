"""Figures of a database for systems of metrics: families of samples, read at a cost that has a bound, and shared by all who ask."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import attrs

from adjourn import sql
from adjourn._domain.statistics import OTHER
from adjourn.app import App
from adjourn.exceptions import ConnectorException, InvalidOption
from adjourn.monitor.figures import latencies
from adjourn.monitor.reader import Reader
from adjourn.monitor.slots import serving_of, slots_of

logger: logging.Logger = logging.getLogger("adjourn.monitor")

INTERVAL = 10.0
"""Seconds for which what was read is shown."""
PATIENCE = 5.0
"""Seconds for which somebody who asks waits for the database."""
MOST_PAIRS = 500
"""Of so many pairs of a queue and a task, and of so many queues, there are samples of their own."""

Samples: TypeAlias = dict[tuple[str, ...], float]


@attrs.frozen(kw_only=True)
class Family:
    """A metric.

    Attributes
    ----------
    name, told, kind
        Its name, what it is, and whether it may fall.
    labels
        The names of its labels.
    samples
        Numbers by the values of the labels.
    """

    name: str
    told: str
    kind: Literal["gauge", "counter"] = "gauge"
    labels: Sequence[str] = ()
    samples: Mapping[tuple[str, ...], float] = attrs.field(factory=dict)


QUEUE, KIND, PAIR = ("queue",), ("queue", "task"), ("queue", "task", "status")
SCHEDULE = ("task", "periodic_id")
DECLARED: tuple[Family, ...] = (
    Family(name="adjourn_queue_latency_seconds", told="For how long the oldest job could have run that does not", labels=QUEUE),
    Family(name="adjourn_queue_jobs", told="Live jobs, counted up to 10,000", labels=("queue", "state")),
    Family(name="adjourn_queue_jobs_capped", told="1 if there are more jobs than were counted", labels=("queue", "state")),
    Family(name="adjourn_queue_paused", told="1 if the queue is paused", labels=QUEUE),
    Family(name="adjourn_queue_pause_ends_timestamp_seconds", told="When its pause ends by itself; absent if it has no such end", labels=QUEUE),
    Family(name="adjourn_queue_workers", told="Live workers that serve the queue", labels=QUEUE),
    Family(name="adjourn_queue_slots", told="How many jobs these can run at once", labels=QUEUE),
    Family(name="adjourn_oldest_running_seconds", told="For how long the oldest job has been running that workers tell of", labels=QUEUE),
    Family(name="adjourn_unknown_task_jobs", told="Jobs that wait for a worker that knows their task, counted up to 10,000", labels=KIND),
    Family(name="adjourn_unknown_task_seconds", told="For how long the first of them has waited", labels=KIND),
    Family(name="adjourn_workers", told="Workers", labels=("state",)),
    Family(name="adjourn_locks_waiting", told="Locks behind which jobs wait, counted up to 500"),
    Family(name="adjourn_headless_locks", told="Those of them that no job holds"),
    Family(name="adjourn_lock_wait_seconds", told="The longest wait of a job that is the next behind its lock"),
    Family(name="adjourn_history_jobs_total", told="What has become of jobs since the exporter began", kind="counter", labels=PAIR),
    Family(name="adjourn_metrics_overflow_total", told=f"Samples that {OTHER} stands for", kind="counter"),
    Family(name="adjourn_schedule_last_tick_timestamp_seconds", told="The last tick that was deferred", labels=SCHEDULE),
    Family(name="adjourn_schedule_next_tick_timestamp_seconds", told="The tick after that", labels=SCHEDULE),
    Family(name="adjourn_schedule_overdue_seconds", told="For how long that one is due, 0 while paused", labels=SCHEDULE),
    Family(name="adjourn_schedule_paused", told="1 if the schedule is paused", labels=SCHEDULE),
    Family(name="adjourn_table_bytes", told="Bytes on disk", labels=("table", "part")),
    Family(name="adjourn_table_rows_estimate", told="About how many rows there are", labels=("table",)),
    Family(name="adjourn_table_dead_rows", told="About how many rows wait for vacuum", labels=("table",)),
    Family(name="adjourn_default_partition_jobs", told="Finished jobs in no week's partition, counted up to 10,000"),
    Family(name="adjourn_partitions_ahead", told="For how many weeks ahead there are partitions"),
    Family(name="adjourn_notify_queue_ratio", told="How full the server's queue of notifications is, from 0 to 1"),
    Family(name="adjourn_xmin_age_transactions", told="For how many transactions dead rows have been kept for somebody"),
    Family(name="adjourn_oldest_transaction_seconds", told="For how long the oldest transaction of this database has been open"),
    Family(name="adjourn_standby_lag_seconds", told="For how long the server, a standby, has not had what the primary has stored"),
    Family(name="adjourn_schema_version", told="The version of the schema"),
    Family(name="adjourn_schema_version_needed", told="The version that this release needs"),
    Family(name="adjourn_up", told="1 if the database answers"),
    Family(name="adjourn_collector_success", told="1 if these figures could be read", labels=("collector",)),
    Family(name="adjourn_collector_seconds", told="How long that took", labels=("collector",)),
)  # fmt: skip
"""The metrics that there are."""


class Exports:
    """Reads the figures of an app's database when somebody asks, and shows what it has read for a while.

    Whoever asks waits for a few seconds at most. While the database does not answer, ``adjourn_up`` is 0, and there are no other
    figures: old ones would look like new ones.

    Parameters
    ----------
    app
        The app. It need not be open.
    interval
        For how many seconds what was read is shown; one or more.
    only
        The collectors whose figures are read; None for all. The others' metrics have no samples.

    Raises
    ------
    InvalidOption
        If the app has no database, or the interval is not valid.
    """

    def __init__(self, app: App, interval: float = INTERVAL, only: Collection[str] | None = None) -> None:
        if not app.connector.is_shared:
            raise InvalidOption("The app has an in-memory connector: there is no database to export figures of.")
        self._app = app
        self._interval = checked_interval(interval)
        self._only = only
        self._history = _History()
        self._queues: set[str] = set()
        self._reader: Reader | None = None
        self._changing = threading.Condition()
        self._is_reading = False
        self._read: tuple[float, list[Family]] | None = None

    def families(self) -> list[Family]:
        """Return all metrics with the present figures. May be called from several threads at once."""
        with self._changing:
            if self._is_fresh():
                return self._shown()
            if not self._is_reading:
                # This fails if the process can have no more threads now.
                threading.Thread(target=self._run, name="adjourn-exports", daemon=True).start()
                self._is_reading = True
            self._changing.wait_for(lambda: not self._is_reading, PATIENCE)
            if not self._is_reading:
                return self._shown()
            self._read = None
            reader = self._reader
        if reader is not None:
            reader.session.abandon()
        return down()

    def close(self) -> None:
        """Close the connection."""
        with self._changing:
            self._changing.wait_for(lambda: not self._is_reading, PATIENCE)
            reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _is_fresh(self) -> bool:
        return self._read is not None and time.monotonic() < self._read[0] + self._interval

    def _shown(self) -> list[Family]:
        return down() if self._read is None else self._read[1]

    def _run(self) -> None:
        families: list[Family] | None = None
        try:
            families = self._collect()
        except ConnectorException as error:
            logger.warning("The database does not answer: %s", error, extra={"action": "exports_failed"})
        finally:
            with self._changing:
                self._read = None if families is None else (time.monotonic(), families)
                self._is_reading = False
                self._changing.notify_all()

    def _collect(self) -> list[Family]:
        if self._reader is None:
            self._reader = Reader(self._app, "monitor")
        reader = self._reader
        found: dict[str, Samples] = {
            "adjourn_up": {(): 1},
            "adjourn_collector_success": {},
            "adjourn_collector_seconds": {},
        }
        try:
            reader.rows("server")
            for name, collect in self._collectors().items():
                if self._only is not None and name not in self._only:
                    continue
                began = time.monotonic()
                try:
                    found.update(collect(reader))
                    success = 1
                except ConnectorException as error:
                    reader.rows("server")  # the connection may have failed, and not the query
                    logger.warning("Cannot read %s: %s", name, error, extra={"action": "exports_failed"})
                    success = 0
                found["adjourn_collector_success"][name,] = success
                found["adjourn_collector_seconds"][name,] = time.monotonic() - began
        except BaseException:
            self._reader = None
            with contextlib.suppress(ConnectorException):
                reader.close()
            raise
        return [attrs.evolve(each, samples=found.get(each.name, {})) for each in DECLARED]

    def _collectors(self) -> dict[str, Callable[[Reader], dict[str, Samples]]]:
        return {
            "queues": self._read_queues,
            "history": self._history.read,
            "locks": _read_locks,
            "unknown_tasks": _read_unknown,
            "schedules": _read_schedules,
            "tables": _read_tables,
            "server": _read_condition,
        }

    def _read_queues(self, reader: Reader) -> dict[str, Samples]:
        paused = {row["name"]: row["ends_at"] for row in reader.rows("pauses") if row["scope"] == "queue"}
        jobs: Samples = {}
        capped: Samples = {}
        for row in reader.rows("states"):
            jobs[row["queue"], row["state"]] = row["jobs"]
            capped[row["queue"], row["state"]] = int(row["is_capped"])
            if row["state"] == "ready":
                jobs[row["queue"], "running"] = row["running"]
                capped[row["queue"], "running"] = int(row["is_capped"])
        late = latencies(reader.rows("latency"), reader.rows("late"))
        crew = reader.rows("crew")
        alive = serving_of(crew)
        named = {name for row in alive for name in row["queues"] or ()}
        # A queue that was there stays, with a latency of 0, so that alerts see that it is well.
        known = self._queues | paused.keys() | named | late.keys() | {queue for queue, _ in jobs}
        self._queues = set(sorted(known)[:MOST_PAIRS])
        oldest: Samples = {}
        for row in reader.rows("working"):
            oldest[row["queue"],] = max(oldest.get((row["queue"],), 0.0), row["seconds"] or 0.0)
        workers: Samples = {("alive",): len(alive), ("silent",): len(crew) - len(alive)}
        serving = {name: serving_of(alive, name) for name in self._queues}
        return {
            "adjourn_queue_latency_seconds": {
                (name,): 0.0 if name in paused else late.get(name, 0.0) for name in self._queues
            },
            "adjourn_queue_jobs": _of(jobs, self._queues),
            "adjourn_queue_jobs_capped": _of(capped, self._queues),
            "adjourn_queue_paused": {(name,): int(name in paused) for name in self._queues},
            "adjourn_queue_pause_ends_timestamp_seconds": {
                (name,): at for name, at in paused.items() if at is not None and name in self._queues
            },
            "adjourn_queue_workers": {(name,): len(rows) for name, rows in serving.items()},
            "adjourn_queue_slots": {(name,): slots_of(rows, {}).number for name, rows in serving.items()},
            "adjourn_oldest_running_seconds": _of(oldest, self._queues),
            "adjourn_workers": workers,
        }


def checked_interval(value: Any) -> float:
    """Return for how many seconds what was read is shown.

    Raises
    ------
    InvalidOption
        If that is not a number from 1 to 3,600.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 3600:
        raise InvalidOption.no_seconds("interval", value, "a number of seconds from 1 to 3,600")
    return value


def down() -> list[Family]:
    """Return what there is to say while the database does not answer."""
    return [attrs.evolve(each, samples={(): 0.0} if each.name == "adjourn_up" else {}) for each in DECLARED]


def _of(samples: Samples, queues: set[str]) -> Samples:
    return {labels: value for labels, value in samples.items() if labels[0] in queues}


class _History:
    """Adds up what workers store of the ends of jobs, from when it begins."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._seen: dict[tuple[float, str, str, str], int] = {}
        self._totals: Samples = {}
        self._pairs: set[tuple[str, str]] = set()
        self._overflow = 0

    def read(self, reader: Reader) -> dict[str, Samples]:
        """Read the last minutes again, which may have become more since, and add what is new."""
        is_first = self._since is None
        if self._since is None:
            (server,) = reader.rows("server")
            self._since = server["now"] // 60 * 60
        rows = reader.rows("ended", since=self._since)
        for row in rows:
            key = row["at"], row["queue"], row["task"], row["outcome"]
            more = row["jobs"] - self._seen.get(key, 0)
            self._seen[key] = row["jobs"]
            if more > 0 and not is_first:
                self._add(row["queue"], row["task"], row["outcome"], more)
        if rows:
            # A minute grows no more when it is over for some time.
            self._since = since = max(self._since, rows[-1]["at"] - 120)
            self._seen = {key: jobs for key, jobs in self._seen.items() if key[0] >= since}
        return {
            "adjourn_history_jobs_total": dict(self._totals),
            "adjourn_metrics_overflow_total": {(): self._overflow},
        }

    def _add(self, queue: str, task: str, outcome: str, jobs: int) -> None:
        if (queue, task) not in self._pairs:
            if len(self._pairs) >= MOST_PAIRS:
                queue = task = OTHER
                self._overflow += jobs
            else:
                self._pairs.add((queue, task))
        labels = queue, task, outcome
        self._totals[labels] = self._totals.get(labels, 0) + jobs


def _read_locks(reader: Reader) -> dict[str, Samples]:
    (row,) = reader.rows("chains")
    return {
        "adjourn_locks_waiting": {(): row["locks"]},
        "adjourn_headless_locks": {(): row["headless"]},
        "adjourn_lock_wait_seconds": {(): row["seconds"]},
    }


def _read_schedules(reader: Reader) -> dict[str, Samples]:
    rows = {(row["task"], row["periodic_id"]): row for row in reader.rows("ticks")}
    known = {labels: row for labels, row in rows.items() if row["next_tick"] is not None}
    return {
        "adjourn_schedule_last_tick_timestamp_seconds": {labels: row["last_tick"] for labels, row in rows.items()},
        "adjourn_schedule_next_tick_timestamp_seconds": {labels: row["next_tick"] for labels, row in known.items()},
        "adjourn_schedule_overdue_seconds": {labels: max(0.0, row["overdue"]) for labels, row in known.items()},
        "adjourn_schedule_paused": {labels: int(row["is_paused"]) for labels, row in rows.items()},
    }


def _read_unknown(reader: Reader) -> dict[str, Samples]:
    rows = {(row["queue"], row["task"]): row for row in reader.rows("unknown")}
    return {
        "adjourn_unknown_task_jobs": {labels: row["jobs"] for labels, row in rows.items()},
        "adjourn_unknown_task_seconds": {labels: row["seconds"] or 0.0 for labels, row in rows.items()},
    }


def _read_tables(reader: Reader) -> dict[str, Samples]:
    rows = reader.rows("storage")
    return {
        "adjourn_table_bytes": {(row["name"], part): row[part] for row in rows for part in ("heap", "index", "toast")},
        "adjourn_table_rows_estimate": {(row["name"],): row["rows"] for row in rows},
        "adjourn_table_dead_rows": {(row["name"],): row["dead"] for row in rows},
    }


def _read_condition(reader: Reader) -> dict[str, Samples]:
    (row,) = reader.rows("condition")
    numbers: Iterable[tuple[str, float | None]] = (
        ("adjourn_default_partition_jobs", row["in_default"]),
        ("adjourn_partitions_ahead", row["ahead"]),
        ("adjourn_notify_queue_ratio", row["notify"]),
        ("adjourn_xmin_age_transactions", row["xmin_age"] or 0),
        ("adjourn_oldest_transaction_seconds", row["transaction"]),
        ("adjourn_standby_lag_seconds", row["lag"]),
        ("adjourn_schema_version", row["version"]),
        ("adjourn_schema_version_needed", sql.latest_version()),
    )
    return {name: {(): value} for name, value in numbers if value is not None}
