"""Reads what the pages show, once for all who look: it begins with the first of them, and ends ten seconds after the last."""

from __future__ import annotations

import datetime
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any

import attrs

from adjourn.app import App
from adjourn.doctor import Level, examine
from adjourn.exceptions import AdjournException, ConnectorException
from adjourn.monitor.reader import Reader
from adjourn.types import Row
from adjourn.web.database import Database
from adjourn.web.problems import Problem

FEEDS: dict[str, float] = {
    "server": 2.0,
    "latency": 2.0,
    "late": 5.0,
    "crew": 2.0,
    "working": 2.0,
    "counters": 2.0,
    "pauses": 5.0,
    "queues": 10.0,
    "waiting": 10.0,
    "states": 10.0,
    "unknown": 10.0,
    "paused_tasks": 10.0,
    "tasks": 10.0,
    "limits": 10.0,
    "deaths": 10.0,
    "workflows": 10.0,
    "oldest_transaction": 10.0,
    "database": 60.0,
    "partitions": 60.0,
}
"""What can be read, and after how many seconds it is read again. Each is a query of ``sql/monitor``; see also `DOCTOR`."""
DOCTOR = "doctor"
"""The feed of what `adjourn doctor` finds, once a minute."""
DOCTOR_SECONDS = 60.0
LINGERS = 10.0
"""Seconds for which a feed is read on after somebody has asked for it."""
PATIENCE = 3.0
"""The most seconds that a page waits for what it shows."""
SLOWEST = 60.0
TIMEOUTS = 3
"""After so many queries of a feed that took too long, it is read half as often."""
REMEMBERED = 150
"""The rates of so many looks are kept."""
MOST_APART = 3
"""A curve has a gap where counts are so many times further apart than they should be."""
_TOOK_TOO_LONG = "57014"


@attrs.define
class Reading:
    """What was read of a feed last.

    Attributes
    ----------
    rows
        The rows; those of before if it could not be read.
    at
        When, by this process's clock; None if it never could be read.
    error
        Why it could not be read the last time; empty if it could.
    tried_at, due_at
        When it was read last or could not be, and when it is read again.
    timeouts
        How often in a row it took too long.
    seconds
        From one look to the next.
    """

    seconds: float
    rows: list[Row] = attrs.field(factory=list)
    at: float | None = None
    error: str = ""
    tried_at: float = -1e9
    due_at: float = 0.0
    timeouts: int = 0

    @property
    def age(self) -> float | None:
        """For how many seconds the rows have been what they are; None if there are none."""
        return None if self.at is None else time.monotonic() - self.at

    @property
    def is_slowed(self) -> bool:
        """Whether it is read less often because it takes too long."""
        return self.timeouts >= TIMEOUTS

    def is_fresh(self) -> bool:
        """Whether it was tried as lately as it should be."""
        return time.monotonic() - self.tried_at <= self.seconds + 2.0


@attrs.frozen
class RateAt:
    """What happened a second, at some time.

    Attributes
    ----------
    at
        When, by the database's clock, in seconds since 1970.
    deferred, ended
        How many jobs were stored, and how many have ended, a second.
    """

    at: float
    deferred: float
    ended: float


@attrs.frozen
class DepthAt:
    """How many jobs could run and did not, at some time.

    Attributes
    ----------
    at
        When, by the database's clock, in seconds since 1970.
    ready
        How many; None where there were more than are counted, or nobody looked.
    """

    at: float
    ready: int | None


