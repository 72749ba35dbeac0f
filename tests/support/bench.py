"""A worker that runs beside the test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import adjourn
from adjourn.jobs import Job
from adjourn.worker import Worker
from support.waiting import BOUND, until_async


class Bench:
    """Runs workers on an app, and looks at what became of its jobs."""

    def __init__(self, app: adjourn.App) -> None:
        self.app = app

    async def drain(self, **options: Any) -> None:
        """Run a worker until no job is left."""
        async with asyncio.timeout(30):
            await self.app.run_worker_async(wait=False, install_signal_handlers=False, **options)

    @contextlib.asynccontextmanager
    async def working(self, **options: Any) -> AsyncIterator[Worker]:
        """Run a worker beside the body of an ``async with``, and stop it gracefully at its end."""
        worker = Worker(self.app, install_signal_handlers=False, **options)
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            async with asyncio.timeout(30):
                await running

    async def job(self, job_id: int) -> Job:
        """Return a job as it is stored."""
        (job,) = await self.app.job_manager.list_jobs_async(id=job_id)
        return job

    async def status(self, job_id: int) -> str:
        """Return where a job is in its life."""
        return (await self.app.job_manager.get_job_status_async(job_id)).value

    async def until(self, condition: Callable[[], Any], timeout: float = BOUND) -> None:
        """Wait until a condition holds; a coroutine function is awaited."""
        await until_async(condition, timeout)

    async def ended(self, job_id: int, status: str = "succeeded") -> Job:
        """Wait until a job has this status, and return it."""

        async def has_status() -> bool:
            return await self.status(job_id) == status

        await self.until(has_status)
        return await self.job(job_id)
