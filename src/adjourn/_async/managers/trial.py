"""A trial of what programs and workers do with the database, in a transaction that is rolled back."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from adjourn import sql
from adjourn._async.connectors.contract import AsyncConnectorSource, AsyncSession
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.jobs import DeleteJobCondition, Job, Status
from adjourn._domain.outcomes import Ended, HandedBack, Outcome
from adjourn.exceptions import ConnectorException
from adjourn.types import Parameters, Row

YEARS = 100 * 366 * 24 * 3600.0


class AsyncTrial:
    """Stores jobs in a queue of its own, and runs them; nothing of it is ever seen by others.

    Parameters
    ----------
    connector
        The connector to the database.
    schema
        The database schema that holds adjourn's tables.
    """

    def __init__(self, connector: AsyncConnectorSource, schema: str) -> None:
        self._connector = connector
        self._schema = schema
        self._queue = f"adjourn trial {secrets.token_hex(8)}"

    async def run_async(self, *, as_worker: bool) -> None:
        """Do what programs do that defer jobs and, with ``as_worker``, what workers do.

        Raises
        ------
        ConnectorException
            If something fails; the message says what, and names the remedy if a right is missing.
        """
        statements = sql.statements(self._schema)
        session = await self._connector.get_async_connector().session_async()
        try:
            await session.execute_async(statements["begin"])
            await session.execute_async(statements["limit_waits"], {})
            await self._step_async("Storing jobs", self._defer_async, session)
            if as_worker:
                await self._step_async("Running jobs", self._work_async, session)
                await self._step_async("Periodic tasks", self._tick_async, session)
                await self._step_async("Changing jobs", self._change_async, session)
            await session.execute_async(statements["rollback"])
        finally:
            # Closing the connection also ends an open transaction.
            await session.close_async()

    async def _step_async(
        self, what: str, do: Callable[[AsyncSession], Awaitable[None]], session: AsyncSession
    ) -> None:
        try:
            await do(session)
        except ConnectorException as error:
            if sql.lacks_right(error):
                error = sql.missing_grant(error)
            raise ConnectorException(f"{what} fails: {error}", sqlstate=error.sqlstate) from error

    async def _defer_async(self, session: AsyncSession) -> None:
        job: dict[str, object] = {
            **dict.fromkeys(("lock", "scheduled_at", "schedule_in")),
            "queue": self._queue,
            "task_name": "trial",
            "priority": 0,
            "queueing_lock": self._queue,
            "args": "{}",
        }
        await self._run_async(session, "defer_job", {**job, "own_transaction": False})
        several: dict[str, object] = {
            "queues": [self._queue] * 2,
            "task_names": ["trial"] * 2,
            "priorities": [0] * 2,
            "args": ["{}"] * 2,
            "locks": [None] * 2,
            "queueing_locks": [None, f"{self._queue} 2"],
            "scheduled_at": [None] * 2,
        }
        await self._run_async(session, "defer_jobs", {**several, "schedule_in": None, "own_transaction": False})

    async def _work_async(self, session: AsyncSession) -> None:
        manager = AsyncWorkerManager(session, self._connector.json_loads, self._schema)
        worker_id = await manager.register_worker_async("trial", [self._queue], YEARS)
        await manager.heartbeat_async(worker_id, YEARS)
        claimed = await manager.exchange_async(worker_id, (), limit=3, queues=[self._queue], probe=False)
        ended, back, *_ = claimed.jobs
        outcomes: list[Outcome] = [Ended.of(ended, Status.SUCCEEDED, DeleteJobCondition.NEVER), HandedBack.of(back)]
        await manager.exchange_async(worker_id, outcomes, limit=0, queues=None, probe=True)
        await manager.place_async(0)
        await manager.disown_async(worker_id, ())
        await manager.unregister_worker_async(worker_id)

    async def _tick_async(self, session: AsyncSession) -> None:
        await self._run_async(session, "list_schedules", {})
        await self._run_async(session, "keep_schedules", {"task_names": [], "periodic_ids": [], "seconds": YEARS})

    async def _change_async(self, session: AsyncSession) -> None:
        filters = dict.fromkeys(("id", "task", "status", "lock", "queueing_lock", "worker_id", "limit"))
        rows = await self._run_async(session, "list_jobs", {**filters, "queue": self._queue, "after_id": 0})
        ids = [Job.from_row(row, self._connector.json_loads).id for row in rows]
        again = dict.fromkeys(("retry_at", "priority", "queue", "lock"))
        for each in ids:
            await self._run_async(session, "retry_job_by_id", {**again, "job_id": each, "relock": False})
        await self._run_async(session, "cancel_jobs", {"ids": ids, "delete": False})
        old = {"seconds": YEARS, "statuses": [Status.SUCCEEDED.value], "queue": self._queue}
        await self._run_async(session, "delete_old_jobs", {**old, "after_id": 0, "limit": 1})

    async def _run_async(self, session: AsyncSession, name: str, parameters: Parameters) -> list[Row]:
        return await session.execute_async(sql.statements(self._schema)[name], parameters)
