"""A program as it is written for Procrastinate, of which only the import line is chosen: which queue it runs on.

It prints what it finds. Everything here is named as that project's documentation names it; what it prints is the same on
both, line for line, apart from the lines that the test that runs it knows to differ.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
import warnings

if os.environ.get("MIGRATED_TO") == "procrastinate":
    import procrastinate
    from procrastinate import exceptions, jobs, testing, types, utils
    from procrastinate.contrib.psycopg2 import Psycopg2Connector
    from procrastinate.contrib.sqlalchemy import SQLAlchemyPsycopg2Connector
    from procrastinate.exceptions import AlreadyEnqueued, ConnectorException, ProcrastinateException
    from procrastinate.job_context import AbortReason, JobContext
    from procrastinate.jobs import Job, Status
    from procrastinate.manager import JobManager
    from procrastinate.retry import BaseRetryStrategy, RetryDecision, RetryStrategy
    from procrastinate.schema import SchemaManager
    from procrastinate.tasks import Task
    from procrastinate.worker import Worker
else:
    import adjourn as procrastinate
    from adjourn import exceptions, jobs, testing, types, utils
    from adjourn.contrib.psycopg2 import Psycopg2Connector
    from adjourn.contrib.sqlalchemy import SQLAlchemyPsycopg2Connector
    from adjourn.exceptions import AlreadyEnqueued, ConnectorException, ProcrastinateException
    from adjourn.job_context import AbortReason, JobContext
    from adjourn.jobs import Job, Status
    from adjourn.manager import JobManager
    from adjourn.retry import BaseRetryStrategy, RetryDecision, RetryStrategy
    from adjourn.schema import SchemaManager
    from adjourn.tasks import Task
    from adjourn.worker import Worker

DSN = os.environ["MIGRATED_DSN"]
connector = procrastinate.PsycopgConnector(conninfo=DSN, min_size=1)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it is the main module on purpose
    app = procrastinate.App(
        connector=connector,
        import_paths=[],
        worker_defaults={"name": "migrated", "fetch_job_polling_interval": 0.2, "install_signal_handlers": False},
        periodic_defaults={"max_delay": 300},
    )
    blueprint = procrastinate.Blueprint()
told: list[str] = []
DIFFERENT = "(differs)"
"""What lines begin with that are known to differ."""


def tell(*words: object) -> None:
    """Print a line."""
    print(*words, flush=True)


# Quickstart


@app.task(queue="sums", name="add")
def add(a, b):
    told.append(f"add {a + b}")
    return a + b


@app.task(name="sleepy", queue="sums", aliases=["drowsy"])
async def sleepy(seconds: float) -> str:
    await asyncio.sleep(seconds)
    told.append("slept")
    return "done"


# Retry


@app.task(name="flaky_thrice", retry=2)
def flaky_thrice():
    told.append("flaky_thrice")
    raise ValueError("thrice")


@app.task(name="flaky_until", retry=True, pass_context=True)
def flaky_until(context, attempts):
    told.append(f"flaky_until {context.job.attempts}")
    if context.job.attempts < attempts:
        raise ConnectionError("not yet")


@app.task(name="picky", retry=RetryStrategy(max_attempts=5, retry_exceptions={ConnectionError}))
async def picky():
    told.append("picky")
    raise KeyError("not retried")


class Custom(BaseRetryStrategy):
    """Goes elsewhere after the first failure."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if job.attempts >= 1 or not isinstance(exception, ValueError):
            return None
        return RetryDecision(retry_in={"seconds": 0}, priority=7, queue="elsewhere", lock="retried")


@app.task(name="custom", retry=Custom(), pass_context=True)
def custom(context: JobContext):
    job = context.job
    told.append(f"custom {job.attempts} {job.queue} {job.priority} {job.lock}")
    raise ValueError


# Contexts, middleware, cancellation


@app.task(name="with_context", pass_context=True, queue="sums")
async def with_context(context: JobContext, *, greeting: str):
    told.append(
        f"{greeting} {context.additional_context['who']} {context.worker_name} {context.task.name} {context.job.task_name}"
        f" {context.should_abort()} {context.queues_display} {context.app is app}"
    )


def loud(call_next, context, worker):
    told.append(f"before {context.job.task_name}")
    try:
        return call_next()
    finally:
        told.append(f"after {context.job.task_name}")


async def counted(call_next, context, worker):
    told.append(f"worker before {context.job.task_name}")
    result = await call_next()
    told.append(f"worker after {context.job.task_name} {result}")
    return result


@app.task(name="wrapped", task_middleware=[loud], queue="middleware")
def wrapped():
    told.append("wrapped")
    return 5


@app.task(name="patient", pass_context=True, queue="abort")
async def patient(context: JobContext):
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        told.append(f"patient {context.abort_reason() is AbortReason.USER_REQUEST}")
        raise


@app.task(name="polling", pass_context=True, queue="abort")
def polling(context: JobContext):
    while not context.should_abort():
        time.sleep(0.02)
    told.append("polling")
    raise exceptions.JobAborted


