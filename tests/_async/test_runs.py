"""What a run does with its own job, and that it is refused once the job is another run's."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import adjourn
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.outcomes import HandedBack, Suspended
from adjourn._domain.runs import Completion
from adjourn.exceptions import JobLost, JobSuspended
from adjourn.jobs import Job
from adjourn.types import Statement


@pytest.fixture
async def manager(app: adjourn.App) -> AsyncIterator[AsyncWorkerManager]:
    session = await app.connector.session_async()
    yield AsyncWorkerManager(session, app.connector.json_loads)
    await session.close_async()


@pytest.fixture
async def worker(manager: AsyncWorkerManager) -> int:
    return await manager.register_worker_async("one", None, 60)


async def claim_async(manager: AsyncWorkerManager, worker: int, *outcomes: HandedBack) -> Job:
    """Claim the only job, after these outcomes."""
    (job,) = (await manager.exchange_async(worker, outcomes, limit=1, queues=None)).jobs
    return job


async def test_only_the_run_that_holds_a_job_completes_it(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    runs, other = app.job_manager.runs, await manager.register_worker_async("two", None, 60)
    await app.configure_task("any").defer_async()
    first = await claim_async(manager, worker)
    second = await claim_async(manager, worker, HandedBack.of(first))
    for stranger in (first, second.evolve(worker_id=other), second.evolve(worker_id=None), second.evolve(id=10**9)):
        async with app.connector.transaction_async() as connection:
            with pytest.raises(JobLost):
                await runs.complete_async(stranger, connection, result=None, ttl=None)
    assert await runs.ask_completion_async(first) is Completion.LOST
    assert await runs.ask_completion_async(second) is Completion.ROLLED_BACK
    async with app.connector.transaction_async() as connection:
        await runs.complete_async(second, connection, result="1", ttl=60)
        assert await runs.ask_completion_async(second) is Completion.OPEN
    assert await runs.ask_completion_async(second) is Completion.STORED
    assert second.id is not None
    assert await app.job_manager.get_result_async(second.id) == 1


async def test_an_event_that_is_sent_while_its_wait_is_being_stored_arrives(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    """The sender does not see the wait, nor the worker the event; whoever looks next sees both."""
    await app.configure_task("any").defer_async()
    job = await claim_async(manager, worker)
    assert (await app.job_manager.runs.look_for_event_async(job, "e", None))[0] == "waits"
    await manager.session.execute_async(Statement("begin", "begin"))
    suspended = Suspended.of(job, JobSuspended(None, "e"))
    await manager.exchange_async(worker, (suspended,), limit=0, queues=None)
    assert await app.send_event_async("e", 7)
    await app.connector.execute_async(Statement("deliver", "select adjourn.adjourn_deliver_events_v1(1000)"))
    await manager.session.execute_async(Statement("commit", "commit"))
    exchanged = await manager.exchange_async(worker, (), limit=1, queues=None)
    assert [each.id for each in exchanged.jobs] == [job.id]
