"""The public in-memory connectors: an app's jobs without Postgres."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from adjourn._async.connectors.memory import AsyncInMemoryHalf
from adjourn._compat.moved import IN_MEMORY, no_attribute
from adjourn._dispatch.dispatcher import Dispatcher
from adjourn._domain.spelling import suggests_names
from adjourn._domain.time_checks import delay_seconds
from adjourn._memory.store import MemoryStore
from adjourn._sync.connectors.contract import SyncSession
from adjourn._sync.connectors.memory import SyncInMemoryHalf
from adjourn.connectors.faces import AsynchronousConnector, SynchronousConnector
from adjourn.types import JSONDumps, JSONLoads, Row


class SyncInMemoryConnector(SynchronousConnector):
    """A synchronous connector to a store in memory. It serves calls whether or not it is open.

    Every operation that ends in ``_async`` raises `SyncConnectorConfigurationError`, as on any synchronous connector.

    Parameters
    ----------
    store
        The store, which several connectors may share; by default a new one.
    json_dumps, json_loads
        Functions that turn the arguments of jobs into JSON text and back; `json.dumps` and `json.loads` unless given.

    Attributes
    ----------
    store
        Where the jobs are.
    states
        How it was opened and closed so far: ``open`` and ``closed``.
    """

    needs_opening: bool = False
    is_shared: bool = False

    @suggests_names
    def __init__(
        self,
        *,
        store: MemoryStore | None = None,
        json_dumps: JSONDumps | None = None,
        json_loads: JSONLoads | None = None,
    ) -> None:
        half = SyncInMemoryHalf(store=store, json_dumps=json_dumps, json_loads=json_loads)
        self.store: MemoryStore = half.store
        self.states: list[str] = []
        super().__init__(half)

    def open(self, pool: Any = None) -> None:
        """Open for synchronous calls, from any thread. ``pool`` must be None."""
        super().open(pool)
        self.states.append("open")

    def close(self) -> None:
        """Wait until running calls have ended, and close. Jobs stay as they are."""
        super().close()
        self.states.append("closed")


class InMemoryConnector(AsynchronousConnector):
    """An asynchronous connector without a database, for tests; it serves synchronous calls as well.

    Jobs behave as they do in Postgres: priorities, locks, queueing locks, schedules, retries, cancelling and rescue.
    A worker runs on it (``app.run_worker_async(wait=False)``). It executes adjourn's own statements and no other SQL,
    and takes no ``connection``.

    You need not open it, because it connects to nothing: where another connector raises `AppNotOpen`, this one serves
    the call. Once it is open on an event loop, it serves and refuses the same calls as any other. Jobs stay after
    `close`, as in a database; `reset` forgets them.

    Parameters
    ----------
    store
        The store, which several connectors may share, or one with a clock of your own: ``MemoryStore(now=...)``.
    json_dumps, json_loads
        Functions that turn the arguments of jobs into JSON text and back; `json.dumps` and `json.loads` unless given.

    Attributes
    ----------
    store
        Where the jobs are.
    states
        How it was opened and closed so far: ``open``, ``open_async``, ``closed`` and ``closed_async``.

    Examples
    --------
    >>> import adjourn
    >>> from adjourn.testing import InMemoryConnector
    >>> app = adjourn.App(connector=InMemoryConnector())
    >>> app.configure_task("greet", schedule_in={"hours": 1}).defer(name="Ann")
    1
    >>> app.connector.jobs[1]["args"]
    {'name': 'Ann'}
    """

    needs_opening: bool = False
    is_shared: bool = False

    @suggests_names
    def __init__(
        self,
        *,
        store: MemoryStore | None = None,
        json_dumps: JSONDumps | None = None,
        json_loads: JSONLoads | None = None,
    ) -> None:
        half = AsyncInMemoryHalf(store=store, json_dumps=json_dumps, json_loads=json_loads)

        def make_sync_half() -> SyncInMemoryHalf:
            return SyncInMemoryHalf(store=half.store, json_dumps=half.json_dumps, json_loads=half.json_loads)

        def connect(pool: None) -> SyncSession:
            return make_sync_half().session()

        dispatcher = Dispatcher(half, make_sync_half, connect, needs_opening=self.needs_opening)
        twin = SyncInMemoryConnector.twin_of(dispatcher)
        super().__init__(dispatcher, twin)
        self.store: MemoryStore = half.store
        self.states: list[str] = []
        twin.store, twin.states = self.store, self.states

    @property
    def jobs(self) -> Mapping[int, Mapping[str, Any]]:
        """All jobs by id, whether waiting, running or finished, each with its columns; ``args`` is a dictionary.

        This is a read-only snapshot: change jobs through the app.
        """
        # Programs that were written for Procrastinate use the name `queue_name`.
        rows: list[Row] = [
            {**row, "queue_name": row["queue"], "args": self.json_loads(row["args"])} for row in self.store.rows()
        ]
        return MappingProxyType({row["id"]: MappingProxyType(row) for row in rows})

    @property
    def finished_jobs(self) -> list[Mapping[str, Any]]:
        """The jobs that have succeeded or failed, in the order of their ids."""
        return [job for job in self.jobs.values() if job["status"] in ("succeeded", "failed")]

    @property
    def events(self) -> dict[int, list[dict[str, Any]]]:
        """What has happened to each job, by its id; deleted jobs are included.

        Each event has a ``type`` and the time ``at`` which it happened. The types are ``deferred``, ``scheduled`` (for
        that time), ``started``, ``deferred_for_retry``, ``abort_requested``, ``retried`` (after it had ended), and the
        statuses that a job can end with.
        """
        return self.store.events()

    @property
    def workers(self) -> dict[int, datetime.datetime]:
        """The time of each living worker's last heartbeat, by the worker's id."""
        return self.store.heartbeats()

    @property
    def queries(self) -> list[tuple[str, dict[str, Any]]]:
        """The statements executed so far, each as its name and its parameters; only the last 10,000 are remembered."""
        return self.store.queries

    def reset(self) -> None:
        """Forget all jobs, workers, statements and states, and undo `advance`."""
        self.states.clear()
        self.store.reset()

    def now(self) -> datetime.datetime:
        """Return the time that decides which jobs are due, and which workers count as dead."""
        return self.store.now()

    def advance(self, **delta: float) -> None:
        """Move the time forward, so that jobs scheduled until then become due.

        This affects everything that waits: ``schedule_at`` and ``schedule_in``, the waits of a `RetryStrategy`, and
        periodic tasks, as soon as a worker reads the time again. A worker that runs meanwhile may count as dead,
        because its last heartbeat is that much older; it then registers again, as it would in production.

        Parameters
        ----------
        **delta
            Keywords of `datetime.timedelta`: ``advance(hours=1)``.

        Raises
        ------
        InvalidOption
            If a keyword is not timedelta's, or a value is too large.
        """
        self.store.advance(datetime.timedelta(seconds=delay_seconds("advance", delta)))

    def open(self, pool: Any = None) -> None:
        """Open for synchronous calls, from any thread. ``pool`` must be None."""
        super().open(pool)
        self.states.append("open")

    def close(self) -> None:
        """Wait until running calls have ended, and close. Jobs stay as they are."""
        super().close()
        self.states.append("closed")

    async def open_async(self, pool: Any = None) -> None:
        """Open on this event loop. ``pool`` must be None."""
        await super().open_async(pool)
        self.states.append("open_async")

    async def close_async(self) -> None:
        """Wait until running calls have ended, and close. Jobs stay as they are."""
        await super().close_async()
        self.states.append("closed_async")

    if not TYPE_CHECKING:  # names of Procrastinate, which type checkers report

        def __getattr__(self, name: str) -> NoReturn:
            no_attribute(self, name, IN_MEMORY)