class Collector:
    """Reads feeds while somebody wants them, in a thread of its own.

    Parameters
    ----------
    app
        The app, for its tasks.
    database
        Where to read.
    """

    def __init__(self, app: App, database: Database) -> None:
        self._app, self._database = app, database
        self._changed = threading.Condition()
        self._wanted: dict[str, float] = {}
        self._readings = {name: Reading(seconds) for name, seconds in FEEDS.items()}
        self._readings[DOCTOR] = Reading(DOCTOR_SECONDS)
        self._thread: threading.Thread | None = None
        self._listeners: list[Callable[[], object]] = []
        self._is_closed = False
        self._offset: float | None = None
        self._last: tuple[float, int, int] | None = None
        self.rates: deque[RateAt] = deque(maxlen=REMEMBERED)
        """What happened between the latest looks."""
        self.depths: deque[DepthAt] = deque(maxlen=REMEMBERED)
        """How many jobs were ready at the latest counts, since somebody looks."""
        self.sequence: int = 0
        """Rises with each look."""
        self.queries: int = 0
        """How many queries it has made."""
        self.busy: float = 0.0
        """How many seconds they took."""
        self.began: float = time.monotonic()
        self.answered_at: float | None = None
        """When the database has answered last, by this process's clock."""
        self.is_down: bool = False
        """Whether the database did not answer the last time."""

    @property
    def is_running(self) -> bool:
        """Whether it reads."""
        return self._thread is not None

    def want(self, feeds: Collection[str]) -> None:
        """Say that somebody looks at these feeds."""
        now = time.monotonic()
        with self._changed:
            for feed in feeds:
                self._wanted[feed] = now
            if feeds and (self._thread is None or not self._thread.is_alive()):
                thread = threading.Thread(target=self._run, name="adjourn web", daemon=True)
                thread.start()  # this fails if the process can have no more threads now
                self._thread = thread
            self._changed.notify_all()

    def wait(self, feeds: Collection[str], seconds: float = PATIENCE) -> None:
        """Wait until these feeds were read, at most so long. The doctor is not waited for."""
        self.want(feeds)
        waited_for = [self._readings[feed] for feed in feeds if feed != DOCTOR]
        with self._changed:
            self._changed.wait_for(lambda: all(each.is_fresh() for each in waited_for), seconds)

    def reading(self, feed: str) -> Reading:
        """Return what was read of a feed last."""
        return self._readings[feed]

    def forget(self, feed: str) -> None:
        """Have a feed read again before it is shown, for something has changed it."""
        with self._changed:
            self._readings[feed].due_at = 0.0
            self._readings[feed].tried_at = -1e9
            self._changed.notify_all()

    def now(self) -> datetime.datetime:
        """Return the time of the database, as far as it is known."""
        return datetime.datetime.fromtimestamp(time.time() + (self._offset or 0.0), datetime.UTC)

    def stale(self, feeds: Iterable[str]) -> float | None:
        """Return for how many seconds there is no answer for some of these feeds; None if they are as they should be."""
        late = [
            time.monotonic() - (each.at if each.at is not None else self.began)
            for each in (self._readings[feed] for feed in feeds if feed != DOCTOR)
            if each.error or not each.is_fresh()
        ]
        return max(late, default=None)

    def listen(self, told: Callable[[], object]) -> Callable[[], None]:
        """Call a function after each look, from another thread; return a function that ends that."""
        with self._changed:
            self._listeners.append(told)

        def stop() -> None:
            with self._changed:
                self._listeners.remove(told)

        return stop

    def tell(self) -> None:
        """Call those who listen."""
        for told in tuple(self._listeners):
            told()

    def close(self) -> None:
        """Stop."""
        with self._changed:
            self._wanted.clear()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(PATIENCE)

    def _run(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                self._wanted = {feed: at for feed, at in self._wanted.items() if now - at < LINGERS}
                if not self._wanted:
                    self._thread = None
                    break
                due = [feed for feed in self._wanted if self._readings[feed].due_at <= now]
                if not due:
                    soonest = min(self._readings[feed].due_at for feed in self._wanted)
                    self._changed.wait(min(LINGERS, max(0.05, soonest - now)))
                    continue
            self._look(due)
        self.rates.clear()
        self.depths.clear()
        self._last = None
        self._database.close()

    def _look(self, due: list[str]) -> None:
        """Read what is due, and tell who listens."""
        if DOCTOR in due:
            self._ask_doctor()
        queries = [feed for feed in due if feed != DOCTOR]
        try:
            with self._database.reader() as reader:
                for feed in queries:
                    self._read(reader, feed)
            self.is_down = False
        except (AdjournException, Problem) as error:
            self.is_down = True
            for feed in queries:
                if self._readings[feed].due_at <= time.monotonic():
                    self._failed(self._readings[feed], error)
        with self._changed:
            self.sequence += 1
            self._changed.notify_all()
        self.tell()

    def _read(self, reader: Reader, feed: str) -> None:
        reading, began = self._readings[feed], time.monotonic()
        try:
            rows = reader.rows(feed)
        except ConnectorException as error:
            if error.sqlstate != _TOOK_TOO_LONG:
                raise
            reading.timeouts += 1
            if reading.is_slowed:
                reading.seconds = min(SLOWEST, reading.seconds * 2)
            self._failed(reading, error)
            return
        now = time.monotonic()
        self.queries += 1
        self.busy += now - began
        self.answered_at = now
        with self._changed:
            reading.rows, reading.at, reading.error, reading.timeouts = rows, now, "", 0
            reading.seconds, reading.tried_at = FEEDS[feed], now
            reading.due_at = began + reading.seconds
        if feed == "server":
            self._offset = rows[0]["now"] - time.time()
        elif feed == "counters":
            self._count(rows[0])
        elif feed == "queues":
            self._measure(rows)

    def _failed(self, reading: Reading, error: Exception) -> None:
        now = time.monotonic()
        with self._changed:
            reading.error, reading.tried_at, reading.due_at = " ".join(str(error).split()), now, now + reading.seconds
            if self.is_down:
                reading.due_at = now + FEEDS["server"]

    def _count(self, row: Row) -> None:
        """Keep what happened since the last look."""
        now = time.time() + (self._offset or 0.0)
        last, self._last = self._last, (now, row["deferred"], row["ended"])
        if last is not None and now > last[0]:
            # The statistics begin at zero again after a crash of the server.
            seconds = now - last[0]
            self.rates.append(
                RateAt(now, max(0, row["deferred"] - last[1]) / seconds, max(0, row["ended"] - last[2]) / seconds)
            )

    def _measure(self, rows: list[Row]) -> None:
        """Keep how many jobs are ready. The same entries of the index are those that run."""
        now = time.time() + (self._offset or 0.0)
        if self.depths and now - self.depths[-1].at > MOST_APART * FEEDS["queues"]:
            self.depths.append(DepthAt(now, None))
        is_known = not any(row["is_capped"] for row in rows)
        ready = max(0, sum(row["jobs"] for row in rows) - len(self._readings["working"].rows))
        self.depths.append(DepthAt(now, ready if is_known else None))

    def _ask_doctor(self) -> None:
        """Have the database examined in another thread, for that may take seconds."""
        reading = self._readings[DOCTOR]
        reading.due_at = time.monotonic() + reading.seconds
        threading.Thread(target=self._examine, args=(reading,), name="adjourn web doctor", daemon=True).start()

    def _examine(self, reading: Reading) -> None:
        try:
            examination = examine(self._app)
        except AdjournException as error:
            self._failed(reading, error)
            return
        rows: list[dict[str, Any]] = [
            {"id": check.id, "why": check.why, "level": str(found.level), **_told(found)}
            for check in examination.checks
            for found in check.findings
        ]
        rows.sort(key=lambda row: -Level(row["level"]).rank)
        now = time.monotonic()
        with self._changed:
            reading.rows, reading.at, reading.error, reading.tried_at = rows, now, "", now
            self.sequence += 1
            self._changed.notify_all()
        self.tell()


def _told(found: Any) -> dict[str, str]:
    return {name: getattr(found, name) for name in ("text", "remedy", "statement", "threshold")}
