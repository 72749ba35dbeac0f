"""A store of jobs in memory, which a connector uses as its database, from any thread."""

from __future__ import annotations

import concurrent.futures
import datetime
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from adjourn import exceptions
from adjourn._memory import (  # noqa: F401 - they register statements
    action_statements,
    exchange_statements,
    kit_statements,
    limits,
    list_statements,
    run_statements,
    schedule_statements,
    search_statements,
    unique_statements,
    worker_statements,
    workflow_statements,
)
from adjourn._memory.action_statements import note_down
from adjourn._memory.events import Event, events_between
from adjourn._memory.statements import ANSWERS
from adjourn._memory.tables import Tables
from adjourn._runtime import forks
from adjourn.types import Parameters, Row, Statement

TRANSACTIONS = frozenset({"begin", "commit", "rollback"})
LONGEST_LOG = 10_000
"""How many statements are remembered for `MemoryStore.queries`."""
TICK = datetime.timedelta(microseconds=1)


def real_time() -> datetime.datetime:
    """Return the time of the machine."""
    return datetime.datetime.now(datetime.UTC)


class MemoryStore:
    """Jobs and workers in memory. Statements are executed one after the other.

    Parameters
    ----------
    now
        Returns the time, an aware datetime; the machine's clock by default. Even if the clock stands still, each
        transaction gets a later time than the one before.
    """

    def __init__(self, now: Callable[[], datetime.datetime] = real_time) -> None:
        self._clock = now
        self._lock = threading.RLock()
        self._mailboxes: weakref.WeakSet[Mailbox] = weakref.WeakSet()
        self._log: deque[tuple[str, dict[str, Any]]] = deque(maxlen=LONGEST_LOG)
        self._version = 0
        self.reset()
        forks.watch(self)

    def reset(self) -> None:
        """Forget all jobs, workers and statements, and undo `advance`."""
        with self._lock:
            self._offset = datetime.timedelta()
            now = self._clock().astimezone(datetime.UTC)
            self._tables = Tables(now, now)
            self._version += 1
            self._log.clear()
            self._events: dict[int, list[Event]] = {}

    def now(self) -> datetime.datetime:
        """Return the time of the clock plus the sum of all advances."""
        return self._clock().astimezone(datetime.UTC) + self._offset

    def advance(self, delta: datetime.timedelta) -> None:
        """Move the time forward, and make the workers look for jobs that have become due."""
        with self._lock:
            # A clock that stands still is behind the last transaction by as many ticks as there were.
            self._offset += delta + max(self._tables.now - self.now(), datetime.timedelta())
            self._deliver([""])

    @property
    def queries(self) -> list[tuple[str, dict[str, Any]]]:
        """The statements executed so far: the name and the parameters of each, the last 10,000."""
        with self._lock:
            return list(self._log)

    def rows(self) -> list[Row]:
        """Return all jobs as lists of jobs show them, in the order of their ids."""
        with self._lock:
            return [job.columns(self.now()) for job in self._tables.all_jobs()]

    def events(self) -> dict[int, list[Event]]:
        """Return what has happened to each job, in order, by the job's id."""
        with self._lock:
            return {id_: [dict(event) for event in events] for id_, events in self._events.items()}

    def heartbeats(self) -> dict[int, datetime.datetime]:
        """Return the time of each living worker's last heartbeat, by the worker's id."""
        with self._lock:
            return {worker.id: worker.last_heartbeat_at for worker in self._tables.workers.values() if not worker.dead}

    def execute(self, statement: Statement, parameters: Parameters | None) -> list[Row]:
        """Execute one statement, and return its rows.

        Parameters
        ----------
        statement
            One of adjourn's own statements.
        parameters
            Its parameters, by name.

        Raises
        ------
        UniqueViolation
            If a unique index of the schema would be violated.
        ConnectorException
            If it is not one of adjourn's own statements, or lacks a parameter.
        """
        with self._lock:
            tables = self._tables.copy(self._moment())
            rows = self.answer(tables, statement, parameters or {})
            self._commit(tables)
            return rows

    def begin(self) -> tuple[Tables, int]:
        """Begin a transaction: return its copy of the tables, and their version."""
        with self._lock:
            return self._tables.copy(self._moment()), self._version

    def commit(self, tables: Tables, version: int) -> None:
        """Commit a transaction, unless another was committed since it began.

        Parameters
        ----------
        tables
            The tables that the transaction has changed.
        version
            The version of the data that it began with.

        Raises
        ------
        ConnectorException
            If another was committed.
        """
        with self._lock:
            if version != self._version:
                message = "could not serialize access due to concurrent update: run the transaction again"
                raise exceptions.ConnectorException(message, sqlstate="40001")
            self._commit(tables)

    def answer(self, tables: Tables, statement: Statement, parameters: Parameters) -> list[Row]:
        """Apply a statement to some tables, and return its rows.

        Parameters
        ----------
        tables
            The tables, which are changed.
        statement
            One of adjourn's own statements.
        parameters
            Its parameters, by name.
        """
        answer = ANSWERS.get(statement.name)
        if answer is None or statement.name in TRANSACTIONS:
            raise exceptions.ConnectorException(
                f"The in-memory connector does not know the statement {statement.name!r}: it answers adjourn's own "
                "statements, and cannot execute SQL. For queries of your own use a connector to Postgres.",
                sqlstate="0A000",
            )
        self._log.append((statement.name, dict(parameters)))
        try:
            given = dict(parameters)
            note = given.pop("note", None)
            rows = answer(tables, **given)
            if note is not None:
                note_down(tables, statement.name, note, rows)
            return rows
        except TypeError as error:
            if not str(error).startswith(f"{answer.__name__}()"):
                raise
            message = f"The statement {statement.name!r} was not given its parameters: {error}"
            raise exceptions.ConnectorException(message) from error

    def connect(self) -> MemoryConnection:
        """Return a connection for one caller."""
        return MemoryConnection(self)

    def deliver_to(self, mailbox: Mailbox, *, ends: bool = False) -> None:
        """Have a mailbox receive every notification for workers from now on, or those of the ends of jobs.

        Parameters
        ----------
        mailbox
            What receives them, until it is collected.
        ends
            Whether it hears of the ends of jobs instead of what is for workers.
        """
        with self._lock:
            mailbox.hears_ends = ends
            self._mailboxes.add(mailbox)

    def exclusively(self) -> threading.RLock:
        """Return the lock that every access to the data needs."""
        return self._lock

    def renew_locks(self) -> None:
        """Replace the lock in a forked child, which has its own copy of the jobs from then on."""
        self._lock = threading.RLock()

    def _moment(self) -> datetime.datetime:
        return max(self.now(), self._tables.now + TICK)

    def _commit(self, tables: Tables) -> None:
        payloads, tables.payloads = list(tables.payloads), {}
        told, tables.told = " ".join(map(str, sorted(tables.told))), set()
        for id_, event in events_between(self._tables, tables):
            self._events.setdefault(id_, []).append(event)
        self._tables = tables
        self._version += 1
        self._deliver(payloads)
        self._deliver([told] if told else [], ends=True)

    def _deliver(self, payloads: list[str], *, ends: bool = False) -> None:
        if payloads:
            for mailbox in list(self._mailboxes):
                if mailbox.hears_ends == ends:
                    mailbox.put(payloads)


