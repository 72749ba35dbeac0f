"""Code around tasks."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import adjourn
from adjourn import exceptions
from adjourn.worker import Worker
from support.bench import Bench


def plain(name: str, log: list[str]) -> Callable[..., Any]:
    def middleware(call_next: Callable[[], Any], context: adjourn.JobContext, worker: Worker) -> Any:
        log.append(f"{name} before {context.task.name}")
        try:
            return call_next()
        finally:
            log.append(f"{name} after")

    return middleware


def awaited(name: str, log: list[str]) -> Callable[..., Any]:
    async def middleware(call_next: Callable[[], Awaitable[Any]], context: adjourn.JobContext, worker: Worker) -> Any:
        log.append(f"{name} before {context.task.name}")
        try:
            return await call_next()
        finally:
            log.append(f"{name} after")

    return middleware


async def test_middleware_is_nested_worker_s_first_then_the_worker_wide_and_the_task_s_own(
    app: adjourn.App, bench: Bench
) -> None:
    log: list[str] = []

    @app.task(name="async", task_middleware=[awaited("own", log), awaited("inner", log)])
    async def on_loop() -> None:
        log.append("body")

    job_id = await on_loop.defer_async()
    await bench.drain(task_middleware=[awaited("wide", log)], worker_middleware=[awaited("worker", log)])
    assert log == [
        *("worker before async", "wide before async", "own before async", "inner before async", "body"),
        *("inner after", "own after", "wide after", "worker after"),
    ]
    assert await bench.status(job_id) == "succeeded"


async def test_a_sync_task_is_wrapped_in_its_thread_and_by_the_worker_on_the_loop(
    app: adjourn.App, bench: Bench
) -> None:
    log: list[str] = []
    threads: list[int] = []

    def own(call_next: Callable[[], Any], context: adjourn.JobContext, worker: Worker) -> Any:
        threads.append(threading.get_ident())
        return call_next()

    async def outer(call_next: Callable[[], Awaitable[Any]], context: adjourn.JobContext, worker: Worker) -> Any:
        threads.append(threading.get_ident())
        return await call_next()

    @app.task(name="sync", task_middleware=[own])
    def in_thread() -> None:
        threads.append(threading.get_ident())
        raise ValueError

    job_id = await in_thread.defer_async()
    await bench.drain(worker_middleware=[outer], task_middleware=[plain("wide", log), awaited("never", log)])
    assert log == ["wide before sync", "wide after"]
    assert threads[0] == threading.get_ident()
    assert threads[1] == threads[2] != threading.get_ident()
    job = await bench.job(job_id)
    assert job.status == "failed"
    assert job.errors[0]["exception"] == "builtins.ValueError"


async def test_middleware_may_swallow_an_error_or_raise_one(app: adjourn.App, bench: Bench) -> None:
    def forgive(call_next: Callable[[], Any], context: adjourn.JobContext, worker: Worker) -> Any:
        try:
            return call_next()
        except ValueError:
            return None

    async def refuse(call_next: Callable[[], Awaitable[Any]], context: adjourn.JobContext, worker: Worker) -> Any:
        raise PermissionError("not today")

    @app.task(task_middleware=[forgive])
    def fails() -> None:
        raise ValueError

    @app.task(task_middleware=[refuse])
    async def never() -> None: ...

    ids = [await fails.defer_async(), await never.defer_async()]
    await bench.drain()
    assert [await bench.status(job_id) for job_id in ids] == ["succeeded", "failed"]


async def test_middleware_can_stop_its_worker(app: adjourn.App, bench: Bench) -> None:
    async def stop_after_one(
        call_next: Callable[[], Awaitable[Any]], context: adjourn.JobContext, worker: Worker
    ) -> Any:
        worker.stop()
        return await call_next()

    @app.task
    async def work() -> None: ...

    ids = await work.batch_defer_async(*[{}] * 200)
    await app.run_worker_async(install_signal_handlers=False, worker_middleware=[stop_after_one])
    assert await bench.status(ids[0]) == "succeeded"
    assert await bench.status(ids[-1]) == "todo"


def test_middleware_of_the_wrong_kind_is_refused_when_the_task_is_declared() -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector("host=nowhere.invalid"))
    log: list[str] = []
    with pytest.raises(exceptions.MiddlewareKindMismatch, match="needs a plain function"):

        @app.task(task_middleware=[awaited("a", log)])
        def sync_task() -> None: ...

    with pytest.raises(exceptions.MiddlewareKindMismatch, match="needs an async function"):

        @app.task(task_middleware=[plain("a", log)])
        async def async_task() -> None: ...

    with pytest.raises(exceptions.MiddlewareKindMismatch, match="must be an async function"):
        Worker(app, worker_middleware=[plain("a", log)])
    with pytest.raises(exceptions.InvalidOption, match="cannot be called"):
        Worker(app, task_middleware=["log"])  # type: ignore[list-item]
    with pytest.raises(exceptions.InvalidOption, match="pass a list"):
        Worker(app, worker_middleware=awaited("a", log))  # type: ignore[arg-type]
