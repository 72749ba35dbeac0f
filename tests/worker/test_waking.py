"""Of the workers that are idle, as many are notified of new jobs as there is work for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import adjourn
from adjourn import sql
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.outcomes import HandedBack, Unknown
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn.testing import SyncInMemoryConnector
from support.bench import Bench

CONNECTORS: dict[str, Callable[[str], Any]] = {
    "postgres": lambda dsn: adjourn.SyncPsycopgConnector(dsn, min_size=1, max_size=2),
    "memory": lambda dsn: SyncInMemoryConnector(),
}


class Fleet:
    """Workers that look for jobs when the test says so, and somebody who hears whom a notification calls."""

    def __init__(self, app: adjourn.App) -> None:
        self.app = app
        connector = app.connector.get_sync_connector()
        self.listener = connector.session()
        self.listener.listen(sql.channel(sql.DEFAULT_SCHEMA))
        self.manager = SyncWorkerManager(connector, app.connector.json_loads)

    def idle(self, *queues: str, listens: bool = True) -> int:
        """Register a worker of these queues, or of all, that has found nothing."""
        worker_id = self.manager.register_worker("idle", list(queues) or None, 600)
        self.look(worker_id, *queues, listens=listens)
        self.called()
        return worker_id

    def look(self, worker_id: int, *queues: str, limit: int = 1, **options: Any) -> list[adjourn.jobs.Job]:
        """Claim jobs."""
        return self.manager.exchange(worker_id, [], limit=limit, queues=list(queues) or None, **options).jobs

    def defer(self, number: int = 1, **options: Any) -> set[int] | str:
        """Store jobs; whom that calls."""
        self.app.configure_task("any", **options).batch_defer(*[{}] * number)
        return self.called()

    def called(self) -> set[int] | str:
        """The ids of the workers that were called since the last time; "all" if all were."""
        called: set[int] = set()
        payloads = self.listener.wait_for_notifications(0.2)
        for payload in payloads:
            called |= set(map(int, payload.split()))
        return "all" if "" in payloads else called


@pytest.fixture(params=CONNECTORS)
def fleet(request: pytest.FixtureRequest, database: str) -> Iterator[Fleet]:
    app = adjourn.App(connector=CONNECTORS[request.param](database))
    with app.open():
        fleet = Fleet(app)
        yield fleet
        fleet.listener.close()


def test_as_many_are_called_as_there_are_jobs_and_one_more(fleet: Fleet) -> None:
    workers = {fleet.idle() for _ in range(9)}
    assert len(fleet.defer(1)) == 2
    assert len(fleet.defer(3)) == 4
    assert fleet.defer(20) == workers
    assert fleet.defer(60) == "all"


def test_one_job_by_itself_calls_two(fleet: Fleet) -> None:
    for _ in range(5):
        fleet.idle()
    fleet.app.configure_task("any").defer()
    assert len(fleet.called()) == 2


def test_those_are_called_that_serve_the_queue(fleet: Fleet) -> None:
    everything, slow, _ = fleet.idle(), fleet.idle("slow", "slower"), fleet.idle("fast")
    for _ in range(3):
        assert fleet.defer(queue="slow") == {everything, slow}
        assert fleet.defer(queue="other") == {everything}
    fleet.look(everything, limit=0, called=True)
    assert fleet.called() == {slow}
    assert fleet.defer(queue="other") == set()


def test_nobody_is_called_who_is_busy_or_does_not_listen(fleet: Fleet) -> None:
    fleet.idle(listens=False)
    assert fleet.defer() == set()
    idle = fleet.idle()
    fleet.look(idle)
    assert fleet.defer() == {idle}
    fleet.look(idle, listens=False)
    assert fleet.defer() == set()


def test_one_that_was_busy_and_finds_too_little_is_called_again(fleet: Fleet) -> None:
    worker = fleet.idle()
    assert fleet.look(worker, limit=2, busy=True) == []
    assert fleet.defer() == {worker}
    assert len(fleet.look(worker, limit=2, busy=True)) == 1
    assert fleet.defer() == {worker}


def test_one_that_was_called_and_has_no_room_passes_it_on(fleet: Fleet) -> None:
    full, other = fleet.idle(), fleet.idle()
    fleet.defer()
    fleet.look(full, limit=0, called=True)
    assert fleet.called() == {other}
    # From then on it is not called, until it has found nothing again.
    assert fleet.defer() == {other}
    fleet.look(full, limit=5)
    assert fleet.defer() == {full, other}


def test_one_that_cannot_take_all_calls_another(fleet: Fleet) -> None:
    one, other = fleet.idle(), fleet.idle()
    fleet.defer(2)
    fleet.look(one, limit=1, called=True)
    assert fleet.called() == {other}
    fleet.look(other, limit=2, called=True)
    assert fleet.called() == set()
    fleet.look(one, limit=0, called=True)
    assert fleet.called() == set()


def test_jobs_that_are_not_placed_call_whoever_can_place_them(fleet: Fleet) -> None:
    fleet.idle()
    full = fleet.idle()
    fleet.defer(lock="a")
    fleet.look(full, limit=0, called=True)
    assert fleet.called() == "all"


def test_all_are_called_for_a_lock_whose_waiting_head_is_cancelled(fleet: Fleet) -> None:
    head, behind, last = [fleet.app.configure_task("any", lock="a").defer() for _ in range(3)]
    fleet.manager.place(10)
    fleet.idle("other")
    fleet.app.job_manager.cancel_job_by_id(behind)
    assert fleet.called() == set()
    fleet.app.job_manager.cancel_job_by_id(head)
    assert fleet.called() == "all"
    fleet.manager.place(10)
    fleet.called()
    fleet.app.job_manager.cancel_job_by_id(last, delete_job=True)
    assert fleet.called() == "all"


def test_one_that_leaves_passes_on_what_it_may_have_been_called_for(fleet: Fleet) -> None:
    leaving, other = fleet.idle(), fleet.idle()
    fleet.defer()
    fleet.manager.unregister_worker(leaving)
    assert fleet.called() == {other}
    fleet.look(other)
    fleet.manager.unregister_worker(fleet.idle())
    assert fleet.called() == set()


def test_all_are_called_for_what_only_some_can_take(fleet: Fleet) -> None:
    busy = fleet.idle()
    for _ in range(4):
        fleet.idle()
    fleet.defer(2)
    known, unknown = fleet.look(busy, limit=2)
    fleet.manager.exchange(busy, [HandedBack.of(known)], limit=0, queues=None)
    assert len(fleet.called()) == 2
    fleet.manager.exchange(busy, [Unknown.of(unknown)], limit=0, queues=None)
    assert fleet.called() == "all"
    assert fleet.defer(schedule_in={"seconds": 60}) == "all"


@pytest.mark.anyio
async def test_idle_workers_do_not_all_look_for_one_job(
    app: adjourn.App, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.task
    async def work() -> None:
        pass

    looks = 0
    exchange = AsyncWorkerManager.exchange_async

    async def counted(*args: Any, **options: Any) -> Any:
        nonlocal looks
        looks += 1
        return await exchange(*args, **options)

    monkeypatch.setattr(AsyncWorkerManager, "exchange_async", counted)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(8):
            await stack.enter_async_context(bench.working(fetch_job_polling_interval=600))

        async def all_listen() -> bool:
            rows = await app.connector.execute_query_all_async(
                "select count(*) from adjourn.adjourn_workers where hungry"
            )
            return bool(rows[0]["count"] == 8)

        await bench.until(all_listen)
        await asyncio.sleep(0.5)
        looks = 0
        for _ in range(10):
            await bench.ended(await work.defer_async())
        # All eight would have looked for each, at least once.
        assert looks < 70
        # Many jobs at once reach as many workers, and none is forgotten.
        for job_id in await work.batch_defer_async(*[{}] * 60):
            await bench.ended(job_id)


@pytest.mark.anyio
async def test_jobs_are_taken_although_others_do_not_answer(app: adjourn.App, bench: Bench) -> None:
    @app.task
    async def work() -> None:
        pass

    manager = AsyncWorkerManager(app.connector.get_async_connector(), app.connector.json_loads)
    for _ in range(4):
        silent = await manager.register_worker_async("silent", None, 600)
        await manager.exchange_async(silent, [], limit=1, queues=None)
    async with bench.working(fetch_job_polling_interval=0.5):
        for _ in range(10):
            await bench.ended(await work.defer_async())
