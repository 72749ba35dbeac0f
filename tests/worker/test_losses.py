"""Jobs whose workers die: the one that kills them is found, and the others lose nothing but time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import adjourn
from adjourn._domain.outcomes import Ended, HandedBack, Retried, Unknown
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn.jobs import Job
from adjourn.sql.constants import MOST_LOSSES
from adjourn.testing import SyncInMemoryConnector
from adjourn.worker import apart
from support.bench import Bench

CONNECTORS: dict[str, Callable[[str], Any]] = {
    "postgres": lambda dsn: adjourn.SyncPsycopgConnector(dsn, min_size=1, max_size=2),
    "memory": lambda dsn: SyncInMemoryConnector(),
}


class Fleet:
    """Workers that run jobs as a worker does, and die if one of the jobs kills them."""

    def __init__(self, app: adjourn.App, seed: int) -> None:
        self.app = app
        self.manager = SyncWorkerManager(app.connector.get_sync_connector(), app.connector.json_loads)
        self.random = random.Random(seed)
        self.deaths: Counter[int | None] = Counter()

    def defer(self, killers: int, others: int, **options: Any) -> tuple[list[int], list[int]]:
        """Store jobs in random order; the ids of those that kill, and of the others."""
        kinds = ["kill"] * killers + ["live"] * others
        self.random.shuffle(kinds)
        ids = [(kind, self.app.configure_task(kind, **options).defer()) for kind in kinds]
        return [id_ for kind, id_ in ids if kind == "kill"], [id_ for kind, id_ in ids if kind == "live"]

    def settle(self, concurrency: int, workers: int = 1, ahead: int = 0, queues: list[str] | None = None) -> None:
        """Run workers by turns, and a new one for each that dies, until no job is left."""
        fleet = [Worker(self, concurrency, ahead, queues) for _ in range(workers)]
        for _ in range(2000):
            number = self.random.randrange(workers)
            if not fleet[number].turn():
                fleet[number] = Worker(self, concurrency, ahead, queues)
            if all(job.finished_at for job in self.app.job_manager.list_jobs()):
                return
        pytest.fail("jobs are left")

    def jobs(self) -> dict[int | None, Job]:
        return {job.id: job for job in self.app.job_manager.list_jobs()}


class Worker:
    """One of them."""

    def __init__(self, fleet: Fleet, concurrency: int, ahead: int = 0, queues: list[str] | None = None) -> None:
        self.fleet, self.concurrency, self.ahead, self.queues = fleet, concurrency, ahead, queues
        self.id = fleet.manager.register_worker("one", queues, 1000)
        self.running: list[Job] = []
        self.buffer: list[Job] = []
        self.apart: int | None = None
        self.is_clearing = False

    def exchange(self, outcomes: list[Any]) -> None:
        had = len(self.running) + len(self.buffer)
        self.is_clearing = self.is_clearing and had > 0
        room = self.concurrency + (0 if self.apart is not None else self.ahead) - had
        exchanged = self.fleet.manager.exchange(
            self.id,
            outcomes,
            limit=0 if self.is_clearing else room,
            queues=self.queues,
            concurrency=self.concurrency,
            running=had,
            apart=self.apart,
        )
        if self.apart is None and exchanged.apart is not None:
            self.is_clearing = had > 0
        self.apart = exchanged.apart
        self.buffer += exchanged.jobs
        if exchanged.place:
            self.fleet.manager.place(200)

    def turn(self) -> bool:
        """Do the next thing; whether the worker lives on."""
        while self.buffer and len(self.running) < self.concurrency:
            self.running.append(self.buffer.pop(0))
        # Some of the jobs end before one of them may kill the worker.
        self.fleet.random.shuffle(self.running)
        outcomes = []
        for _ in range(self.fleet.random.randint(0, len(self.running))):
            job = self.running.pop()
            if job.task_name == "kill":
                self.fleet.deaths[job.id] += 1
                self.fleet.app.job_manager.unregister_worker(self.id)  # it has jobs, and so counts as dead
                self.fleet.manager.rescue(MOST_LOSSES, 0)
                return False
            outcomes.append(Ended(job.id or 0, job.claim, "succeeded"))
        self.exchange(outcomes)
        return True


@pytest.fixture(params=CONNECTORS)
def fleet(request: pytest.FixtureRequest, database: str) -> Iterator[Fleet]:
    seed = random.randrange(10**6)
    print("seed", seed)
    app = adjourn.App(connector=CONNECTORS[request.param](database))
    with app.open():
        yield Fleet(app, seed)


@pytest.mark.parametrize(
    ("concurrency", "workers", "ahead"), [(20, 1, 0), (20, 3, 0), (1, 1, 10), (4, 2, 30), (100, 1, 0)]
)
def test_of_the_jobs_of_dead_workers_only_those_that_kill_them_fail(
    fleet: Fleet, concurrency: int, workers: int, ahead: int
) -> None:
    killers, others = fleet.defer(1, 19)
    fleet.settle(concurrency, workers, ahead)
    jobs = fleet.jobs()
    assert {jobs[id_].status for id_ in others} == {"succeeded"}
    (killer,) = (jobs[id_] for id_ in killers)
    assert (killer.status, killer.attempts) == ("failed", MOST_LOSSES)
    assert killer.errors[-1]["message"] == f"the worker was lost {MOST_LOSSES} times while it ran this job"
    # A death that comes so soon after the claim that the job may not have begun is not one of them.
    assert MOST_LOSSES <= fleet.deaths[killer.id] <= MOST_LOSSES + (2 if ahead else 0)


def test_several_killers_are_told_apart_from_jobs_with_locks_priorities_and_other_queues(fleet: Fleet) -> None:
    all_killers, all_others = [], []
    for options in (
        {},
        {"lock": "a"},
        {"lock": "b"},
        {"priority": 3},
        {"queue": "other"},
        {"queue": "other", "lock": "a"},
    ):
        killers, others = fleet.defer(1, 7, **options)
        all_killers += killers
        all_others += others
    fleet.settle(concurrency=8, workers=2, ahead=5)
    jobs = fleet.jobs()
    assert {jobs[id_].status for id_ in all_others} == {"succeeded"}
    assert {(jobs[id_].status, jobs[id_].attempts) for id_ in all_killers} == {("failed", MOST_LOSSES)}


def test_workers_of_one_queue_leave_the_suspects_of_another_alone(fleet: Fleet) -> None:
    mine, _ = fleet.defer(1, 3, queue="mine")
    theirs, _ = fleet.defer(1, 3, queue="theirs")
    for _ in range(2):
        worker = Worker(fleet, 4, queues=["theirs"])
        while worker.turn():
            pass
    assert fleet.deaths[theirs[0]] == 2
    worker = Worker(fleet, 4, queues=["mine"])
    while worker.turn():
        assert not any(job.queue == "theirs" for job in worker.running + worker.buffer)
    assert fleet.deaths[mine[0]] == 1


def test_a_job_that_never_began_loses_nothing(fleet: Fleet) -> None:
    ids = [fleet.app.configure_task("live").defer() for _ in range(6)]
    for _ in range(4):
        worker = Worker(fleet, 1, ahead=5)
        worker.exchange([])
        fleet.app.job_manager.unregister_worker(worker.id)
        fleet.manager.rescue(MOST_LOSSES, 0)
    # Only the first of them was in a slot; later they ran apart, one by one.
    attempts = [fleet.jobs()[id_].attempts for id_ in ids]
    assert attempts == [4, 0, 0, 0, 0, 0]


def test_a_loss_is_forgiven_when_the_job_ends_with_an_error_of_its_own(fleet: Fleet) -> None:
    job_id = fleet.app.configure_task("live").defer()
    for number in range(MOST_LOSSES - 1):
        worker = Worker(fleet, 2)
        worker.exchange([])
        fleet.app.job_manager.unregister_worker(worker.id)
        fleet.manager.rescue(MOST_LOSSES, 0)
        assert fleet.jobs()[job_id].attempts == number + 1
    worker = Worker(fleet, 2)
    worker.exchange([])
    (job,) = worker.buffer
    fleet.manager.exchange(worker.id, [Retried(job_id, job.claim)], limit=0, queues=None)
    worker = Worker(fleet, 2)
    worker.exchange([])
    assert worker.apart is None
    fleet.app.job_manager.unregister_worker(worker.id)
    fleet.manager.rescue(MOST_LOSSES, 0)
    assert fleet.jobs()[job_id].status == "todo"


def test_a_suspect_that_is_handed_back_stays_one(fleet: Fleet) -> None:
    job_id, other = [fleet.app.configure_task("live", lock=lock).defer() for lock in ("a", None)]
    fleet.manager.place(10)
    for _ in range(2):
        worker = Worker(fleet, 2)
        worker.exchange([])
        fleet.app.job_manager.unregister_worker(worker.id)
        fleet.manager.rescue(MOST_LOSSES, 0)
    worker = Worker(fleet, 2)
    worker.exchange([])
    (job,) = worker.buffer
    assert (job.id, worker.apart) == (job_id, 2)
    fleet.manager.exchange(worker.id, [HandedBack(job_id, job.claim)], limit=0, queues=None)
    worker = Worker(fleet, 2)
    worker.exchange([])
    assert ([each.id for each in worker.buffer], worker.apart) == ([job_id], 2)
    assert fleet.jobs()[other].attempts == 2


def test_a_suspect_that_a_worker_does_not_know_stays_one_for_the_worker_that_does(fleet: Fleet) -> None:
    job_id = fleet.app.configure_task("live").defer()
    for _ in range(2):
        worker = Worker(fleet, 4)
        worker.exchange([])
        fleet.app.job_manager.unregister_worker(worker.id)
        fleet.manager.rescue(MOST_LOSSES, 0)
    worker = Worker(fleet, 4)
    worker.exchange([])
    (job,) = worker.buffer
    fleet.manager.exchange(worker.id, [Unknown(job_id, job.claim)], limit=0, queues=None)
    fleet.app.job_manager.unregister_worker(worker.id)
    other, patient = fleet.app.configure_task("live").defer(), fleet.app.configure_task("else").defer()
    knows = fleet.manager.register_worker("knows", None, 1000)
    first = fleet.manager.exchange(
        knows, [], limit=4, queues=None, probe=True, concurrency=4, running=0, tasks=["live"]
    )
    assert [each.id for each in first.jobs] == [other, patient]
    ended = [Ended(each.id or 0, each.claim, "succeeded") for each in first.jobs]
    then = fleet.manager.exchange(
        knows, ended, limit=4, queues=None, probe=True, concurrency=4, running=0, tasks=["live"]
    )
    assert ([each.id for each in then.jobs], then.apart) == ([job_id], 2)
    assert fleet.jobs()[job_id].attempts == 2


def test_one_worker_at_a_time_stops_running_others_for_the_sake_of_suspects(fleet: Fleet) -> None:
    suspects = [fleet.app.configure_task("live").defer() for _ in range(4)]
    for _ in range(2):
        worker = Worker(fleet, 4)
        worker.exchange([])
        fleet.app.job_manager.unregister_worker(worker.id)
        fleet.manager.rescue(MOST_LOSSES, 0)
    fleet.app.configure_task("live", priority=1).defer()
    fleet.app.configure_task("live", priority=1).defer()
    one, other = Worker(fleet, 4), Worker(fleet, 4)
    for worker in (one, other):
        worker.ahead = -3
        worker.exchange([])  # each claims one of the better jobs
        worker.ahead = 0
    for worker in (one, other):
        worker.running, worker.buffer = worker.buffer, []
        worker.exchange([])
    assert (one.apart, other.apart) == (0, None)
    assert (one.is_clearing, one.buffer, other.buffer) == (True, [], [])
    # A worker that runs nothing need not stop anything; with concurrency 4 it takes 2 of the 4.
    idle = Worker(fleet, 4)
    idle.exchange([])
    assert [job.id for job in idle.buffer] == suspects[:2]
    (job,) = one.running
    one.running = []
    one.exchange([Ended(job.id or 0, job.claim, "succeeded")])
    assert [job.id for job in one.buffer] == suspects[2:]
    fleet.app.configure_task("live").defer()
    one.exchange([])
    assert (one.apart, len(one.buffer)) == (2, 2)
    ended = [Ended(job.id or 0, job.claim, "succeeded") for job in one.buffer]
    one.buffer = []
    one.exchange(ended)
    assert (one.apart, len(one.buffer)) == (None, 1)


def test_a_lock_stays_with_its_suspect(fleet: Fleet) -> None:
    first, second = [fleet.app.configure_task("live", lock="a").defer() for _ in range(2)]
    fleet.manager.place(10)
    for _ in range(2):
        worker = Worker(fleet, 4)
        worker.exchange([])
        fleet.app.job_manager.unregister_worker(worker.id)
        fleet.manager.rescue(MOST_LOSSES, 0)
    third = fleet.app.configure_task("live", lock="a", priority=9).defer()
    fleet.manager.heal(None, 100)
    fleet.manager.place(10)
    worker = Worker(fleet, 4)
    order: list[int | None] = []
    while len(order) < 3:
        worker.exchange([])
        order += [job.id for job in worker.buffer]
        ended = [Ended(job.id or 0, job.claim, "succeeded") for job in worker.buffer]
        worker.buffer = []
        worker.exchange(ended)
    assert order == [first, third, second]


def test_a_suspect_can_be_cancelled_and_its_lock_goes_on(fleet: Fleet) -> None:
    first, second, third = [fleet.app.configure_task("live", lock="a").defer() for _ in range(3)]
    for change in ("cancel", "retry"):
        fleet.manager.place(10)
        for _ in range(2):
            worker = Worker(fleet, 4)
            worker.exchange([])
            assert [job.id for job in worker.buffer] == [first if change == "cancel" else second]
            fleet.app.job_manager.unregister_worker(worker.id)
            fleet.manager.rescue(MOST_LOSSES, 0)
        if change == "cancel":
            assert fleet.app.job_manager.cancel_job_by_id(first)
        else:
            fleet.app.job_manager.retry_job_by_id(second, priority=-1)
    fleet.manager.place(10)
    worker = Worker(fleet, 4)
    worker.exchange([])
    assert ([job.id for job in worker.buffer], worker.apart) == ([third], None)


@pytest.mark.anyio
async def test_a_job_that_never_ends_makes_no_worker_stand_still_for_a_suspect(
    app: adjourn.App, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "LONGEST_CLEARING", 1.5)
    release = asyncio.Event()

    @app.task(name="endless")
    async def endless() -> None:
        await release.wait()

    @app.task(name="quick")
    async def quick() -> None:
        pass

    running = await endless.defer_async()
    async with bench.working(concurrency=4):
        await bench.ended(running, "doing")
        suspect = await quick.configure(schedule_in={"days": 1}).defer_async()
        text = "update adjourn.adjourn_jobs set hold = 4, losses = 2, doubts = 2, scheduled_at = null where id = %(id)s"
        await app.connector.execute_query_async(text, id=suspect)
        await bench.ended(await quick.defer_async())
        assert (await bench.status(running), await bench.status(suspect)) == ("doing", "todo")
        release.set()
        await bench.ended(suspect)


@pytest.mark.anyio
async def test_a_worker_that_clears_for_a_suspect_goes_on_when_another_has_run_it(database: str) -> None:
    release = asyncio.Event()

    def make() -> adjourn.App:
        app = adjourn.App(connector=adjourn.PsycopgConnector(database))

        @app.task(name="long")
        async def long() -> None:
            await release.wait()

        @app.task(name="live")
        async def live() -> None:
            pass

        return app

    one, other = make(), make()
    async with one.open_async(), other.open_async():
        bench = Bench(one)
        running = await one.tasks["long"].defer_async()
        async with bench.working(concurrency=4):
            await bench.ended(running, "doing")
            suspect = await one.tasks["live"].configure(schedule_in={"days": 1}).defer_async()
            text = "update adjourn.adjourn_jobs set hold = 4, losses = 2, doubts = 2, scheduled_at = null where id = %(id)s"
            await one.connector.execute_query_async(text, id=suspect)

            async def is_clearing() -> bool:
                rows = await one.connector.execute_query_all_async("select apart from adjourn.adjourn_workers")
                return [row["apart"] for row in rows] == [True]

            await one.tasks["live"].defer_async()
            await bench.until(is_clearing)
            await Bench(other).drain(concurrency=4)
            await bench.ended(suspect)
            # The first worker's job still runs; its other slots do work again.
            await bench.ended(await one.tasks["live"].defer_async())
            assert await bench.status(running) == "doing"
            release.set()
