"""What a type checker says to those who defer jobs. Lines marked `refused` must be errors; all others must be none."""

from __future__ import annotations

import datetime
from typing import Any, assert_type

import adjourn
from adjourn.jobs import JobDeferrer
from adjourn.types import ConfigureOptions

app = adjourn.App(connector=adjourn.PsycopgConnector())
blueprint = adjourn.Blueprint()


@app.task
def bare(number: int, text: str = "") -> str:
    return text * number


@app.task(name="add", aliases=["plus"], retry=3, queue="math", priority=1, lock="l", queueing_lock="q")
def add(a: int, b: int = 0) -> int:
    return a + b


@app.task(pass_context=True)
def with_context(context: adjourn.JobContext, a: int) -> None:
    assert_type(context.should_abort(), bool)


@app.task(queue="slow", timeout=60)
async def asynchronous(seconds: float) -> bytes:
    return b""


@app.task(pass_context=True)
async def asynchronous_with_context(context: adjourn.JobContext, *, text: str) -> None: ...


@blueprint.task(name="of_blueprint")
def of_blueprint(a: int) -> None: ...


@app.periodic(cron="0 * * * *", periodic_id="hourly")
@app.task
def tick(timestamp: int) -> None: ...


# A task is still its function.

assert_type(bare(1, text="a"), str)
assert_type(add(1, 2), int)
bare("one")  # refused: arg-type | reportArgumentType
add()  # refused: call-arg | reportCallIssue


async def call() -> None:
    assert_type(await asynchronous(seconds=1), bytes)


# What is deferred fits the function.

assert_type(bare.defer(number=1, text="a"), int)
assert_type(bare.defer(number=1), int)
bare.defer(number="one")  # refused: arg-type | reportArgumentType
bare.defer(nummer=1, number=1)  # refused: call-arg | reportCallIssue
bare.defer(text="a")  # refused: call-arg | reportCallIssue
add.defer(a=1)
add.defer(b=1)  # refused: call-arg | reportCallIssue
add.defer(a=1, b=None)  # refused: arg-type | reportArgumentType
of_blueprint.defer(a=1)
of_blueprint.defer(a="x")  # refused: arg-type | reportArgumentType

# The terms of a job.

add.configure(expires_in=60, max_attempts=0).defer(a=1)
add.configure(expires_in={"minutes": 5}).defer(a=1)
add.configure(expires_at=datetime.datetime.now(datetime.UTC))
add.configure(expires_in="1")  # refused: call-overload | reportCallIssue, reportArgumentType
add.configure(max_attempts="1")  # refused: call-overload | reportCallIssue, reportArgumentType

# Batch tasks.


@app.task(batch=adjourn.Batch(5, wait=0.1), retry=3)
def together(jobs: list[adjourn.BatchItem]) -> None:
    for each in jobs:
        each.succeed(each.kwargs["a"])
        each.fail("error")  # refused: arg-type | reportArgumentType


@app.task(batch=adjourn.Batch(5))  # refused: arg-type | reportArgumentType
def apart(a: int) -> None: ...


@app.task(batch=adjourn.Batch(5))
async def together_async(jobs: list[adjourn.BatchItem]) -> None: ...


together.defer(a=1)
together.batch_defer({"a": 1}, {"a": 2})
adjourn.Batch("5")  # refused: arg-type | reportArgumentType

# The context is none of the caller's business.

with_context.defer(a=1)
with_context.defer()  # refused: call-arg | reportCallIssue
with_context.defer(a="one")  # refused: arg-type | reportArgumentType
asynchronous_with_context.defer(text="a")
asynchronous_with_context.defer(text=1)  # refused: arg-type | reportArgumentType

# A periodic task stays the task that it was.

assert_type(tick(1), None)
tick.defer(timestamp=1)
tick.defer()  # refused: call-arg | reportCallIssue


# Both colours take the same; one is to be awaited.


async def deferring() -> None:
    assert_type(await bare.defer_async(number=1), int)
    await bare.defer_async(number="one")  # refused: arg-type | reportArgumentType
    await asynchronous.defer_async(seconds=0.5)
    await asynchronous.defer_async(seconds="soon")  # refused: arg-type | reportArgumentType
    await asynchronous.defer_async()  # refused: call-arg | reportCallIssue
    await bare.defer(number=1)  # refused: misc | reportGeneralTypeIssues
    assert_type(await add.batch_defer_async({"a": 1}, {"a": 2}), list[int])
    assert_type(await add.configure(queue="q").defer_async(a=1), int)
    assert_type(await app.configure_task("add").defer_async(a=1), int)


