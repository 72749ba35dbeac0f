"""Run the jobs that wait, in a test: `drain`."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import Any

from adjourn._async.managers.drain import AsyncDrains
from adjourn._domain.checks import check_count, check_flags, checked_names
from adjourn._domain.drains import Drained, DrainPlan, Failure, Ran
from adjourn._domain.jobs import Job
from adjourn._domain.outcomes import suspension_in
from adjourn._domain.time_checks import check_aware
from adjourn._sync.managers.drain import SyncDrains
from adjourn.app import App
from adjourn.testing.kit.clock import clock_of
from adjourn.testing.kit.loops import Loop, refuse_cancelled, refuse_on_loop
from adjourn.testing.kit.places import awaited_place, blocking_place, connection_of
from adjourn.testing.kit.runs import OUTCOMES, TrialRun
from adjourn.testing.kit.savepoints import check_transaction, savepoint, savepoint_async
from adjourn.worker.options import check_app

__all__ = ["Drained", "Failure", "drain", "drain_async"]


def drain(
    app: App,
    *,
    queues: Iterable[str] | None = None,
    until: datetime.datetime | None = None,
    with_scheduled: bool = False,
    recursive: bool = True,
    retries: bool = True,
    max_jobs: int = 1000,
    raise_failures: bool = True,
    connection: Any = None,
) -> Drained:
    """Run the jobs that are ready, as a worker would, on this thread. Blocks.

    Jobs run one after the other, in order of priority, and wait for their locks. Async tasks run on an event loop that is
    made for them. No periodic task is deferred: call `periodic` for that. Finished jobs are kept, so that a test can
    look at them.

    Parameters
    ----------
    app
        The app.
    queues
        Only jobs of these queues. Default: None, all.
    until
        Run jobs that are due at this time: an aware datetime. Default: None, the time by Python's clock, which a test may
        have frozen or moved; in memory, that of the connector.
    with_scheduled
        Run scheduled jobs as well, whatever their time. Default: False.
    recursive
        Run jobs that these jobs defer, too. Default: True.
    retries
        Run a job that is to be retried again at once, without its wait. False: it runs once, and waits then. Default: True.
    max_jobs
        The most runs of jobs. Default: 1000.
    raise_failures
        Raise what the task of a job raised that failed for good; the jobs behind it stay. False: go on, and report it.
        Default: True.
    connection
        Your own connection, with an open transaction: of a driver, a session of SQLAlchemy, or Django's. Everything
        happens in that transaction, jobs that the tasks defer included, and each job's body in a savepoint.
        Default: None, the app's connections.

    Returns
    -------
    Drained
        What became of how many jobs.

    Raises
    ------
    TooManyJobs
        If more than ``max_jobs`` are ready.
    TaskNotFound
        If the app does not know the task of a job.
    WrongCaller
        If an event loop runs in this thread: ``await drain_async(...)`` there.
    InvalidOption
        If an argument is not valid.
    InvalidConnection
        If the app's connector cannot use ``connection``, or it has no transaction.
    AppNotOpen
        If the app is not open, and no connection was given.
    """
    plan = _plan(app, queues, until, with_scheduled, recursive, retries, max_jobs, raise_failures)
    refuse_on_loop("drain")
    check_transaction(connection)
    app.perform_import_paths()
    with blocking_place(app, connection), Loop("drain") as loop:
        joined = connection_of(app.connector)

        def run_job(job: Job) -> Ran:
            run = TrialRun(app, job)
            try:
                with savepoint(joined):
                    try:
                        result = run.call(loop)
                    except BaseException as error:
                        if suspension_in(error) is None:
                            raise
                        return run.raised(error)  # what it has remembered stays
            except OUTCOMES as error:
                return run.raised(error)
            return run.succeeded(result)

        return SyncDrains(app.connector, app.job_manager.schema).drain(plan, run_job)


async def drain_async(
    app: App,
    *,
    queues: Iterable[str] | None = None,
    until: datetime.datetime | None = None,
    with_scheduled: bool = False,
    recursive: bool = True,
    retries: bool = True,
    max_jobs: int = 1000,
    raise_failures: bool = True,
    connection: Any = None,
) -> Drained:
    """Run the jobs that are ready, as a worker would, on this event loop. Synchronous tasks run in threads.

    Otherwise it is as `drain`, and takes the same parameters. ``connection`` is an asynchronous one.
    """
    plan = _plan(app, queues, until, with_scheduled, recursive, retries, max_jobs, raise_failures)
    check_transaction(connection)
    app.perform_import_paths()
    with awaited_place(app, connection):
        joined = connection_of(app.connector)

        async def run_job_async(job: Job) -> Ran:
            run = TrialRun(app, job)
            try:
                async with savepoint_async(joined):
                    try:
                        result = await run.call_async()
                    except BaseException as error:
                        if suspension_in(error) is None:
                            raise
                        return run.raised(error)
            except OUTCOMES as error:
                refuse_cancelled(error)
                return run.raised(error)
            return run.succeeded(result)

        return await AsyncDrains(app.connector, app.job_manager.schema).drain_async(plan, run_job_async)


def _plan(
    app: App,
    queues: Any,
    until: Any,
    with_scheduled: Any,
    recursive: Any,
    retries: Any,
    max_jobs: Any,
    raise_failures: Any,
) -> DrainPlan:
    check_app(app)
    if until is not None:
        check_aware("until", until)
    check_flags(with_scheduled=with_scheduled, recursive=recursive, retries=retries, raise_failures=raise_failures)
    check_count("max_jobs", max_jobs)
    now: Callable[[], datetime.datetime] = clock_of(app) if until is None else lambda: until
    return DrainPlan(
        now=now,
        queues=checked_names("queues", queues),
        with_scheduled=with_scheduled,
        recursive=recursive,
        retries=retries,
        max_jobs=max_jobs,
        raise_failures=raise_failures,
    )
