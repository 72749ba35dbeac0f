"""Whether a worker is alive, and whether it is ready, for whoever watches it: by HTTP, in a file, and by systemd.

A thread of its own looks every second, so that a task that blocks the event loop does not blind it. It asks the database
nothing. Without somebody who watches, there is no such thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import json
import logging
import math
import platform
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adjourn._domain.health import Health, HealthLimits, Vitals, health_of
from adjourn._domain.protocols import AppLike
from adjourn.exceptions import SchemaOutOfDate
from adjourn.worker import exposition, lease
from adjourn.worker.exchange import Exchange
from adjourn.worker.heartbeat import HeartbeatThread
from adjourn.worker.notify import Manager
from adjourn.worker.options import Options
from adjourn.worker.probes import ProbeServer

logger: logging.Logger = logging.getLogger("adjourn.worker")

PERIOD = 1.0
"""Seconds between two looks."""
FILE_PERIOD = 5.0
"""Seconds between two writes of the health file."""


class HealthThread(threading.Thread):
    """Looks at one worker, and tells those who watch it.

    Parameters
    ----------
    app
        The worker's app.
    options
        The worker's options.
    exchange, heartbeat
        The parts of the worker that it looks at.
    worker_lease
        When the last heartbeat succeeded.
    is_stopping
        Returns whether the worker was asked to stop.
    manager
        Who has started this process, if it wants to be told.
    on_end
        Called in this thread when it is about to end.

    Raises
    ------
    OSError
        If the address is taken, or the file cannot be written.
    """

    def __init__(
        self,
        app: AppLike,
        options: Options,
        exchange: Exchange,
        heartbeat: HeartbeatThread,
        worker_lease: lease.Lease,
        is_stopping: Callable[[], bool],
        manager: Manager | None,
        on_end: Callable[[], object],
    ) -> None:
        super().__init__(name=f"adjourn-health-{options.name}", daemon=True)
        self._options = options
        self._exchange = exchange
        self._heartbeat = heartbeat
        self._lease = worker_lease
        self._is_stopping = is_stopping
        self._manager = manager
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._stop_asked = threading.Event()
        self._limits = HealthLimits(
            stall_after=options.stall_after,
            outage_patience=options.outage_patience,
            polling_interval=options.fetch_job_polling_interval,
            stalled_worker_timeout=options.stalled_worker_timeout,
        )
        self._began = self._turned = time.monotonic()
        self._room_since: float | None = None
        self._away_until = -math.inf
        self._waiting: dict[tuple[int, int], float] = {}
        self._was_registered = False
        self._file = None if options.health_file is None else Path(options.health_file)
        self._written = 0.0
        if self._file is not None:
            self._file.parent.joinpath(f".{self._file.name}.new").write_text("", encoding="utf-8")
        self._server = None if options.http is None else ProbeServer(options.http, lambda: self.health)
        self._hide = None if self._server is None else exposition.add(app, self._numbers)

    @property
    def health(self) -> Health:
        """How the worker is, now. May be called from any thread."""
        return health_of(self._vitals(), self._limits)

    def stop(self) -> None:
        """Tell nobody any more, and end."""
        self._stop_asked.set()

    def give_up(self) -> None:
        """Do nothing: it waits for nobody."""

    def run(self) -> None:
        """Look until stopped."""
        try:
            if self._server is not None:
                self._server.start()
            while True:
                self._look()
                if self._stop_asked.wait(PERIOD):
                    break
            if self._server is not None and self._hide is not None:
                self._server.close()
                self._hide()
            if self._file is not None:
                self._file.unlink(missing_ok=True)
        finally:
            self._on_end()

    def _look(self) -> None:
        now = time.monotonic()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._turn)
        with contextlib.suppress(RuntimeError):  # the loop has changed what is being read
            claims = self._exchange.waiting_claims
            self._waiting = {claim: self._waiting.get(claim, now) for claim in claims}
        if not self._exchange.has_reason:
            self._room_since = None
        elif self._room_since is None:
            self._room_since = now
        if self._answer_age(now) >= self._limits.stalled_worker_timeout:
            self._away_until = now
        health = self.health
        try:
            if self._server is not None:
                exposition.refresh()
            self._write(health, now)
            if self._manager is not None:
                self._manager.tell(health, is_stopping=self._is_stopping())
        except OSError as error:
            logger.warning("The health of this worker cannot be told: %s", error, extra={"action": "health_not_told"})

    def _turn(self) -> None:
        self._turned = time.monotonic()

    def _write(self, health: Health, now: float) -> None:
        if self._file is None or not health.is_live or now - self._written < FILE_PERIOD - PERIOD / 2:
            return
        new = self._file.parent.joinpath(f".{self._file.name}.new")
        new.write_text(json.dumps(health.asdict(verbose=True)), encoding="utf-8")
        new.replace(self._file)
        self._written = now

    def _numbers(self) -> dict[str, Any]:
        """Return what metrics say of the worker."""
        exchange, now, wall = self._exchange, time.monotonic(), time.time()
        beat, served = self._lease.age, now - exchange.served_at
        return {
            "name": self._options.name,
            "version": importlib.metadata.version("adjourn"),
            "python": platform.python_version(),
            "running": len(exchange.executor),
            "slots": self._options.concurrency,
            "buffered": len(exchange.slots.buffer),
            "outbox": len(self._waiting),
            "outbox_oldest": now - min(self._waiting.values(), default=now),
            "exchanged_at": None if math.isinf(served) else wall - served,
            "beaten_at": None if math.isinf(beat) else wall - beat,
            "traffic": exchange.traffic,
            "loop_lag": max(now - self._turned - PERIOD, 0.0),
        }

    def _answer_age(self, now: float) -> float:
        """Return for how long the database has answered nothing."""
        return min(self._lease.age, now - self._exchange.served_at, now - self._began)

    def _vitals(self) -> Vitals:
        now = time.monotonic()
        exchange, heartbeat = self._exchange, self._heartbeat
        self._was_registered = self._was_registered or bool(exchange.worker_id)
        beat = min(self._lease.age, now - self._began)
        idle = None if self._room_since is None else now - max(exchange.served_at, self._room_since)
        is_over = heartbeat.ident is not None and not heartbeat.is_alive()
        error = exchange.last_error
        return Vitals(
            is_starting=not self._was_registered,
            is_stopping=self._is_stopping(),
            is_registered=bool(exchange.worker_id),
            schema_error=str(error) if isinstance(error, SchemaOutOfDate) else None,
            ended="heartbeat's thread" if is_over else None,
            # Once a look is on its way to the loop, the loop is late only if it has not turned for longer than that.
            loop=max(now - self._turned - PERIOD, 0.0),
            exchange=idle,
            beat=beat,
            answer=self._answer_age(now),
            outcome=None if not self._waiting else now - min(self._waiting.values()),
            answering=now - self._away_until,
        )
