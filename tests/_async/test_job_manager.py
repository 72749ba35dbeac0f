"""Storing, finding and changing jobs."""

from __future__ import annotations

import datetime

import pytest
from psycopg import AsyncConnection

import adjourn
from adjourn import exceptions
from adjourn.jobs import Job
from adjourn.types import Statement

FUTURE = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def add(app: adjourn.App) -> adjourn.tasks.Task[..., int, ...]:
    @app.task(name="add", queue="sums")
    def add(a: int, b: int) -> int:
        return a + b

    return add


async def test_a_deferred_job_is_stored_as_it_was_configured(
    app: adjourn.App, add: adjourn.tasks.Task[..., int, ...]
) -> None:
    configured = add.configure(
        queue="other", priority=3, lock="a", queueing_lock="b", task_kwargs={"a": 1}, schedule_at=FUTURE
    )
    job_id = await configured.defer_async(b=2)
    (job,) = await app.job_manager.list_jobs_async()
    assert job == adjourn.jobs.Job(
        id=job_id,
        status="todo",
        queue="other",
        priority=3,
        lock="a",
        queueing_lock="b",
        task_name="add",
        task_kwargs={"a": 1, "b": 2},
        scheduled_at=FUTURE,
        enqueued_at=job.enqueued_at,
    )
    assert job.call_string == f"add[{job_id}](a=1, b=2)"


async def test_a_job_has_its_task_s_options_unless_configured(
    app: adjourn.App, add: adjourn.tasks.Task[..., int, ...]
) -> None:
    await add.defer_async(a=1, b=2)
    (job,) = await app.job_manager.list_jobs_async()
    assert (job.queue, job.priority, job.lock, job.queueing_lock, job.scheduled_at) == ("sums", 0, None, None, None)


async def test_a_batch_is_stored_in_order_and_its_ids_rise(
    app: adjourn.App, add: adjourn.tasks.Task[..., int, ...]
) -> None:
    ids = await add.batch_defer_async(*({"a": n, "b": 0} for n in range(100)))
    assert ids == sorted(ids)
    jobs = await app.job_manager.list_jobs_async()
    assert [(job.id, job.task_kwargs["a"]) for job in jobs] == list(zip(ids, range(100), strict=True))


async def test_a_batch_with_queueing_locks_gets_its_ids_in_order_too(app: adjourn.App) -> None:
    deferrers = [app.configure_task("any", queueing_lock=name) for name in ("z", "a", "m")]
    jobs = await app.job_manager.batch_defer_jobs_async([deferrer.job for deferrer in deferrers])
    assert [job.queueing_lock for job in jobs] == ["z", "a", "m"]
    stored = await app.job_manager.list_jobs_async()
    assert [(job.id, job.queueing_lock) for job in stored] == [(job.id, job.queueing_lock) for job in jobs]


@pytest.mark.parametrize("queueing_lock", [None, "one"])
async def test_a_deferred_job_is_returned_as_it_is_stored(app: adjourn.App, queueing_lock: str | None) -> None:
    deferrer = app.configure_task("any", queueing_lock=queueing_lock, schedule_at=FUTURE)
    deferred = await deferrer.defer_job_async(a=1)
    assert deferred.enqueued_at is not None
    assert await app.job_manager.list_jobs_async() == [deferred]


@pytest.mark.parametrize("count", [3, 1001])
async def test_the_jobs_of_a_batch_are_returned_as_they_are_stored(app: adjourn.App, count: int) -> None:
    jobs = [app.configure_task("any", task_kwargs={"n": number}).job for number in range(count)]
    assert await app.job_manager.batch_defer_jobs_async(jobs) == await app.job_manager.list_jobs_async()


async def test_an_empty_batch_stores_nothing(app: adjourn.App, add: adjourn.tasks.Task[..., int, ...]) -> None:
    assert await add.batch_defer_async() == []


async def test_of_a_batch_all_or_none_is_stored(app: adjourn.App, add: adjourn.tasks.Task[..., int, ...]) -> None:
    with pytest.raises(exceptions.InvalidTaskArguments, match="missing argument 'b'"):
        await add.batch_defer_async({"a": 1, "b": 2}, {"a": 1})
    with pytest.raises(exceptions.AlreadyEnqueued):
        await add.configure(queueing_lock="one").batch_defer_async({"a": 1, "b": 2}, {"a": 3, "b": 4})
    assert await app.job_manager.list_jobs_async() == []