# Periodic tasks and blueprints


@app.periodic(cron="* * * * *", periodic_id="every minute", queue="clock")
@app.task(name="tick", pass_context=True)
def tick(context, timestamp: int):
    told.append(f"tick {timestamp % 60} {context.job.queue}")


@blueprint.task(name="cook", aliases=["boil"], queue="kitchen")
async def cook(dish: str):
    told.append(f"cook {dish}")


app.add_tasks_from(blueprint, namespace="food")
app.add_task_alias(add, "addition")


def work(**options):
    """Run a worker in a program of its own loop, until no job is left, and print what its jobs told."""
    app.run_worker(wait=False, **options)
    for line in sorted(told):
        tell("  ", line)
    told.clear()


def show(**filters):
    """Print jobs."""
    for job in app.job_manager.list_jobs(**filters):
        tell("  ", job.task_name, job.status, job.queue, job.priority, job.task_kwargs, job.lock)
        tell(DIFFERENT, job.task_name, job.attempts)


def refused(kind, function, *args, **kwargs):
    """Print whether a call is refused by an error of a kind."""
    try:
        function(*args, **kwargs)
    except kind as error:
        tell("  refused:", kind.__name__, isinstance(error, ProcrastinateException))
    else:
        tell("  not refused")


def quickstart():
    """Defer, configure, batch."""
    with app.open():
        tell(isinstance(add.defer(a=1, b=2), int), add(3, 4))
        add.configure(lock="l", priority=5, task_kwargs={"a": 10}).defer(b=1)
        tell(len(add.batch_defer({"a": 1, "b": 1}, {"a": 2, "b": 2})))
        tell(len(app.configure_task("food:cook", queue="kitchen").batch_defer({"dish": "soup"}, {"dish": "rice"})))
        app.configure_task(name="food:boil").defer(dish="egg")
        app.configure_task("drowsy", queue="sums").defer(seconds=0)
        add.configure(schedule_in={"hours": 1}).defer(a=0, b=0)
        refused(exceptions.TaskNotFound, app.configure_task, "unknown", allow_unknown=False)
        refused(exceptions.TaskAlreadyRegistered, app.add_task_alias, add, "food:cook")
    work(queues=["sums", "kitchen"], concurrency=2)
    with app.open():
        show(queue="sums")
        for counts in app.job_manager.list_queues(queue="kitchen"):
            tell("  ", counts["name"], counts["jobs_count"], counts["todo"], counts["succeeded"])
        tell([row["name"] for row in app.job_manager.list_tasks(task="add")])
        tell([row["name"] for row in app.job_manager.list_locks(lock="l")])


def retries():
    """Retries of each kind."""
    with app.open():
        flaky_thrice.defer()
        flaky_until.defer(attempts=2)
        picky.defer()
        custom.defer()
    work(queues=["default", "elsewhere"])
    with app.open():
        show(queue="default")
        show(queue="elsewhere")
        (failed,) = app.job_manager.list_jobs(task="picky")
        app.job_manager.retry_job_by_id(failed.id, retry_at=utils.utcnow(), queue="aside")
        tell([(job.status, job.queue) for job in app.job_manager.list_jobs(task="picky")])
    tell(RetryStrategy(max_attempts=1, wait=2, linear_wait=3, exponential_wait=4).max_attempts)
    strategy = RetryStrategy(wait=2, linear_wait=3, exponential_wait=4)
    job = Job(id=1, queue="q", lock=None, queueing_lock=None, task_name="t", attempts=1)
    tell(isinstance(strategy.get_retry_decision(exception=ValueError(), job=job), RetryDecision))


def locks():
    """Locks and queueing locks."""
    with app.open():
        once = add.configure(queueing_lock="once", queue="never")
        job_id = once.defer(a=1, b=1)
        refused(AlreadyEnqueued, once.defer, a=1, b=1)
        refused(AlreadyEnqueued, once.batch_defer, {"a": 1, "b": 1})
        tell(app.job_manager.cancel_job_by_id(job_id), app.job_manager.get_job_status(job_id) == Status.CANCELLED)
        tell(app.job_manager.cancel_job_by_id(job_id), isinstance(once.defer(a=1, b=1), int))
        (left,) = app.job_manager.list_jobs(queueing_lock="once", status="todo")
        tell(
            app.job_manager.cancel_job_by_id(left.id, delete_job=True), len(list(app.job_manager.list_jobs(id=left.id)))
        )
        refused(ConnectorException, app.job_manager.get_job_status, 987654321)


def contexts_and_middleware():
    """Contexts, task and worker middleware."""
    with app.open():
        with_context.defer(greeting="hello")
        wrapped.defer()
    work(queues=["sums"], additional_context={"who": "world"})
    work(queues=["middleware"], worker_middleware=[counted])
    tell(wrapped.task_middleware[0] is loud, with_context.pass_context, with_context.queue)