class Mailbox:
    """Notifications that a listener has not read yet."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._payloads: list[str] = []
        self._is_woken = False
        self.hears_ends = False
        self._arrival: concurrent.futures.Future[None] | None = None

    def put(self, payloads: list[str]) -> None:
        """Add notifications, and wake the listener."""
        with self._store.exclusively():
            self._payloads += payloads
            arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.set_result(None)

    def wake(self) -> None:
        """End the current wait, or else the next one, although nothing has arrived."""
        with self._store.exclusively():
            self._is_woken = True
        self.put([])

    def take(self) -> list[str]:
        """Return the notifications that have arrived, and forget them."""
        with self._store.exclusively():
            self._is_woken = False
            taken, self._payloads = self._payloads, []
            return taken

    def arrival(self) -> concurrent.futures.Future[None]:
        """Return a future that is done when a notification has arrived, or the wait is to end without one."""
        with self._store.exclusively():
            has_ended = self._is_woken or bool(self._payloads)
            if has_ended or self._arrival is None:
                arrival: concurrent.futures.Future[None] = concurrent.futures.Future()
                # From here on, a waiter that gives up cannot cancel it.
                arrival.set_running_or_notify_cancel()
                if has_ended:
                    arrival.set_result(None)
                    return arrival
                self._arrival = arrival
            return self._arrival


class MemoryConnection:
    """The connection of one caller: its open transaction, and its notifications."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._transaction: tuple[Tables, int] | None = None
        self._mailbox = Mailbox(store)
        self._is_closed = False

    def execute(self, statement: Statement, parameters: Parameters | None) -> list[Row]:
        """Execute one statement, in the transaction that was begun or by itself.

        Raises
        ------
        ConnectorException
            If the connection is closed, or if `MemoryStore.execute` raises it.
        """
        self.check_open()
        if statement.name in TRANSACTIONS:
            self._change_transaction(statement.name)
            return []
        if self._transaction is not None:
            tables, _ = self._transaction
            with self._store.exclusively():
                return self._store.answer(tables, statement, parameters or {})
        return self._store.execute(statement, parameters)

    def _change_transaction(self, what: str) -> None:
        transaction, self._transaction = self._transaction, None
        if what == "begin":
            self._transaction = self._store.begin()
        elif what == "commit" and transaction is not None:
            self._store.commit(*transaction)

    def listen(self, *, ends: bool = False) -> None:
        """Start to receive the notifications for workers, or those of the ends of jobs."""
        self.check_open()
        self._store.deliver_to(self._mailbox, ends=ends)

    @property
    def mailbox(self) -> Mailbox:
        """The mailbox in which notifications arrive, after `listen` was called."""
        self.check_open()
        return self._mailbox

    def wake(self) -> None:
        """End the wait for notifications that is under way, or else the next one."""
        self._mailbox.wake()

    def close(self) -> None:
        """Close the connection; a transaction that is open is rolled back."""
        self._is_closed = True
        self._transaction = None
        self._mailbox = Mailbox(self._store)

    def abandon(self) -> None:
        """Close the connection, and end a wait that is under way."""
        mailbox = self._mailbox
        self.close()
        mailbox.wake()

    def check_open(self) -> None:
        """Raise `ConnectorException` if the connection is closed."""
        if self._is_closed:
            raise exceptions.ConnectorException("The connection is closed.")