async def test_bad_arguments_and_options_are_refused_and_nothing_is_stored(
    app: adjourn.App, add: adjourn.tasks.Task[..., int, ...]
) -> None:
    with pytest.raises(exceptions.InvalidTaskArguments, match="Task add: positional argument 1"):
        await add.defer_async(1, 2)
    with pytest.raises(exceptions.InvalidTaskArguments, match="Task add: takes no argument 'c'"):
        await add.defer_async(a=1, b=2, c=3)
    with pytest.raises(exceptions.InvalidTaskArguments, match="Task add: argument 'b' cannot be stored"):
        await add.defer_async(a=1, b=FUTURE)
    with pytest.raises(exceptions.InvalidTaskArguments, match="Task add: argument 'b' cannot be stored"):
        await add.defer_async(a=1, b=float("nan"))
    with pytest.raises(exceptions.InvalidOption, match="schedule_at"):
        await add.configure(schedule_at=datetime.datetime(2100, 1, 1)).defer_async(a=1, b=2)
    with pytest.raises(exceptions.InvalidOption, match="exclude each other"):
        await add.configure(schedule_at=FUTURE, schedule_in={"seconds": 1}).defer_async(a=1, b=2)
    with pytest.raises(exceptions.InvalidOption, match="queue="):
        await add.configure(queue="").defer_async(a=1, b=2)
    with pytest.raises(exceptions.InvalidOption, match="queue="):
        await add.configure(queue="x" * 300).defer_async(a=1, b=2)
    with pytest.raises(exceptions.TaskNotFound, match="'unknown'"):
        await app.configure_task("unknown", allow_unknown=False).defer_async()
    assert await app.job_manager.list_jobs_async() == []


async def test_a_queueing_lock_is_taken_while_its_job_waits(app: adjourn.App) -> None:
    once = app.configure_task("any", queueing_lock="one")
    first = await once.defer_async()
    with pytest.raises(exceptions.AlreadyEnqueued, match="queueing lock 'one'") as refused:
        await once.defer_async()
    assert isinstance(refused.value.__cause__, exceptions.UniqueViolation)
    assert refused.value.__cause__.queueing_lock == "one"
    jobs = [Job(queue="q", task_name="any", queueing_lock=lock) for lock in ("on", "one", None)]
    with pytest.raises(exceptions.AlreadyEnqueued) as refused:
        await app.job_manager.batch_defer_jobs_async(jobs)
    assert isinstance(refused.value.__cause__, exceptions.UniqueViolation)
    assert refused.value.__cause__.queueing_lock == "one"
    assert await app.job_manager.cancel_job_by_id_async(first)
    assert await once.defer_async() > first


async def test_a_transaction_goes_on_after_a_queueing_lock_was_taken(app: adjourn.App, database: str) -> None:
    await app.configure_task("any", queueing_lock="one").defer_async()
    async with await AsyncConnection.connect(database) as connection:
        once = app.configure_task("any", queueing_lock="one", connection=connection)
        free = app.configure_task("any", queueing_lock="two", connection=connection)
        with pytest.raises(exceptions.AlreadyEnqueued, match="queueing lock 'one'"):
            await once.defer_async()
        first = await free.defer_async()
        twice = [Job(queue="q", task_name="any", queueing_lock=lock) for lock in (None, "three", "three")]
        with pytest.raises(exceptions.AlreadyEnqueued, match="queueing lock 'three'"):
            await app.job_manager.batch_defer_jobs_async(twice, connection=connection)
        await connection.commit()
    jobs = await app.job_manager.list_jobs_async()
    assert [job.queueing_lock for job in jobs] == ["one", "two"]
    assert jobs[1].id == first


async def test_a_waiting_job_can_be_cancelled_and_deleted(app: adjourn.App) -> None:
    ids = await app.configure_task("any").batch_defer_async({}, {})
    assert await app.job_manager.cancel_job_by_id_async(ids[0])
    assert await app.job_manager.cancel_job_by_id_async(ids[1], delete_job=True)
    assert await app.job_manager.get_job_status_async(ids[0]) == "cancelled"
    with pytest.raises(exceptions.NoResult, match=f"no job {ids[1]}"):
        await app.job_manager.get_job_status_async(ids[1])
    assert not await app.job_manager.cancel_job_by_id_async(ids[0], abort=True)
    assert not await app.job_manager.cancel_job_by_id_async(-1)


async def test_a_waiting_job_can_be_rescheduled(app: adjourn.App) -> None:
    job_id = await app.configure_task("any", queueing_lock="q").defer_async()
    await app.job_manager.retry_job_by_id_async(job_id, FUTURE, priority=4, queue="later", lock="new")
    (job,) = await app.job_manager.list_jobs_async(id=job_id)
    assert (job.scheduled_at, job.priority, job.queue, job.lock, job.attempts) == (FUTURE, 4, "later", "new", 0)
    assert job.queueing_lock == "q"


async def test_a_finished_job_comes_back_with_its_id(app: adjourn.App) -> None:
    job_id = await app.configure_task("any", task_kwargs={"x": 1}).defer_async()
    await app.job_manager.cancel_job_by_id_async(job_id)
    (cancelled,) = await app.job_manager.list_jobs_async()
    await app.job_manager.retry_job_async(cancelled)
    (job,) = await app.job_manager.list_jobs_async()
    assert (job.id, job.status, job.attempts, job.task_kwargs) == (job_id, "todo", 0, {"x": 1})


