"""The manager of jobs, in both colours."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from adjourn import sql
from adjourn._async.managers.jobs import AsyncJobManager
from adjourn._runtime.private import running_loop
from adjourn._sync.managers.jobs import SyncJobManager
from adjourn.exceptions import WrongCaller
from adjourn.jobs import Job
from adjourn.manager.grouping import DeferGroup
from adjourn.manager.source import ConnectorSource


def _awaited_on_a_loop(name: str) -> Callable[..., Any]:
    """Return the blocking operation, in whose place the other is returned, to be awaited, where blocking is refused.

    The types say that it blocks: whoever has them checked is told to write the name that ends in ``_async``.
    """
    blocking = getattr(SyncJobManager, name)
    asynchronous = getattr(AsyncJobManager, f"{name}_async")

    @functools.wraps(blocking)
    def operation(self: JobManager, /, *args: Any, **kwargs: Any) -> Any:
        is_on_a_loop = running_loop() is not None
        if is_on_a_loop and not getattr(self.connector, "needs_opening", True):
            return asynchronous(self, *args, **kwargs)
        try:
            return blocking(self, *args, **kwargs)
        except WrongCaller:
            if is_on_a_loop:
                return asynchronous(self, *args, **kwargs)
            raise

    return operation


class JobManager(AsyncJobManager, SyncJobManager):
    """Every operation on jobs, in both colours.

    Programs that were written for Procrastinate await some operations by the names that block here. On the thread of the
    event loop that an app was opened on, where nothing may block, these names therefore do what their ``_async`` forms
    do: ``defer_periodic_job``, ``delete_old_jobs``, ``fetch_job``, ``finish_job``, ``get_stalled_jobs``,
    ``prune_stalled_workers``, ``register_worker``, ``retry_job``, ``unregister_worker`` and ``update_heartbeat``. On a
    connector that needs no opening, the in-memory one, they do so on the thread of any event loop.

    There is no ``listen_for_jobs``: new jobs are announced only while a worker is hungry, so a listener that is none would
    hear of few. ``connector.listen_notify`` listens on channels of your own.
    """

    connector: ConnectorSource

    # For checkers of types these block, as they are inherited.
    if not TYPE_CHECKING:
        defer_periodic_job = _awaited_on_a_loop("defer_periodic_job")
        delete_old_jobs = _awaited_on_a_loop("delete_old_jobs")
        fetch_job = _awaited_on_a_loop("fetch_job")
        finish_job = _awaited_on_a_loop("finish_job")
        get_stalled_jobs = _awaited_on_a_loop("get_stalled_jobs")
        prune_stalled_workers = _awaited_on_a_loop("prune_stalled_workers")
        register_worker = _awaited_on_a_loop("register_worker")
        retry_job = _awaited_on_a_loop("retry_job")
        unregister_worker = _awaited_on_a_loop("unregister_worker")
        update_heartbeat = _awaited_on_a_loop("update_heartbeat")

    def __init__(self, connector: ConnectorSource, schema: str = sql.DEFAULT_SCHEMA) -> None:
        super().__init__(connector, schema)
        self._group = DeferGroup(super().defer_job_async, super().batch_defer_jobs_async)

    async def defer_job_async(self, job: Job, connection: Any = None) -> Job:
        """Store one job, in one commit with others that are deferred at the same time.

        Takes and raises what `AsyncJobManager.defer_job_async` does. A job with a queueing lock, or on the caller's
        connection, is stored by itself.
        """
        if connection is None and isinstance(job, Job) and job.queueing_lock is None:
            return await self._group.defer(job)
        return await super().defer_job_async(job, connection)
