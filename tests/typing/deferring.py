"""What a type checker says to those who defer jobs. Lines marked `refused` must be errors; all others must be none."""

from __future__ import annotations

import datetime
from typing import assert_type

import adjourn
from adjourn.jobs import JobDeferrer

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

assert_type(add.configure(), JobDeferrer)
assert_type(add.configure(queue="q", priority=1, schedule_in={"minutes": 5}).defer(a=1), int)
add.configure(schedule_at=datetime.datetime.now(datetime.UTC), lock="l", queueing_lock="q", task_kwargs={"a": 1})
add.configure(queue=1)  # refused: arg-type | reportArgumentType
add.configure(colour="red")  # refused: call-arg | reportCallIssue
add.configure(priority="high")  # refused: arg-type | reportArgumentType
add.configure(schedule_in={"fortnights": 1})  # refused: arg-type | reportArgumentType
add.configure(schedule_at="tomorrow")  # refused: arg-type | reportArgumentType
assert_type(app.configure_task("add", allow_unknown=False, queue="q").batch_defer({"a": 1}), list[int])
app.configure_task("add", queue=1)  # refused: arg-type | reportArgumentType
app.configure_task("add", colour="red")  # refused: call-arg | reportCallIssue
