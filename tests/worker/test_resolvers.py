"""Tasks that no app declares, and that a resolver finds by the names of their jobs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

import adjourn
from adjourn import events
from adjourn.exceptions import InvalidOption, TaskNotFound
from adjourn.jobs import Job
from adjourn.tasks import Task, TaskResolver
from adjourn.testing import InMemoryConnector
from support.bench import Bench

pytestmark = pytest.mark.anyio

AnyTask = Task[..., object, ...]


class Shelf(TaskResolver):
    """Has tasks by their names, each of which is loaded when its first job runs."""

    def __init__(self, app: adjourn.App) -> None:
        self.app = app
        self.stock: dict[str, Callable[[], AnyTask]] = {}
        self.loaded: dict[str, AnyTask] = {}
        self.missing: set[str] = set()
        self.threads: list[threading.Thread] = []

    def put(self, name: str, func: Callable[..., object], **options: Any) -> None:
        """Have a task that can be loaded."""
        self.stock[name] = lambda: Task(func, blueprint=self.app, name=name, **options)

    def may_know(self, name: str) -> bool:
        return name not in self.missing

    def find(self, job: Job) -> AnyTask | None:
        return self.loaded.get(job.task_name)

    def load(self, job: Job) -> AnyTask:
        self.threads.append(threading.current_thread())
        if job.task_name not in self.stock:
            self.missing.add(job.task_name)
            raise TaskNotFound(f"The shelf has no {job.task_name}.")
        self.loaded[job.task_name] = task = self.stock[job.task_name]()
        return task


@pytest.fixture
def shelf(app: adjourn.App) -> Shelf:
    shelf = Shelf(app)
    app.add_task_resolver("shelf", shelf)
    return shelf


async def defer(app: adjourn.App, name: str, **arguments: object) -> int:
    return await app.configure_task(name).defer_async(**arguments)


async def test_a_task_is_loaded_in_a_thread_with_its_first_job_and_then_known(
    app: adjourn.App, bench: Bench, shelf: Shelf
) -> None:
    seen: list[tuple[int, Task[..., object, ...]]] = []

    async def coroutine(context: adjourn.JobContext, n: int) -> None:
        seen.append((n, context.task))

    def function(context: adjourn.JobContext, n: int) -> None:
        seen.append((n, context.task))

    for name, func in (("shelf:a", coroutine), ("shelf:b", function)):
        shelf.put(name, func, pass_context=True)
    for n in range(3):
        await defer(app, "shelf:a", n=n)
        await defer(app, "shelf:b", n=n)
    await bench.drain(concurrency=2)
    assert sorted((n, task.name) for n, task in seen) == [(n, f"shelf:{kind}") for n in range(3) for kind in "ab"]
    # Two of one task may be claimed at once; none is loaded on the event loop, and none again later.
    assert 2 <= len(shelf.threads) <= 4
    assert threading.main_thread() not in shelf.threads
    assert {job.status for job in await app.job_manager.list_jobs_async()} == {"succeeded"}


async def test_a_declared_task_goes_before(app: adjourn.App, bench: Bench, shelf: Shelf) -> None:
    ran: list[str] = []
    app.task(name="shelf:a")(lambda: ran.append("declared"))
    await defer(app, "shelf:a")
    await bench.drain()
    assert (ran, shelf.threads) == (["declared"], [])


async def test_a_job_whose_task_is_not_found_waits_for_a_worker_that_knows_it(
    app: adjourn.App, bench: Bench, shelf: Shelf, database: str
) -> None:
    awaited: list[events.TaskAwaited] = []
    app.events.subscribe(events.TaskAwaited, awaited.append)
    newer = adjourn.App(connector=adjourn.PsycopgConnector(database))
    newer_shelf = Shelf(newer)
    newer.add_task_resolver("shelf", newer_shelf)
    newer_shelf.put("shelf:a", lambda: None)
    async with bench.working(fetch_job_polling_interval=0.05), newer.open_async():
        job_id = await defer(app, "shelf:a")
        await bench.until(lambda: len(awaited) == 1)
        async with Bench(newer).working(fetch_job_polling_interval=600):
            assert (await bench.ended(job_id)).attempts == 1
    assert str(awaited[0].reason) == "The shelf has no shelf:a."
    # The older worker has tried it once, and left it to the newer one from then on.
    assert (len(shelf.threads), len(newer_shelf.threads)) == (1, 1)


async def test_nobody_finds_it_for_too_long_and_it_fails_with_the_resolvers_reason(
    app: adjourn.App, bench: Bench, shelf: Shelf
) -> None:
    async with bench.working(unknown_task_timeout=0.2, fetch_job_polling_interval=0.05):
        job = await bench.ended(await defer(app, "shelf:a"), "failed")
    (error,) = job.errors
    assert (error["exception"], error["message"]) == (
        "adjourn.exceptions.TaskNotFound",
        "The shelf has no shelf:a.",
    )


async def test_an_error_of_the_resolver_is_that_of_the_job_and_the_worker_goes_on(
    app: adjourn.App, bench: Bench, shelf: Shelf
) -> None:
    def broken() -> AnyTask:
        raise ZeroDivisionError("a module that cannot be imported")

    shelf.stock["shelf:broken"] = broken
    shelf.put("shelf:sound", lambda: None)
    told: list[object] = []
    app.events.subscribe(events.RetryStrategyFailed, told.append)
    failed, sound = await defer(app, "shelf:broken"), await defer(app, "shelf:sound")
    await bench.drain()
    job = await bench.job(failed)
    assert (job.status, job.attempts, job.errors[0]["exception"]) == ("failed", 1, "builtins.ZeroDivisionError")
    assert (await bench.job(sound)).status == "succeeded"
    assert not told


async def test_a_resolved_task_is_retried_as_it_says(app: adjourn.App, bench: Bench, shelf: Shelf) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    shelf.put("shelf:a", fail, retry=2)
    job_id = await defer(app, "shelf:a")
    await bench.drain()
    assert (await bench.job(job_id)).attempts == 3


async def test_a_job_that_is_aborted_while_its_task_is_loaded_does_not_begin(
    app: adjourn.App, bench: Bench, shelf: Shelf
) -> None:
    ran: list[int] = []

    def run() -> None:
        ran.append(1)

    is_loading, may_go_on = threading.Event(), threading.Event()

    def slow() -> AnyTask:
        is_loading.set()
        assert may_go_on.wait(30)
        return Task(run, blueprint=app, name="shelf:a")

    shelf.stock["shelf:a"] = slow
    requested: list[object] = []
    app.events.subscribe(events.JobAbortRequested, requested.append)
    async with bench.working(abort_job_polling_interval=0.05):
        job_id = await defer(app, "shelf:a")
        await bench.until(is_loading.is_set)
        assert await app.job_manager.cancel_job_by_id_async(job_id, abort=True)
        await bench.until(lambda: requested)
        may_go_on.set()
        assert (await bench.ended(job_id, "aborted")).errors == ()
    assert not ran


async def test_a_worker_that_stops_while_a_task_is_loaded_hands_the_job_back(
    app: adjourn.App, bench: Bench, shelf: Shelf
) -> None:
    ran: list[int] = []

    def run() -> None:
        ran.append(1)

    is_loading, may_go_on = threading.Event(), threading.Event()

    def slow() -> AnyTask:
        is_loading.set()
        assert may_go_on.wait(30)
        return Task(run, blueprint=app, name="shelf:a")

    shelf.stock["shelf:a"] = slow
    job_id = await defer(app, "shelf:a")
    async with bench.working() as worker:
        await bench.until(is_loading.is_set)
        worker.stop()
        await asyncio.sleep(0)
        may_go_on.set()
    job = await bench.job(job_id)
    assert (job.status, job.attempts, ran) == ("todo", 0, [])


async def test_the_task_of_a_job_is_found_outside_of_workers_too(app: adjourn.App, shelf: Shelf) -> None:
    shelf.put("shelf:a", print)
    task = app.task_of(app.configure_task("shelf:a").job)
    assert (task.name, task.func) == ("shelf:a", print)
    for name in ("shelf:b", "other:a", "a"):
        with pytest.raises(TaskNotFound):
            app.task_of(app.configure_task(name).job)
    other = app.with_connector(InMemoryConnector())
    assert other.task_of(app.configure_task("shelf:a").job) is task


async def test_a_prefix_has_one_resolver_and_no_colon(app: adjourn.App, shelf: Shelf) -> None:
    for prefix in ("shelf", "a:b", "", 1):
        with pytest.raises(InvalidOption, match="prefix"):
            app.add_task_resolver(prefix, shelf)  # type: ignore[arg-type]
