"""Django's connections around a worker's jobs: what Django does around each request, a worker does around each job."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.db import connections, reset_queries

from adjourn.app import JobContext
from adjourn.worker import Worker

__all__ = ["KeptConnections", "clean_up", "clean_up_async", "close_idle"]

logger: logging.Logger = logging.getLogger("adjourn.django")


class KeptConnections:
    """The connections that a worker's threads keep between jobs (``CONN_MAX_AGE``), to be closed when the worker ends."""

    def __init__(self) -> None:
        self._connections: set[Any] = set()
        self._changing = threading.Lock()

    def take(self) -> None:
        """Note that this thread uses its connections."""
        with self._changing:
            self._connections.difference_update(connections.all(initialized_only=True))

    def keep(self) -> None:
        """Note that this thread does not use its connections until the next job."""
        with self._changing:
            self._connections.update(_connected())

    def close(self) -> None:
        """Close the connections that are not used, from any thread."""
        with self._changing:
            kept, self._connections = self._connections, set()
        for each in kept:
            # Django lets only the thread that made a connection close it, unless threads share it.
            each.inc_thread_sharing()
            try:
                each.close()
            finally:
                each.dec_thread_sharing()


def clean_up(call_next: Callable[[], Any], context: JobContext, worker: Worker) -> Any:
    """Close this thread's old and broken connections before a synchronous job and after it.

    What decides is ``CONN_MAX_AGE`` and ``CONN_HEALTH_CHECKS``. A connection that is in a transaction already, as within
    a ``TestCase``, stays as it is. A transaction that the job has left open is rolled back.

    Parameters
    ----------
    call_next
        Runs the job.
    context
        The context of the run.
    worker
        The worker.
    """
    if worker.worker_id is None:  # a test runs the job, on its own connection
        return call_next()
    kept: KeptConnections | None = getattr(worker.app, "kept_connections", None)
    if kept is not None:
        kept.take()
    _close_old()
    in_use = [each for each in _connected() if each.in_atomic_block]
    try:
        return call_next()
    finally:
        _end_transactions(context, in_use)
        _close_old()
        reset_queries()
        if kept is not None:
            kept.keep()


async def clean_up_async(call_next: Callable[[], Awaitable[Any]], context: JobContext, worker: Worker) -> Any:
    """Give an asynchronous job a thread of its own for Django's ORM, and close that thread's connections after it.

    Without it, all jobs of the worker would wait for one thread.

    Parameters
    ----------
    call_next
        Runs the job.
    context
        The context of the run.
    worker
        The worker.
    """
    if worker.worker_id is None:  # a test runs the job, and has Django's ORM work in its own thread
        return await call_next()
    own = ThreadSensitiveContext()
    async with own:
        try:
            return await call_next()
        finally:
            # Taken away before the context ends, which would block the event loop for as long as the thread is busy.
            executor = SyncToAsync.context_to_thread_executor.pop(own, None)
            if executor is not None:
                try:
                    await asyncio.get_running_loop().run_in_executor(executor, functools.partial(_end_thread, context))
                finally:
                    executor.shutdown(wait=False)


def close_idle() -> None:
    """Close this thread's connections, except those that are in a transaction."""
    for each in _connected():
        if not each.in_atomic_block:
            each.close()


def _connected() -> list[Any]:
    return [each for each in connections.all(initialized_only=True) if each.connection is not None]


def _close_old() -> None:
    for each in _connected():
        # Closing would break the block: in a test, for the rest of the class.
        if not each.in_atomic_block:
            each.close_if_unusable_or_obsolete()


def _end_thread(context: JobContext) -> None:
    _end_transactions(context, ())
    connections.close_all()


def _end_transactions(context: JobContext, in_use: Collection[Any]) -> None:
    """Roll back what a job has left open; otherwise the next jobs of this thread would work in that transaction.

    Parameters
    ----------
    in_use
        The connections that were in a transaction before the job.
    """
    for each in _connected():
        if each in in_use or not (each.in_atomic_block or each.autocommit != each.settings_dict["AUTOCOMMIT"]):
            continue
        logger.warning(
            "Job %s (%s) has left a transaction open on the database %r, which is rolled back. Leave `atomic()` by the end "
            "of its block, and call `set_autocommit(True)` again.",
            context.job.id,
            context.job.task_name,
            each.alias,
            extra={"action": "transaction_left_open", "job": context.job.log_context()},
        )
        each.close()
        # With it goes what Django remembers of the transaction; the next use connects anew.
        del connections[each.alias]