assert_type(add.batch_defer({"a": 1}, {"a": 2}), list[int])
add.batch_defer(1)  # refused: arg-type | reportArgumentType

# Options.

assert_type(app.configure_task("add"), JobDeferrer)
assert_type(add.configure(queue="q", priority=1, schedule_in={"minutes": 5}).defer(a=1), int)
add.configure(schedule_at=datetime.datetime.now(datetime.UTC), lock="l", queueing_lock="q", task_kwargs={"a": 1})
add.configure(queue=1)  # refused: call-overload | reportCallIssue, reportArgumentType
add.configure(colour="red")  # refused: call-overload | reportCallIssue
add.configure(priority="high")  # refused: call-overload | reportCallIssue, reportArgumentType
add.configure(schedule_in={"fortnights": 1})  # refused: call-overload | reportCallIssue, reportArgumentType
add.configure(schedule_at="tomorrow")  # refused: call-overload | reportCallIssue, reportArgumentType
assert_type(app.configure_task("add", allow_unknown=False, queue="q").batch_defer({"a": 1}), list[int])
app.configure_task("add", queue=1)  # refused: arg-type | reportArgumentType
app.configure_task("add", colour="red")  # refused: call-arg | reportCallIssue

# With options, too, what is deferred fits the function.

assert_type(add.configure(queue="q").defer(a=1, b=2), int)
add.configure(queue="q").defer(b=1)  # refused: call-arg | reportCallIssue
add.configure().defer(a="one")  # refused: arg-type | reportArgumentType
add.configure(lock="l").defer(a=1, c=2)  # refused: call-arg | reportCallIssue
with_context.configure(priority=1).defer(a=1)
with_context.configure(priority=1).defer()  # refused: call-arg | reportCallIssue
with_context.configure(priority=1).defer(context=1, a=1)  # refused: call-arg | reportCallIssue
asynchronous_with_context.configure(queue="q").defer(text="a")
asynchronous_with_context.configure(queue="q").defer(text=1)  # refused: arg-type | reportArgumentType
of_blueprint.configure(queue="q").defer(a=1)
of_blueprint.configure(queue="q").defer(a="x")  # refused: arg-type | reportArgumentType
tick.configure(queue="q").defer(timestamp=1)
tick.configure(queue="q").defer()  # refused: call-arg | reportCallIssue
bare.bound_to(app).configure(queue="q").defer(number=1)
bare.bound_to(app).configure(queue="q").defer(nummer=1)  # refused: call-arg | reportCallIssue


async def deferring_with_options() -> None:
    assert_type(await asynchronous.configure(connection=object()).defer_async(seconds=1), int)
    await asynchronous.configure(connection=object()).defer_async()  # refused: call-arg | reportCallIssue
    await add.configure(queue="q").defer_async(a="x")  # refused: arg-type | reportArgumentType


# Which arguments are missing after `task_kwargs` no type checker knows.

assert_type(add.configure(task_kwargs={"a": 1}).defer(b=2), int)
maybe: dict[str, Any] | None = {"a": 1} if app.check_connection() else None
add.configure(task_kwargs=maybe).defer()
some: ConfigureOptions = {"queue": "q"}
add.configure(**some).defer(a=1)


def later(deferrer: JobDeferrer) -> int:
    return deferrer.defer(anything=1)


later(add.configure(queue="q"))
later(app.configure_task("add"))


# Unique jobs.

skipping = adjourn.Unique(args=["a"], period=60, over=["todo", adjourn.Status.DOING], on_conflict="skip")
adjourn.Unique(on_conflict="ignore")  # refused: arg-type | reportArgumentType
adjourn.Unique(key=5)  # refused: arg-type | reportArgumentType
adjourn.Unique("key")  # refused: call-arg | reportCallIssue


@app.task(unique=skipping)
def once(a: int) -> None: ...


assert_type(once.defer(a=1), int)
assert_type(once.configure(unique=skipping).defer(a=1), int)
once.configure(unique="a")  # refused: call-overload | reportCallIssue, reportArgumentType
deferred = app.job_manager.defer_jobs([once.configure().make_new_job(a=1)])
assert_type(deferred, list[adjourn.Deferred])
assert_type(deferred[0].id, int)