async def abort():
    """Abort what runs, and await where it is awaited; block beside the open app, in a thread."""
    async with app.open_async():
        ids = [await patient.defer_async(), *(await polling.batch_defer_async({}))]
        worker = asyncio.create_task(
            app.run_worker_async(queues=["abort"], concurrency=2, abort_job_polling_interval=0.1)
        )
        while len(list(await app.job_manager.list_jobs_async(queue="abort", status="doing"))) < 2:
            await asyncio.sleep(0.02)
        for job_id in ids:
            tell(
                await app.job_manager.cancel_job_by_id_async(job_id),
                await app.job_manager.cancel_job_by_id_async(job_id, abort=True),
            )
        while list(await app.job_manager.list_jobs_async(queue="abort", status="doing")):
            await asyncio.sleep(0.02)
        tell([str(job.status) for job in await app.job_manager.list_jobs_async(queue="abort")], sorted(told))
        told.clear()
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker
        (failed,) = await app.job_manager.list_jobs_async(task="flaky_thrice")
        tell(failed.status, [job.id for job in await app.job_manager.get_stalled_jobs()])
        await app.job_manager.delete_old_jobs(nb_hours=0, queue="abort", include_aborted=True)
        tell(len(list(await app.job_manager.list_jobs_async(queue="abort"))))
        tell(await app.check_connection_async())


async def sync_defer_beside_async():
    """A thread defers with the blocking form while the loop has the app open."""
    async with app.open_async():
        deferred: list[int] = []
        thread = threading.Thread(target=lambda: deferred.append(add.configure(queue="threads").defer(a=1, b=1)))
        thread.start()
        await asyncio.to_thread(thread.join)
        tell(len(deferred), len(list(await app.job_manager.list_jobs_async(queue="threads"))))


def periodic():
    """The tick of this minute."""
    for _ in range(2):
        app.run_worker(wait=False, queues=["clock"])
    # A minute may have ended meanwhile.
    tell(sorted(set(told)))
    told.clear()


def other_connectors():
    """Other connectors on the same tasks, and tests in memory."""
    synchronous = app.with_connector(procrastinate.SyncPsycopgConnector(conninfo=DSN))
    with synchronous.open():
        synchronous.configure_task("known elsewhere", queue="with connector").defer(a=1, b=1)
        tell(len(synchronous.job_manager.list_jobs(queue="with connector")), synchronous.check_connection())
    for kind, options in (
        (Psycopg2Connector, {"dsn": DSN}),
        (SQLAlchemyPsycopg2Connector, {"dsn": DSN.replace("://", "+psycopg2://", 1)}),
    ):
        with app.replace_connector(kind(**options)) as replaced, replaced.open():
            add.configure(queue="replaced").defer(a=1, b=1)
    memory = testing.InMemoryConnector()
    with app.replace_connector(memory), app.open():
        add.configure(queue="memory").defer(a=1, b=1)
        tell(len(memory.jobs), [job["task_name"] for job in memory.jobs.values()])
        app.run_worker(wait=False, queues=["memory"])
        tell([job["status"] for job in memory.jobs.values() if job["task_name"] == "add"], told)
        told.clear()
        memory.reset()
        tell(len(memory.jobs))
    with app.open():
        tell(len(app.job_manager.list_jobs(queue="replaced")), len(app.job_manager.list_jobs(queue="memory")))


def names():
    """Names and attributes that programs look at."""
    tell(app.connector is connector, sorted(name for name in app.tasks if "builtin" not in name))
    tell(app.tasks["food:cook"].name, app.tasks["food:boil"] is app.tasks["food:cook"], cook.full_path)
    tell(add.name, add.queue, add.priority, add.lock, add.queueing_lock, add.retry_strategy, add.blueprint is app)
    tell(isinstance(add, Task), isinstance(app.job_manager, JobManager), isinstance(app.schema_manager, SchemaManager))
    tell(app.worker_defaults["name"], app.periodic_defaults, list(app.import_paths))
    job = Job(id=3, queue="q", lock=None, queueing_lock=None, task_name="t", task_kwargs={"a": 1})
    tell(job.call_string, job.evolve(id=4).id, job.asdict()["queue"], job.log_context()["call_string"])
    tell([status.value for status in Status], [each.value for each in jobs.DeleteJobCondition])
    tell(jobs.JobDeferrer.__name__, Worker.__name__, procrastinate.JobContext is JobContext, bool(types.JSONDict))
    refused(exceptions.UnboundTaskError, procrastinate.Blueprint().will_configure_task)
    refused(exceptions.LoadFromPathError, procrastinate.App.from_path, "no.such.app")
    refused(exceptions.SyncConnectorConfigurationError, asyncio.run, never())


async def never():
    """Ask a synchronous connector for what is to be awaited."""
    app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=DSN))
    await app.check_connection_async()


def main() -> None:
    """Run all of it."""
    with app.open():
        app.schema_manager.apply_schema()
    for section in (
        quickstart,
        retries,
        locks,
        contexts_and_middleware,
        abort,
        sync_defer_beside_async,
        periodic,
        other_connectors,
        names,
    ):
        tell(f"== {section.__name__}")
        asyncio.run(section()) if asyncio.iscoroutinefunction(section) else section()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
