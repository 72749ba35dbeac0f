"""The results of a task's jobs, with the type that its function says."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from adjourn.manager.jobs import JobManager

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
Args = ParamSpec("Args")


class _HasJobs(Protocol):
    def job_manager_for(self, task_name: str) -> JobManager: ...


class TypedResults(Generic[P, R_co, Args]):
    """Finds what the jobs of one task have returned. `Task` is one."""

    name: str

    @overload
    def get_result(
        self: TypedResults[P, Coroutine[Any, Any, T], Args], job_id: int, timeout: float | None = ...
    ) -> T: ...
    @overload
    def get_result(self, job_id: int, timeout: float | None = ...) -> R_co: ...
    def get_result(self, job_id: int, timeout: float | None = 0.0) -> Any:
        """Return what the task has returned in one of its jobs. Blocks.

        It does what `JobManager.get_result` does. The type is the one that the function's hints say; that the job is one of this task
        is not checked, and what JSON does not know comes back as `json_loads` makes it.

        Parameters
        ----------
        job_id
            The job.
        timeout
            Seconds to wait at most for the end of the job; None waits for any time. By default it does not wait.
        """
        return self._manager.get_result(job_id, timeout)

    @overload
    async def get_result_async(
        self: TypedResults[P, Coroutine[Any, Any, T], Args], job_id: int, timeout: float | None = ...
    ) -> T: ...
    @overload
    async def get_result_async(self, job_id: int, timeout: float | None = ...) -> R_co: ...
    async def get_result_async(self, job_id: int, timeout: float | None = 0.0) -> Any:
        """Return what the task has returned in one of its jobs. See `get_result`."""
        return await self._manager.get_result_async(job_id, timeout)

    @property
    def _manager(self) -> JobManager:
        blueprint = cast("_HasJobs", self.blueprint)  # type: ignore[attr-defined]
        return blueprint.job_manager_for(self.name)
