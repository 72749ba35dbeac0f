"""A worker's operations one by one."""

from __future__ import annotations

import pytest

import adjourn
from adjourn import exceptions
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn.jobs import Status
from adjourn.worker import RegisteredWorker


async def test_jobs_are_fetched_and_finished_one_at_a_time(app: adjourn.App) -> None:
    manager = app.job_manager
    ids = await app.configure_task("any").batch_defer_async({}, {})
    locked = await app.configure_task("any", lock="l", queue="other").defer_async()
    worker = await manager.register_worker_async()
    first = await manager.fetch_job_async(["default"], worker)
    second = await manager.fetch_job_async(["default"], worker)
    assert first is not None
    assert second is not None
    assert [first.id, second.id] == ids
    assert await manager.fetch_job_async(["default"], worker) is None
    third = await manager.fetch_job_async(None, worker)
    assert third is not None
    assert third.id == locked
    assert await manager.finish_job_async(first, Status.SUCCEEDED) is True
    assert await manager.finish_job_async(first, Status.FAILED) is False
    assert await manager.finish_job_async(second, Status.SUCCEEDED, delete_job=True) is True
    assert await manager.finish_job_by_id_async(locked, Status.FAILED) is True
    assert [(job.id, job.status) for job in await manager.list_jobs_async()] == [
        (first.id, "succeeded"),
        (locked, "failed"),
    ]
    await manager.unregister_worker_async(worker)


async def test_workers_are_listed_with_what_they_do(app: adjourn.App) -> None:
    manager = app.job_manager
    assert await manager.list_workers_async() == []
    before = await manager.get_time_async()
    first = await manager.register_worker_async("first", ["a", "b"])
    second = await manager.register_worker_async("second", timeout=0.001)
    await app.configure_task("any", queue="a").batch_defer_async({}, {}, {})
    for _ in range(2):
        assert await manager.fetch_job_async(["a"], first) is not None
    after = await manager.get_time_async()
    one, two = await manager.list_workers_async()
    assert isinstance(one, RegisteredWorker)
    assert (one.id, one.name, one.queues, one.alive, one.running) == (first, "first", ("a", "b"), True, 2)
    assert (two.id, two.name, two.queues, two.alive, two.running) == (second, "second", None, False, 0)
    assert before <= one.started_at == one.last_heartbeat_at <= after
    assert await manager.update_heartbeat_async(first)
    assert (await manager.list_workers_async())[0].last_heartbeat_at > one.started_at
    await manager.unregister_worker_async(second)
    assert [each.name for each in await manager.list_workers_async()] == ["first"]


async def test_a_running_job_is_listed_with_the_name_of_its_worker(app: adjourn.App) -> None:
    manager = app.job_manager
    await app.configure_task("any").batch_defer_async({}, {}, {})
    worker = await manager.register_worker_async("mail-7")
    ended, running = [await manager.fetch_job_async(None, worker) for _ in range(2)]
    assert ended is not None
    assert running is not None
    await manager.finish_job_async(ended, Status.SUCCEEDED)
    assert [job.worker_name for job in await manager.list_jobs_async()] == [None, "mail-7", None]
    assert [job.worker_name for job in await manager.get_stalled_jobs_async(seconds_since_heartbeat=0)] == ["mail-7"]
    assert await manager.list_jobs_async(id=running.id) == [running]


async def test_a_job_that_has_not_ended_although_it_was_asked_to_is_listed_as_overdue(app: adjourn.App) -> None:
    manager = app.job_manager
    ids = await app.configure_task("any").batch_defer_async({}, {}, {})
    worker = await manager.register_worker_async("mail-7")
    ended, running = [await manager.fetch_job_async(None, worker) for _ in range(2)]
    assert ended is not None
    assert running is not None
    connector = app.connector.get_async_connector()
    beats = AsyncWorkerManager(connector, app.connector.json_loads, manager.schema)
    await beats.heartbeat_async(worker, 60, ids[:2])
    await manager.finish_job_async(ended, Status.SUCCEEDED)
    assert [job.overdue for job in await manager.list_jobs_async()] == [False, True, False]
    assert [job.overdue for job in await manager.get_stalled_jobs_async(seconds_since_heartbeat=0)] == [True]
    assert [each.overdue for each in await manager.list_workers_async()] == [2]
    await beats.heartbeat_async(worker, 60)
    assert [job.overdue for job in await manager.list_jobs_async(status="doing")] == [False]
    assert [each.overdue for each in await manager.list_workers_async()] == [0]


async def test_a_worker_is_listed_with_what_it_says_of_itself(app: adjourn.App) -> None:
    manager = app.job_manager
    worker = await manager.register_worker_async("mail-7")
    (before,) = await manager.list_workers_async()
    assert (before.running_jobs, before.details) == ((), {})
    beats = AsyncWorkerManager(app.connector.get_async_connector(), app.connector.json_loads, manager.schema)
    await beats.heartbeat_async(worker, 60, [], [(7, 1), (9, 2)], '{"host": "é", "pid": 3}')
    (told,) = await manager.list_workers_async()
    assert (told.running_jobs, told.details) == ((7, 9), {"host": "é", "pid": 3})
    await manager.update_heartbeat_async(worker)  # by hand: it says nothing of itself
    (after,) = await manager.list_workers_async()
    assert (after.running_jobs, after.details) == ((), {"host": "é", "pid": 3})


async def test_what_cannot_be_finished_is_refused(app: adjourn.App) -> None:
    manager = app.job_manager
    job_id = await app.configure_task("any").defer_async()
    (waiting,) = await manager.list_jobs_async()
    with pytest.raises(exceptions.InvalidOption, match="was not fetched"):
        await manager.finish_job_async(waiting, Status.SUCCEEDED)
    with pytest.raises(exceptions.InvalidOption, match="does not run, it is todo"):
        await manager.finish_job_by_id_async(job_id, Status.SUCCEEDED)
    with pytest.raises(exceptions.NoResult, match="no job 999999"):
        await manager.finish_job_by_id_async(999_999, Status.SUCCEEDED)
    worker = await manager.register_worker_async()
    job = await manager.fetch_job_async(None, worker)
    assert job is not None
    with pytest.raises(exceptions.InvalidOption, match="status="):
        await manager.finish_job_async(job, Status.TODO)


async def test_silent_workers_are_pruned_and_their_jobs_freed(app: adjourn.App) -> None:
    manager = app.job_manager
    await app.configure_task("any").defer_async()
    worker = await manager.register_worker_async(timeout=60)
    assert await manager.fetch_job_async(None, worker) is not None
    assert await manager.update_heartbeat_async(worker) is True
    assert await manager.prune_stalled_workers_async(60) == []
    assert await manager.prune_stalled_workers_async(0) == [worker]
    assert await manager.update_heartbeat_async(worker) is False
    (job,) = await manager.list_jobs_async()
    assert (job.status, job.attempts) == ("todo", 1)


async def test_jobs_to_abort_are_listed(app: adjourn.App) -> None:
    manager = app.job_manager
    job_id = await app.configure_task("any").defer_async()
    worker = await manager.register_worker_async()
    await manager.fetch_job_async(None, worker)
    assert await manager.list_jobs_to_abort_async() == []
    await manager.cancel_job_by_id_async(job_id, abort=True)
    assert await manager.list_jobs_to_abort_async() == [job_id]
    assert await manager.list_jobs_to_abort_async(queue="other") == []
