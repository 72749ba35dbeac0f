"""A worker places jobs, and looks again when that is worth it: no later, and not all the time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest

import adjourn
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.outcomes import Placed
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn.testing import InMemoryConnector
from adjourn.worker.pace import PLACE_RETRY, ExchangePace
from support.bench import Bench
from support.waiting import BOUND

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["in memory", "postgres"])
async def app(request: pytest.FixtureRequest, database: str) -> AsyncIterator[adjourn.App]:
    given = InMemoryConnector() if request.param == "in memory" else adjourn.PsycopgConnector(database, max_size=4)
    async with adjourn.App(connector=given).open_async() as app:
        yield app


@attrs.define
class Calls:
    """How often the worker has looked, and waited."""

    placed: int = 0
    waits: int = 0


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Calls to place jobs, the first of which seems to meet another worker that is doing so, and has done it when this one comes back."""
    calls = Calls()
    place, wait = AsyncWorkerManager.place_async, ExchangePace.wait

    async def placing(manager: AsyncWorkerManager, limit: int) -> Placed:
        calls.placed += 1
        attempt = await place(manager, limit)
        return Placed(moved=False, is_to_repeat=True) if calls.placed == 1 else attempt

    def waiting(pace: ExchangePace, *arguments: Any, **options: Any) -> float:
        calls.waits += 1
        return wait(pace, *arguments, **options)

    monkeypatch.setattr(AsyncWorkerManager, "place_async", placing)
    # The worker's caretaker would place them, too.
    monkeypatch.setattr(SyncWorkerManager, "place", lambda manager, limit: Placed(moved=False, is_to_repeat=False))
    monkeypatch.setattr(ExchangePace, "wait", waiting)
    return calls


@pytest.mark.parametrize("state", ["idle", "full"])
async def test_a_worker_rests_when_another_one_has_placed_what_it_was_to_place(
    app: adjourn.App, bench: Bench, calls: Calls, state: str
) -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    @app.task(name="work")
    async def work() -> None:
        begun.set()
        if state == "full":
            await release.wait()

    @app.task(name="first")
    async def first() -> None: ...

    async with bench.working(concurrency=1):
        await bench.ended(await first.defer_async())
        job_id = await work.configure(lock="lock").defer_async()
        async with asyncio.timeout(BOUND):
            await begun.wait()
        if state == "idle":
            await bench.ended(job_id)
        await asyncio.sleep(2 * PLACE_RETRY)
        before = calls.waits
        await asyncio.sleep(1)
        release.set()
    assert calls.placed >= 1
    assert calls.waits - before <= 10


async def test_a_worker_that_does_not_wait_ends_at_once_after_several_ends_one_after_the_other(
    app: adjourn.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of these ends is added up for itself, and after each the worker looks whether there is more."""
    place, gates = AsyncWorkerManager.place_async, [asyncio.Event() for _ in range(4)]
    done: list[int] = []

    async def placing(manager: AsyncWorkerManager, limit: int) -> Placed:
        attempt = await place(manager, limit)
        if (number := len(done)) < len(gates):
            gates[number].set()
            while len(done) == number:
                await asyncio.sleep(0)
            await asyncio.sleep(0.01)  # it has ended as well
        return attempt

    monkeypatch.setattr(AsyncWorkerManager, "place_async", placing)

    @app.task(name="work")
    async def work(number: int) -> None:
        await (gates[number].wait() if number else asyncio.sleep(1))  # by then the worker waits for a reason to look
        done.append(number)

    ids = []
    for number in range(len(gates)):
        flow = app.workflow()
        flow.add(work.configure(task_kwargs={"number": number}))
        ids.append((await flow.defer_async()).id)
    async with asyncio.timeout(BOUND):
        await app.run_worker_async(
            wait=False, concurrency=8, fetch_job_polling_interval=10 * BOUND, install_signal_handlers=False
        )
    assert done == list(range(len(gates)))
    assert [(await app.job_manager.get_workflow_async(id_)).remaining for id_ in ids] == [0] * len(ids)
