"""What a type checker says to those who declare tasks. Lines marked `refused` must be errors; all others must be none."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable
from typing import Any, assert_type

import adjourn
from adjourn.jobs import Job, JobCounts, StoredJob
from adjourn.manager import JobManager
from adjourn.middleware import TaskMiddleware, WorkerMiddleware
from adjourn.schema import SchemaManager
from adjourn.tasks import Task
from adjourn.worker import Worker

connector = adjourn.SyncPsycopgConnector(conninfo="", min_size=1)
app = adjourn.App(
    connector=connector,
    import_paths=["tasks"],
    worker_defaults={"concurrency": 3, "queues": ["a"], "delete_jobs": "never", "additional_context": {"a": 1}},
    periodic_defaults={"max_delay": 60},
)
adjourn.App()  # refused: call-arg | reportCallIssue
adjourn.App(connector=None)  # refused: arg-type | reportArgumentType
adjourn.App(connector=connector, worker_defaults={"speed": 3})  # refused: arg-type | reportArgumentType
adjourn.App(connector=connector, worker_defaults={"concurrency": "3"})  # refused: arg-type | reportArgumentType
assert_type(adjourn.App.from_path("tasks.app"), adjourn.App)
assert_type(app.with_connector(adjourn.PsycopgConnector()), adjourn.App)


assert_type(JobManager(app.connector).list_jobs(), list[Job])
assert_type(SchemaManager(connector).get_version(), int)


# Rows


def rows(manager: JobManager) -> None:
    (counts,) = manager.list_queues()
    assert_type(counts, JobCounts)
    assert_type(counts.name, str)
    assert_type(counts.succeeded, int)
    assert_type(counts["succeeded"], Any)
    print(counts.suceeded)  # refused: attr-defined | reportAttributeAccessIssue
    assert_type(manager.list_tasks(), list[JobCounts])
    assert_type(manager.list_locks(live_only=True), list[JobCounts])
    (schedule,) = manager.list_schedules()
    assert_type(schedule.next_tick, datetime.datetime | None)
    assert_type(schedule.last_job_id, int | None)
    (worker,) = manager.list_workers()
    assert_type(worker.queues, tuple[str, ...] | None)
    assert_type(worker.last_heartbeat_at, datetime.datetime)
    as_dictionaries: list[dict[str, Any]] = [counts, schedule, worker]
    print(as_dictionaries)
    assert_type(manager.get_result(1), Any)


# Results

stored = adjourn.App(connector=connector, store_results=True, result_ttl=float("inf"))
adjourn.App(connector=connector, store_results=1)  # refused: arg-type | reportArgumentType


@app.task(store_result=True, result_ttl=60, max_result_size=1000)
def with_result() -> int:
    return 1


assert_type(with_result(), int)
assert_type(with_result.get_result(1, timeout=5), int)
wrong: str = with_result.get_result(1)  # refused: assignment | reportAssignmentType


@app.task(store_result=True)
async def with_a_later_result(a: int) -> list[str]:
    return [str(a)]


async def results() -> None:
    assert_type(await with_a_later_result.get_result_async(1, timeout=None), list[str])
    assert_type(with_a_later_result.get_result(1), list[str])
    assert_type(await app.job_manager.wait_for_job_async(1, timeout=5), adjourn.Job)
    assert_type(await app.job_manager.wait_for_jobs_async([1]), list[adjourn.Job])
    progress = await app.job_manager.get_progress_async(1)
    if progress is not None:
        assert_type(progress.total, float | None)


def workflow(context: adjourn.JobContext) -> None:
    flow = app.workflow("import")
    group = flow.map(with_a_later_result, [{"a": 1}])
    flow.add(with_result, depends_on={"pages": group}, run_if="all_done")
    flow.add(with_result, run_if="sometimes")  # refused: arg-type | reportArgumentType
    flow.add(len)  # refused: arg-type | reportArgumentType
    assert_type(flow.defer().id, int)
    assert_type(app.job_manager.wait_for_workflow(1, timeout=5).remaining, int)
    assert_type(context.parent_results(), dict[str, Any])
    assert_type(context.parent_jobs(), dict[str, Any])
    context.set_progress(1, 2, "half")
    context.set_progress("1")  # refused: arg-type | reportArgumentType


app.task(store_result="yes")  # refused: call-overload | reportArgumentType

# Retries


class Strategy(adjourn.BaseRetryStrategy):
    def get_retry_decision(self, *, exception: BaseException, job: Job) -> adjourn.RetryDecision | None:
        if job.attempts > 3:
            return None
        return adjourn.RetryDecision(retry_in={"seconds": 2}, priority=1, queue="q", lock="l")


@app.task(retry=True)
def retried() -> None: ...


@app.task(retry=Strategy())
def retried_by_strategy() -> None: ...


@app.task(retry=adjourn.RetryStrategy(max_attempts=3, wait=1, retry_exceptions=[ConnectionError]))
def retried_on_some() -> None: ...


adjourn.RetryStrategy(max_attempts="3")  # refused: arg-type | reportArgumentType
adjourn.RetryStrategy(3)  # refused: call-arg | reportCallIssue
adjourn.RetryStrategy(waiting=3)  # refused: call-arg | reportCallIssue
adjourn.RetryStrategy(retry_exceptions=[ValueError()])  # refused: list-item | reportArgumentType
adjourn.RetryDecision(retry_at=datetime.datetime.now(datetime.UTC))
adjourn.RetryDecision(retry_at=5)  # refused: arg-type | reportArgumentType
adjourn.RetryDecision(retry_in={"fortnights": 5})  # refused: arg-type | reportArgumentType


# Contexts


@app.task(pass_context=True)
def with_context(context: adjourn.JobContext, a: int) -> int:
    assert_type(context.job, StoredJob)
    assert_type(context.job.id, int)
    jobs: list[Job] = [context.job]
    print(jobs[0].id + 1)  # refused: operator | reportOptionalOperand
    assert_type(context.evolve(job=jobs[0]), adjourn.JobContext)
    assert_type(context.app, adjourn.App)
    assert_type(context.task, Task[Any, Any, Any])
    assert_type(context.job.task_kwargs, dict[str, Any])
    assert_type(context.job.scheduled_at, datetime.datetime | None)
    assert_type(context.start_timestamp, float)
    print(context.colour)  # refused: attr-defined | reportAttributeAccessIssue
    context.job.id = 1  # refused: misc | reportAttributeAccessIssue
    return a


@app.task(pass_context=True)  # refused: type-var | reportArgumentType
def without_context(a: int) -> None: ...


assert_type(with_context(adjourn.JobContext(app=app, job=Job(queue="q", task_name="t"), start_timestamp=1.0), 1), int)


# Middleware


def around(call_next: Callable[[], Any], context: adjourn.JobContext, worker: Worker) -> Any:
    return call_next()


async def around_async(call_next: Callable[[], Awaitable[Any]], context: adjourn.JobContext, worker: Worker) -> Any:
    return await call_next()


@app.task(task_middleware=[around])
def wrapped() -> None: ...


@app.task(task_middleware=[around_async])
async def wrapped_async() -> None: ...


app.run_worker(worker_middleware=[around_async], task_middleware=[around, around_async], concurrency=2)
around_this_task: TaskMiddleware = around
around_every_job: WorkerMiddleware = around_async
app.run_worker(worker_middleware=[around_every_job], task_middleware=[around_this_task])


def around_another(call_next: Callable[[], Any], context: int, worker: Worker) -> Any: ...


around_this_task = around_another  # refused: assignment | reportAssignmentType
app.run_worker(worker_middleware=[1])  # refused: list-item | reportArgumentType
app.run_worker(speed=2)  # refused: call-arg | reportCallIssue
app.run_worker(concurrency="2")  # refused: arg-type | reportArgumentType

# Periodic tasks and blueprints

app.periodic(cron="* * * * *")(retried)
app.periodic(cron=5)  # refused: arg-type | reportArgumentType
app.periodic()  # refused: call-arg | reportCallIssue
app.periodic(cron="* * * * *", colour="red")  # refused: call-arg | reportCallIssue
app.add_tasks_from(adjourn.Blueprint(), namespace="ns")
app.add_tasks_from(adjourn.Blueprint())  # refused: call-arg | reportCallIssue
app.add_task_alias(retried, "old")


# Open and closed

with app.open() as opened:
    assert_type(opened, adjourn.App)
assert_type(app.open(), adjourn.App)
assert_type(app.check_connection(), bool)
assert_type(app.job_manager.list_jobs(queue="q", status="todo"), list[Job])


async def main() -> None:
    async with app.open_async() as opened:
        assert_type(opened, adjourn.App)
    assert_type(await app.open_async(), adjourn.App)
    assert_type(await app.job_manager.list_jobs_async(limit=1, after_id=2), list[Job])
    assert_type(await app.job_manager.get_stalled_jobs_async(), list[Job])
    assert_type(app.job_manager.get_stalled_jobs(), list[Job])
    with app.open_async():  # refused: attr-defined | reportGeneralTypeIssues
        pass
    await app.close_async()
    await app.run_worker_async(wait=False)
    with app.replace_connector(adjourn.PsycopgConnector()) as replaced:
        assert_type(replaced, adjourn.App)