async def test_retrying_what_is_not_there_is_refused(app: adjourn.App) -> None:
    with pytest.raises(exceptions.NoResult, match="no job 999999"):
        await app.job_manager.retry_job_by_id_async(999_999)
    with pytest.raises(exceptions.InvalidOption, match="retry_at"):
        await app.job_manager.retry_job_by_id_async(1, datetime.datetime(2100, 1, 1))


async def test_jobs_are_listed_by_what_they_are(app: adjourn.App) -> None:
    first = await app.configure_task("one", queue="a", lock="l").defer_async()
    second = await app.configure_task("two", queue="b", queueing_lock="q").defer_async()
    third = await app.configure_task("two", queue="a").defer_async()
    await app.job_manager.cancel_job_by_id_async(third)
    manager = app.job_manager
    assert [job.id for job in await manager.list_jobs_async()] == [first, second, third]
    assert [job.id for job in await manager.list_jobs_async(id=second)] == [second]
    assert [job.id for job in await manager.list_jobs_async(queue="a")] == [first, third]
    assert [job.id for job in await manager.list_jobs_async(task="two")] == [second, third]
    assert [job.id for job in await manager.list_jobs_async(status="cancelled")] == [third]
    assert [job.id for job in await manager.list_jobs_async(lock="l")] == [first]
    assert [job.id for job in await manager.list_jobs_async(queueing_lock="q")] == [second]
    assert [job.id for job in await manager.list_jobs_async(worker_id=1)] == []
    assert [job.id for job in await manager.list_jobs_async(limit=2)] == [first, second]
    assert [job.id for job in await manager.list_jobs_async(limit=2, after_id=second)] == [third]
    with pytest.raises(exceptions.InvalidOption, match=r"status='finished': pass one of 'todo'"):
        await manager.list_jobs_async(status="finished")


async def test_queues_tasks_and_locks_are_counted(app: adjourn.App) -> None:
    await app.configure_task("one", queue="a", lock="l").batch_defer_async({}, {})
    cancelled = await app.configure_task("two", queue="b").defer_async()
    await app.job_manager.cancel_job_by_id_async(cancelled)
    nothing = {"doing": 0, "succeeded": 0, "failed": 0, "aborted": 0}
    waiting = {"jobs_count": 2, "todo": 2, "cancelled": 0, **nothing}
    taken_back = {"jobs_count": 1, "todo": 0, "cancelled": 1, **nothing}
    assert await app.job_manager.list_queues_async() == [{"name": "a", **waiting}, {"name": "b", **taken_back}]
    assert await app.job_manager.list_tasks_async() == [{"name": "one", **waiting}, {"name": "two", **taken_back}]
    assert await app.job_manager.list_locks_async() == [{"name": "l", **waiting}]
    assert await app.job_manager.list_queues_async(task="two") == [{"name": "b", **taken_back}]


async def test_old_jobs_are_deleted_by_status_and_queue(app: adjourn.App) -> None:
    ids = [await app.configure_task("any", queue=queue).defer_async() for queue in ("a", "b")]
    for job_id in ids:
        await app.job_manager.cancel_job_by_id_async(job_id)
    assert await app.job_manager.delete_old_jobs_async(0) == 0
    assert await app.job_manager.delete_old_jobs_async(1, include_cancelled=True) == 0
    assert await app.job_manager.delete_old_jobs_async(0, queue="a", include_cancelled=True) == 1
    assert [job.id for job in await app.job_manager.list_jobs_async()] == [ids[1]]


async def test_running_jobs_of_silent_workers_are_stalled(app: adjourn.App) -> None:
    job_id = await app.configure_task("any").defer_async()
    connector = app.connector.get_async_connector()
    await connector.execute_async(Statement("claim", "update adjourn.adjourn_jobs set worker_id = 123"))
    (job,) = await app.job_manager.get_stalled_jobs_async()
    assert (job.id, job.status, job.worker_id) == (job_id, "doing", 123)
    assert await app.job_manager.get_stalled_jobs_async(queue="other") == []


async def test_the_connection_is_checked(app: adjourn.App) -> None:
    assert await app.check_connection_async() is True
    await app.close_async()
    with pytest.raises(exceptions.AppNotOpen):
        await app.check_connection_async()


async def test_a_database_without_the_schema_is_told_from_an_older_one_and_the_command_named(
    app: adjourn.App, database: str
) -> None:
    bare = adjourn.App(connector=adjourn.PsycopgConnector(database), schema="nowhere")
    await bare.open_async()
    try:
        with pytest.raises(exceptions.SchemaOutOfDate, match=r"no adjourn schema .*schema --apply"):
            await bare.configure_task("any").defer_async()
        assert await bare.check_connection_async() is False
    finally:
        await bare.close_async()
