"""Run jobs where they are deferred: `inline`."""

from __future__ import annotations

import contextlib
import contextvars
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from adjourn._domain.arguments import check_job
from adjourn._domain.batches import AlikeJobs
from adjourn._domain.checks import checked_list
from adjourn._domain.jobs import Job, Status
from adjourn.app import App
from adjourn.exceptions import TooManyJobs
from adjourn.manager import JobManager
from adjourn.testing.kit.loops import Loop
from adjourn.testing.kit.performing import through_json
from adjourn.testing.kit.runs import TrialRun
from adjourn.types import JSONDict
from adjourn.worker.options import check_app

__all__ = ["inline"]

DEEPEST = 50
"""How deep jobs may be deferred by jobs."""
_depth = contextvars.ContextVar("depth", default=0)


@contextlib.contextmanager
def inline(app: App) -> Iterator[App]:
    """Run each job where it is deferred, within a ``with`` block, in any thread.

    ``defer`` returns when the job has run; what the task raises, it raises. Arguments become JSON and back. Nothing is
    stored, but ids are returned all the same. Times, priorities, locks and retries have no effect: where they matter, let
    jobs be stored and call `drain`.

    Parameters
    ----------
    app
        The app.

    Yields
    ------
    App
        The same app.

    Raises
    ------
    TooManyJobs
        By ``defer``, if jobs defer each other without an end.
    """
    check_app(app)
    former = app.job_manager
    app.job_manager = InlineManager(app)
    app.job_manager.events = app.events
    app.job_manager.declares = former.declares
    try:
        yield app
    finally:
        app.job_manager = former


class InlineManager(JobManager):
    """A job manager that runs jobs instead of storing them."""

    def __init__(self, app: App) -> None:
        super().__init__(app.connector, app.job_manager.schema)
        self._app = app
        self._numbers = itertools.count(1)

    def defer_job(self, job: Job, connection: Any = None) -> Job:
        """Run a job."""
        return self._run_all([self._prepared("job", job)])[0]

    def batch_defer_jobs(self, jobs: Sequence[Job], connection: Any = None) -> list[Job]:
        """Run jobs, one after the other."""
        prepared = [self._prepared(f"jobs[{number}]", job) for number, job in enumerate(_checked(jobs))]
        return self._run_all(prepared)

    def batch_defer_alike(self, job: Job, arguments: Sequence[JSONDict], connection: Any = None) -> AlikeJobs:
        """Run jobs, one after the other."""
        return _alike(job, arguments, self.batch_defer_jobs([*AlikeJobs(job, arguments)]))

    async def defer_job_async(self, job: Job, connection: Any = None) -> Job:
        """Run a job."""
        return (await self._run_all_async([self._prepared("job", job)]))[0]

    async def batch_defer_jobs_async(self, jobs: Sequence[Job], connection: Any = None) -> list[Job]:
        """Run jobs, one after the other."""
        prepared = [self._prepared(f"jobs[{number}]", job) for number, job in enumerate(_checked(jobs))]
        return await self._run_all_async(prepared)

    async def batch_defer_alike_async(
        self, job: Job, arguments: Sequence[JSONDict], connection: Any = None
    ) -> AlikeJobs:
        """Run jobs, one after the other."""
        return _alike(job, arguments, await self.batch_defer_jobs_async([*AlikeJobs(job, arguments)]))

    def _prepared(self, argument: str, job: Job) -> Job:
        check_job(argument, job)
        job = through_json(job, self.connector)
        return job.evolve(id=next(self._numbers), status=Status.DOING.value, claim=1)

    def _run_all(self, jobs: list[Job]) -> list[Job]:
        for job in jobs:
            with _one_deeper(job), Loop("defer") as loop:
                TrialRun(self._app, job).call(loop)
        return [job.evolve(status=Status.SUCCEEDED.value) for job in jobs]

    async def _run_all_async(self, jobs: list[Job]) -> list[Job]:
        for job in jobs:
            with _one_deeper(job):
                await TrialRun(self._app, job).call_async()
        return [job.evolve(status=Status.SUCCEEDED.value) for job in jobs]


def _alike(job: Job, arguments: Sequence[JSONDict], run: list[Job]) -> AlikeJobs:
    return AlikeJobs(
        job.evolve(status=Status.SUCCEEDED.value), arguments, [each.id for each in run if each.id is not None]
    )


def _checked(jobs: Any) -> tuple[Any, ...]:
    return checked_list("jobs", jobs, "jobs")


@contextlib.contextmanager
def _one_deeper(job: Job) -> Iterator[None]:
    depth = _depth.get()
    if depth >= DEEPEST:
        raise TooManyJobs(
            f"inline: {DEEPEST} jobs have deferred each other, the last {job.call_string}. A task that defers itself never "
            "ends: let jobs be stored, and call drain(app, recursive=False)."
        )
    token = _depth.set(depth + 1)
    try:
        yield
    finally:
        _depth.reset(token)
