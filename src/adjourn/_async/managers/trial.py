"""A trial of what programs and workers do with the database, in a transaction that is rolled back."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from adjourn import sql
from adjourn._async.connectors.contract import AsyncConnectorSource, AsyncSession
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._async.managers.jobs import AsyncJobManager
from adjourn._domain.jobs import DeleteJobCondition, Job, Status
from adjourn._domain.outcomes import Ended, HandedBack, Outcome
from adjourn.exceptions import ConnectorException
from adjourn.types import Parameters, Row, Statement

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
                await self._step_async("Listing and changing jobs", self._change_async, session)
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
        manager = self._manager(session)
        job = Job(queue=self._queue, task_name="trial")
        await manager.defer_job_async(job, session)
        several = [job, job.evolve(queueing_lock=self._queue)]
        await manager.batch_defer_jobs_async(several, session)

    async def _work_async(self, session: AsyncSession) -> None:
        manager = AsyncWorkerManager(session, self._connector.json_loads, self._schema)
        worker_id = await manager.register_worker_async("trial", [self._queue], YEARS)
        await manager.heartbeat_async(worker_id, YEARS)
        claimed = await manager.exchange_async(worker_id, (), limit=3, queues=[self._queue], probe=False)
        ended, back, *_ = claimed.jobs
        outcomes: list[Outcome] = [Ended.of(ended, Status.SUCCEEDED, DeleteJobCondition.NEVER), HandedBack.of(back)]
        await manager.exchange_async(worker_id, outcomes, limit=0, queues=None, probe=False)
        await manager.place_async(0)
        await manager.disown_async(worker_id, ())
        await manager.unregister_worker_async(worker_id)

    async def _change_async(self, session: AsyncSession) -> None:
        manager = self._manager(session)
        for job in await manager.list_jobs_async(queue=self._queue):
            assert job.id is not None
            await manager.retry_job_by_id_async(job.id, connection=session)
            await manager.cancel_job_by_id_async(job.id, connection=session)
        await manager.list_workers_async()
        await manager.list_schedules_async()
        await manager.keep_schedules_async([], YEARS)

    def _manager(self, session: AsyncSession) -> AsyncJobManager:
        return AsyncJobManager(AsyncOneSession(session, self._connector), self._schema)


class AsyncOneSession:
    """A session in the place of a connector, for managers.

    Parameters
    ----------
    session
        The session that executes all statements.
    connector
        The connector that it belongs to.
    """

    def __init__(self, session: AsyncSession, connector: AsyncConnectorSource) -> None:
        self._session = session
        self.json_dumps = connector.json_dumps
        self.json_loads = connector.json_loads
        self.applies_schema = connector.applies_schema

    def get_async_connector(self) -> Any:
        """Return this object, which executes statements as a connector does."""
        return self

    async def execute_async(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        """Execute one statement on the session."""
        return await self._session.execute_async(statement, parameters)
