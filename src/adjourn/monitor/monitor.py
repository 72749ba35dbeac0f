"""Looks at a database again and again."""

from __future__ import annotations

import contextlib
from collections import Counter

from adjourn.app import App
from adjourn.exceptions import ConnectorException
from adjourn.monitor.figures import (
    QueueFigures,
    Rates,
    RunningJob,
    Snapshot,
    TaskFigures,
    WaitFigures,
    WorkerFigures,
    latencies,
)
from adjourn.monitor.reader import Reader


class Monitor:
    """Looks at an app's database. Each look costs a bounded number of rows, however many jobs there are.

    Parameters
    ----------
    app
        The app. It need not be open.

    Notes
    -----
    It has a connection of its own, which it opens with the first look, and again after an error. A look takes some milliseconds.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._reader: Reader | None = None
        self._last: tuple[float, int, int] | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def look(self) -> Snapshot:
        """Read all figures.

        Raises
        ------
        InvalidOption
            If the app has no database.
        ConnectorException
            If the database cannot be reached, refuses, or does not answer in time. The next look tries again.
        """
        if self._reader is None:
            self._reader = Reader(self._app, "monitor")
        try:
            return self._look(self._reader)
        except BaseException:
            with contextlib.suppress(ConnectorException):
                self.close()
            self._reader = None
            raise

    def _look(self, reader: Reader) -> Snapshot:
        (server,) = reader.rows("server")
        running = [RunningJob(**row) for row in reader.rows("working")]
        busy = Counter(job.worker_id for job in running)
        workers = [WorkerFigures(**row, running=busy[row["id"]]) for row in reader.rows("workers")]
        in_queue = Counter(job.queue for job in running)
        # While no worker runs, nobody makes ready what is due, nor places what has a lock.
        latency = latencies(reader.rows("latency"), reader.rows("late"))
        paused = {row["name"] for row in reader.rows("pauses") if row["scope"] == "queue"}
        counts = {row["queue"]: row for row in reader.rows("queues")}
        queues = [
            QueueFigures(
                name=name,
                ready=max(0, counts[name]["jobs"] - in_queue[name]) if name in counts else 0,
                running=in_queue[name],
                is_capped=name in counts and counts[name]["is_capped"],
                latency=0.0 if name in paused else latency.get(name, 0.0),
                workers=sum(each.is_alive and (each.queues is None or name in each.queues) for each in workers),
                is_paused=name in paused,
            )
            for name in {**counts, **latency}
        ]
        waits = [
            WaitFigures(kind=row["kind"], jobs=row["jobs"], is_capped=row["is_capped"])
            for row in reader.rows("waiting")
        ]
        oldest = reader.rows("oldest_transaction")
        return Snapshot(
            database=server["database"],
            version=server["version"],
            clock=server["clock"],
            rates=self._rates(reader, server["now"]),
            queues=queues,
            waits=waits,
            workers=workers,
            running=running,
            tasks=[TaskFigures(name=row.pop("task"), **row) for row in reader.rows("tasks")],
            tables=reader.rows("database"),
            oldest_transaction=oldest[0]["seconds"] if oldest else None,
        )

    def _rates(self, reader: Reader, now: float) -> Rates | None:
        """Return what happened since the last look, by the server's clock."""
        (row,) = reader.rows("counters")
        last, self._last = self._last, (now, row["deferred"], row["ended"])
        if last is None or now <= last[0]:
            return None
        seconds = now - last[0]
        # The statistics begin at zero again after a crash of the server.
        return Rates(
            deferred=max(0, row["deferred"] - last[1]) / seconds, ended=max(0, row["ended"] - last[2]) / seconds
        )
