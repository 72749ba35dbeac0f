"""What a task remembers over its runs: steps, sleeps, and events that it waits for; in memory as in Postgres."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn import events, exceptions
from adjourn.exceptions import DuplicateStep, EventTimeout, InvalidOption, InvalidResult, JobLost, JobSuspended
from adjourn.testing import InMemoryConnector
from support.bench import Bench
from support.waiting import until

pytestmark = pytest.mark.anyio

HOUR = 3600.0


@pytest.fixture
def app(app_in_both: adjourn.App) -> adjourn.App:
    return app_in_both


def count_steps(app: adjourn.App, observer: psycopg.Connection) -> int:
    """How many steps are stored."""
    if isinstance(app.connector, InMemoryConnector):
        return len(app.connector.store._tables.steps)
    row = observer.execute("select count(*) from adjourn.adjourn_steps").fetchone()
    assert row is not None
    return int(row[0])


# Runs that catch what ends them


def swallowing(app: adjourn.App, what: str, effects: list[str], is_async: bool) -> Any:
    """A task that catches what ends its run, and goes on."""
    if is_async:

        @app.task(name="bad", pass_context=True, retry=3)
        async def bad(context: adjourn.JobContext, other: int) -> None:
            try:
                if what == "sleep":
                    await context.sleep_async(HOUR)
                elif what == "event":
                    await context.wait_for_event_async("e")
                else:
                    await context.wait_for_jobs_async([other])
            except BaseException:
                effects.append("caught")

        return bad

    @app.task(name="bad", pass_context=True, retry=3)
    def bad_blocking(context: adjourn.JobContext, other: int) -> None:
        try:
            if what == "sleep":
                context.sleep(HOUR)
            elif what == "event":
                context.wait_for_event("e")
            else:
                context.wait_for_jobs([other])
        except BaseException:
            effects.append("caught")

    return bad_blocking


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("what", ["sleep", "event", "jobs"])
async def test_a_run_that_catches_what_ends_it_and_returns_fails_with_an_error_that_says_so(
    app: adjourn.App, bench: Bench, what: str, is_async: bool
) -> None:
    @app.task(name="other")
    async def other() -> None:
        pass

    effects: list[str] = []
    other_id = await other.configure(schedule_in={"hours": 1}).defer_async()
    job_id = await swallowing(app, what, effects, is_async).defer_async(other=other_id)
    await app.run_worker_async(wait=False, install_signal_handlers=False)
    (job,) = await app.job_manager.list_jobs_async(id=job_id)
    assert (job.status, effects) == ("failed", ["caught"])
    error = job.errors[-1]
    assert error["exception"] == "adjourn.exceptions.SuspensionIgnored"
    told = {"sleep": "sleeps for 3600 s", "event": "waits for the event 'e'", "jobs": "waits for another job"}[what]
    assert told in error["message"]
    assert "raise it again" in error["message"]
    assert f"context.{'sleep' if what == 'sleep' else 'wait_for'}" in error["traceback"]


async def test_a_run_that_has_caught_what_ends_it_does_nothing_more_that_lasts(
    app: adjourn.App, bench: Bench, pass_time: Callable[[float], None]
) -> None:
    calls: list[str] = []

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        try:
            await context.sleep_async(HOUR)
        except BaseException:
            calls.append("caught")
        finally:
            await context.step_async("charge", calls.append, "charged")
        await context.sleep_async(HOUR)
        calls.append("over")

    job_id = await work.defer_async()
    for _ in range(2):
        await app.run_worker_async(wait=False, install_signal_handlers=False)
        assert await bench.status(job_id) == "todo"
        pass_time(HOUR + 1)
    await app.run_worker_async(wait=False, install_signal_handlers=False)
    assert await bench.status(job_id) == "succeeded"
    assert calls == ["caught", "charged", "over"]


async def test_a_run_that_has_caught_what_ends_it_does_not_complete_its_job(app: adjourn.App, bench: Bench) -> None:
    seen: list[BaseException] = []

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        try:
            await context.sleep_async(HOUR)
        except BaseException as error:
            seen.append(error)
            await context.complete_async(object())

    job_id = await work.defer_async()
    await app.run_worker_async(wait=False, install_signal_handlers=False)
    assert await bench.status(job_id) == "todo"


async def test_a_run_that_fails_while_it_is_to_end_has_failed(app: adjourn.App, bench: Bench) -> None:
    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        try:
            await context.sleep_async(HOUR)
        finally:
            raise ValueError("the file cannot be closed")

    job_id = await work.defer_async()
    await app.run_worker_async(wait=False, install_signal_handlers=False)
    (job,) = await app.job_manager.list_jobs_async(id=job_id)
    assert (job.status, job.errors[-1]["exception"]) == ("failed", "builtins.ValueError")


async def test_tasks_of_a_group_sleep_and_wait_together(
    app: adjourn.App, bench: Bench, pass_time: Callable[[float], None]
) -> None:
    seen: list[str] = []

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        async with asyncio.TaskGroup() as group:
            event = group.create_task(context.wait_for_event_async("e"))
            group.create_task(context.sleep_async(HOUR, "short"))
            group.create_task(context.sleep_async(2 * HOUR, "long"))
        seen.append(event.result())

    job_id = await work.defer_async()
    await app.send_event_async("e", "sent")
    for number in range(5):  # the first that ends a run may do so before another has begun
        await app.run_worker_async(wait=False, install_signal_handlers=False)
        if await bench.status(job_id) != "todo":
            break
        assert number < 4
        pass_time(HOUR + 1)
    assert (await bench.status(job_id), seen) == ("succeeded", ["sent"])


# Steps


async def test_a_job_that_is_replaced_while_it_sleeps_remembers_nothing_of_its_old_arguments(
    app: adjourn.App, pass_time: Callable[[float], None], observer: psycopg.Connection
) -> None:
    seen: list[tuple[str, str]] = []
    rule = adjourn.Unique(key="story", over=["todo"], on_conflict="replace")

    @app.task(name="story", pass_context=True, unique=rule)
    async def story(context: adjourn.JobContext, user: str) -> None:
        async def greet() -> str:
            return user

        greeted = await context.step_async("greet", greet)
        await context.sleep_async(HOUR)
        seen.append((user, greeted))

    job_id = await story.defer_async(user="Ada")
    await app.run_worker_async(wait=False, install_signal_handlers=False)
    assert await story.defer_async(user="Grace") == job_id
    assert count_steps(app, observer) == 0
    for _ in range(2):
        await app.run_worker_async(wait=False, install_signal_handlers=False)
        pass_time(HOUR + 1)
    await app.run_worker_async(wait=False, install_signal_handlers=False)
    assert seen == [("Grace", "Grace")]


async def test_a_step_is_called_once_over_retries(app: adjourn.App, bench: Bench, observer: psycopg.Connection) -> None:
    calls: list[str] = []
    seen: list[Any] = []

    async def charge(order: int, *, currency: str) -> dict[str, Any]:
        calls.append("charge")
        return {"order": order, "currency": (currency,)}

    def mail(number: int) -> None:
        calls.append(f"mail {number}")

    @app.task(pass_context=True, retry=5)
    async def work(context: adjourn.JobContext, order: int) -> None:
        seen.append(await context.step_async("charge", charge, order, currency="EUR"))
        for number in range(3):
            await context.step_async(f"mail {number}", mail, number)
            if context.job.attempts == number:
                raise ValueError

    job_id = await work.defer_async(order=7)
    await bench.drain()
    assert await bench.status(job_id) == "succeeded"
    assert calls == ["charge", "mail 0", "mail 1", "mail 2"]
    # What a step returns has become JSON and back, in the first run, too.
    assert seen == [{"order": 7, "currency": ["EUR"]}] * 4
    assert count_steps(app, observer) == 0


async def test_a_step_of_a_blocking_task_is_called_once(app: adjourn.App, bench: Bench) -> None:
    calls: list[int] = []

    def add(a: int, b: int) -> int:
        calls.append(a)
        return a + b

    @app.task(pass_context=True, retry=2, store_result=True)
    def work(context: adjourn.JobContext) -> int:
        total = context.step("add", add, 1, b=2)
        if not context.job.attempts:
            raise ValueError
        return total

    job_id = await work.defer_async()
    await bench.drain()
    assert (await app.job_manager.get_result_async(job_id), calls) == (3, [1])


async def test_a_step_that_raises_is_not_remembered_and_may_be_tried_again(app: adjourn.App, bench: Bench) -> None:
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        if len(calls) < 4:
            raise ValueError

    @app.task(pass_context=True, retry=2)
    def work(context: adjourn.JobContext) -> None:
        with contextlib.suppress(ValueError):
            context.step("fail", fail)
        if len(calls) < 4:
            context.step("fail", fail)

    job_id = await work.defer_async()
    await bench.drain()
    assert (await bench.status(job_id), len(calls)) == ("succeeded", 4)


async def test_what_is_wrong_with_a_step_is_told(app: adjourn.App, bench: Bench) -> None:
    async def nothing() -> None:
        pass

    @app.task(pass_context=True)
    def work(context: adjourn.JobContext) -> None:
        context.step("one", int)
        with pytest.raises(DuplicateStep, match="'one'"):
            context.step("one", int)
        with pytest.raises(InvalidResult, match="The result of step 'two', of type"):
            context.step("two", object)
        with pytest.raises(exceptions.InvalidTaskArguments, match=r"await context\.step_async"):
            context.step("three", nothing)  # type: ignore[unused-coroutine]
        for called in (None, 7, ("receipt", 1)):
            with pytest.raises(
                exceptions.InvalidTaskArguments, match=r"^Step 'four': \w+ cannot be called\. Pass the function"
            ):
                context.step("four", called)  # type: ignore[arg-type]
        for bad in ("", 3, None, "\0", "\ud800"):
            with pytest.raises(InvalidOption, match="name"):
                context.step(bad, int)  # type: ignore[arg-type]
        for bad_seconds in (-1, float("nan"), float("inf"), True, "1", None):
            with pytest.raises(InvalidOption, match="seconds"):
                context.sleep(bad_seconds)  # type: ignore[arg-type]
        with pytest.raises(InvalidOption, match="timeout"):
            context.wait_for_event("e", timeout=-1)
        with pytest.raises(InvalidOption, match="name"):
            context.wait_for_event("")

    job_id = await work.defer_async()
    await bench.drain()
    job = await bench.job(job_id)
    assert (job.status, job.errors) == ("succeeded", ())


async def test_a_blocking_step_on_the_event_loop_names_the_other_form(app: adjourn.App, bench: Bench) -> None:
    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        if not isinstance(app.connector, InMemoryConnector):
            with pytest.raises(exceptions.WrongCaller, match="_async"):
                context.step("one", int)
        await context.step_async("one", int)

    job_id = await work.defer_async()
    await bench.drain()
    assert (await bench.job(job_id)).errors == ()


async def test_a_failed_job_that_is_retried_by_hand_goes_on(
    app: adjourn.App, bench: Bench, observer: psycopg.Connection
) -> None:
    calls: list[int] = []

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        await context.step_async("one", calls.append, 1)
        if not context.job.attempts:
            raise ValueError

    job_id = await work.defer_async()
    await bench.drain()
    assert await bench.status(job_id) == "failed"
    assert count_steps(app, observer) == 1
    await app.job_manager.retry_job_by_id_async(job_id)
    await bench.drain()
    assert (await bench.status(job_id), calls) == ("succeeded", [1])
    assert count_steps(app, observer) == 0


async def test_a_step_of_a_run_that_has_lost_its_job_is_refused(app: adjourn.App, bench: Bench) -> None:
    calls: list[int] = []
    refused: list[BaseException] = []

    @app.task(pass_context=True)
    def work(context: adjourn.JobContext) -> None:
        if context.job.claim == 1:
            app.job_manager.retry_job_by_id(context.job.id)
            until(lambda: calls)
        try:
            context.step("one", calls.append, context.job.claim)
        except JobLost as error:
            refused.append(error)
            raise

    job_id = await work.defer_async()
    async with bench.working(concurrency=2):
        await bench.ended(job_id)
        # The first run calls its step, and learns only then.
        await bench.until(lambda: refused)
    assert sorted(calls) == [1, 2]
    assert (await bench.job(job_id)).errors == ()


async def test_only_a_job_that_may_have_steps_reads_them() -> None:
    connector = InMemoryConnector()
    app = adjourn.App(connector=connector)
    bench = Bench(app)

    @app.task(pass_context=True, retry=1)
    async def work(context: adjourn.JobContext, uses: bool) -> None:
        if uses:
            await context.step_async("one", int)
            await context.step_async("two", int)
        if not context.job.attempts:
            raise ValueError

    await work.defer_async(uses=False)
    await bench.drain()
    await work.defer_async(uses=True)
    await bench.drain()
    names = [name for name, _ in connector.queries]
    # The first run knows that there are none; the second reads once.
    assert (names.count("list_steps"), names.count("store_step")) == (1, 2)


async def test_nothing_is_remembered_after_a_completion(database: str, bench: Bench) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    refused: list[str] = []

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        async with context.transaction_async() as connection:
            await context.complete_async(connection)
            for call in (
                lambda: context.step_async("x", int),
                lambda: context.sleep_async(HOUR),
                lambda: context.wait_for_event_async("x"),
            ):
                with pytest.raises(exceptions.WrongCaller) as caught:
                    await call()
                refused.append(str(caught.value))

    async with app.open_async():
        job_id = await work.defer_async()
        await Bench(app).drain()
        assert await Bench(app).status(job_id) == "succeeded"
    assert len(refused) == 3


# Sleeping


async def test_a_job_sleeps_without_a_worker(
    app: adjourn.App, bench: Bench, pass_time: Callable[[float], None], observer: psycopg.Connection
) -> None:
    passed: list[str] = []
    told: list[events.JobSuspended] = []
    app.events.subscribe(events.JobSuspended, told.append)

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        passed.append("begins")
        await context.sleep_async(HOUR)
        passed.append("first")
        await context.sleep_async(HOUR, name="again")
        passed.append("second")

    job_id = await work.defer_async()
    for _ in range(2):
        await bench.drain()
        job = await bench.job(job_id)
        assert (job.status, job.attempts, job.worker_id, job.errors) == ("todo", 0, None, ())
        assert job.scheduled_at is not None
        pass_time(HOUR + 1)
    await bench.drain()
    job = await bench.job(job_id)
    assert (job.status, job.attempts) == ("succeeded", 1)
    assert passed == ["begins", "begins", "first", "begins", "first", "second"]
    assert [event.event for event in told] == [None, None]
    assert count_steps(app, observer) == 0


async def test_a_blocking_task_sleeps_as_well(
    app: adjourn.App, bench: Bench, pass_time: Callable[[float], None]
) -> None:
    cleaned: list[int] = []

    @app.task(pass_context=True)
    def work(context: adjourn.JobContext) -> None:
        try:
            context.sleep(HOUR)
        except Exception:
            cleaned.append(0)
        finally:
            cleaned.append(1)

    job_id = await work.defer_async()
    await bench.drain()
    assert await bench.status(job_id) == "todo"
    pass_time(HOUR + 1)
    await bench.drain()
    assert (await bench.status(job_id), cleaned) == ("succeeded", [1, 1])


async def test_a_short_sleep_stays_in_the_worker(app: adjourn.App, bench: Bench) -> None:
    slept: list[float] = []

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        began = time.monotonic()
        await context.sleep_async(0.05)
        slept.append(time.monotonic() - began)

    @app.task(pass_context=True)
    def blocking(context: adjourn.JobContext) -> None:
        began = time.monotonic()
        context.sleep(0.05)
        slept.append(time.monotonic() - began)

    ids = [await work.defer_async(), await blocking.defer_async()]
    await bench.drain()
    assert [(await bench.job(job_id)).status for job_id in ids] == ["succeeded"] * 2
    assert len(slept) == 2
    assert min(slept) >= 0.05


async def test_a_job_that_is_run_again_before_its_time_sleeps_on(
    app: adjourn.App, bench: Bench, pass_time: Callable[[float], None]
) -> None:
    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        await context.sleep_async(2 * HOUR)

    job_id = await work.defer_async()
    await bench.drain()
    pass_time(HOUR)
    await app.job_manager.retry_job_by_id_async(job_id)
    await bench.drain()
    assert await bench.status(job_id) == "todo"
    pass_time(HOUR + 1)
    await bench.drain()
    assert await bench.status(job_id) == "succeeded"


async def test_the_lock_is_free_while_a_job_sleeps(
    app: adjourn.App, bench: Bench, pass_time: Callable[[float], None]
) -> None:
    order: list[str] = []

    @app.task(pass_context=True, lock="l")
    async def work(context: adjourn.JobContext, name: str, sleeps: bool) -> None:
        if sleeps:
            await context.sleep_async(HOUR)
        order.append(name)

    await work.batch_defer_async({"name": "a", "sleeps": True}, {"name": "b", "sleeps": False})
    await bench.drain()
    pass_time(HOUR + 1)
    await bench.drain()
    assert order == ["b", "a"]


async def test_a_job_that_is_to_be_aborted_does_not_sleep(app: adjourn.App, bench: Bench) -> None:
    begun = asyncio.Event()

    @app.task(pass_context=True)
    def work(context: adjourn.JobContext) -> None:
        begun_at(context)
        while not context.should_abort():
            time.sleep(0.01)
        context.sleep(HOUR)

    def begun_at(context: adjourn.JobContext) -> None:
        loop.call_soon_threadsafe(begun.set)

    loop = asyncio.get_running_loop()
    job_id = await work.defer_async()
    async with bench.working(update_heartbeat_interval=0.05):
        await begun.wait()
        await app.job_manager.cancel_job_by_id_async(job_id, abort=True)
        await bench.ended(job_id, "aborted")


async def test_a_sleeping_job_wakes_by_itself(app: adjourn.App, bench: Bench) -> None:
    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        await context.sleep_async(1.2)

    async with bench.working(fetch_job_polling_interval=600):
        job_id = await work.defer_async()
        await bench.ended(job_id)


# Events


async def test_a_job_waits_for_an_event_without_a_worker(app: adjourn.App, bench: Bench) -> None:
    got: list[Any] = []

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext, order: int) -> None:
        got.append(await context.wait_for_event_async(f"order:{order}:rated"))

    ids = [await work.defer_async(order=7), await work.defer_async(order=7), await work.defer_async(order=8)]
    await bench.drain()
    job = await bench.job(ids[0])
    assert (job.status, job.scheduled_at, job.attempts) == ("todo", None, 0)
    waiting = await app.job_manager.list_jobs_async(waits_for="event")
    assert [job.id for job in waiting] == ids
    assert await app.send_event_async("order:7:rated", {"stars": 5})
    await bench.drain()
    assert got == [{"stars": 5}] * 2
    assert [await bench.status(job_id) for job_id in ids] == ["succeeded", "succeeded", "todo"]
    assert await app.send_events_async([("order:9:rated", 1), ("order:8:rated", None), ("order:8:rated", 2)]) == [
        True,
        True,
        False,
    ]
    await bench.drain()
    assert got[2:] == [None]


async def test_an_event_that_is_there_is_got_at_once(app: adjourn.App, bench: Bench) -> None:
    got: list[Any] = []

    @app.task(pass_context=True)
    def work(context: adjourn.JobContext) -> None:
        got.append(context.wait_for_event("e", timeout=1))
        got.append(context.job.claim)
        with pytest.raises(DuplicateStep):
            context.wait_for_event("e")

    assert await app.send_event_async("e", "first")
    assert not await app.send_event_async("e", "second")
    job_id = await work.defer_async()
    await bench.drain()
    assert (await bench.status(job_id), got) == ("succeeded", ["first", 1])


async def test_an_event_whose_time_is_over_is_gone(
    app: adjourn.App, bench: Bench, pass_time: Callable[[float], None]
) -> None:
    got: list[Any] = []

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        got.append(await context.wait_for_event_async("e"))

    assert await app.send_event_async("e", "old", ttl=60)
    pass_time(61)
    await work.defer_async()
    await bench.drain()
    assert got == []
    assert await app.send_event_async("e", "new")
    await bench.drain()
    assert got == ["new"]


async def test_an_event_is_got_although_its_time_is_over_when_the_job_runs(
    app: adjourn.App, bench: Bench, pass_time: Callable[[float], None]
) -> None:
    """What wakes a job gives it the payload."""
    got: list[Any] = []

    @app.task(pass_context=True, queue="slow")
    async def work(context: adjourn.JobContext) -> None:
        got.append(await context.wait_for_event_async("e"))

    job_id = await work.defer_async()
    await bench.drain()
    await app.send_event_async("e", "short", ttl=60)
    # A worker of another queue delivers it.
    await bench.drain(queues=["other"])
    pass_time(61)
    await bench.drain()
    assert (got, await bench.status(job_id)) == (["short"], "succeeded")


async def test_a_wait_that_is_too_long_raises_in_each_run(
    app: adjourn.App, bench: Bench, pass_time: Callable[[float], None]
) -> None:
    seen: list[str] = []

    @app.task(pass_context=True, retry=1)
    async def work(context: adjourn.JobContext) -> None:
        try:
            await context.wait_for_event_async("e", timeout=HOUR)
        except EventTimeout as error:
            seen.append(str(error))
        if not context.job.attempts:
            # It has been decided: a later run does not get it.
            await app.send_event_async("e")
            raise ValueError

    job_id = await work.defer_async()
    await bench.drain()
    assert (await bench.job(job_id)).scheduled_at is not None
    pass_time(HOUR + 1)
    await bench.drain()
    assert (await bench.status(job_id), seen) == ("succeeded", ["The event 'e' was not sent in time."] * 2)


async def test_a_late_wait_that_finds_the_event_gets_it(
    app: adjourn.App, bench: Bench, pass_time: Callable[[float], None]
) -> None:
    got: list[Any] = []

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        got.append(await context.wait_for_event_async("e", timeout=HOUR))

    await work.defer_async()
    await bench.drain()
    pass_time(HOUR + 1)
    await app.send_event_async("e", 1)
    await bench.drain()
    assert got == [1]


async def test_a_job_that_waits_no_more_is_not_woken_later(
    app: adjourn.App, bench: Bench, pass_time: Callable[[float], None]
) -> None:
    """After a timeout it sleeps: the event that comes then does not end that."""

    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        with contextlib.suppress(EventTimeout):
            await context.wait_for_event_async("e", timeout=HOUR)
        await context.sleep_async(HOUR)

    job_id = await work.defer_async()
    await bench.drain()
    pass_time(HOUR + 1)
    await bench.drain()
    assert [job.id for job in await app.job_manager.list_jobs_async(waits_for="time")] == [job_id]
    await app.send_event_async("e")
    await bench.drain()
    job = await bench.job(job_id)
    assert (job.status, job.claim) == ("todo", 2)


async def test_an_event_wakes_a_job_while_workers_are_idle(app: adjourn.App, bench: Bench) -> None:
    @app.task(pass_context=True, lock="l")
    async def work(context: adjourn.JobContext) -> None:
        await context.wait_for_event_async("e")

    async with bench.working(fetch_job_polling_interval=600):
        ids = await work.batch_defer_async({}, {})

        async def waits() -> bool:
            return len(await app.job_manager.list_jobs_async(waits_for="event")) == 2

        await bench.until(waits)
        await app.send_event_async("e")
        for job_id in ids:
            await bench.ended(job_id)


async def test_a_waiting_job_can_be_cancelled(app: adjourn.App, bench: Bench) -> None:
    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext) -> None:
        await context.wait_for_event_async("e")

    job_id = await work.defer_async()
    await bench.drain()
    assert await app.job_manager.cancel_job_by_id_async(job_id)
    await app.send_event_async("e")
    await bench.drain()
    assert await bench.status(job_id) == "cancelled"


async def test_bad_events_are_refused(app: adjourn.App) -> None:
    for bad in ("", 3, None, "\0"):
        with pytest.raises(InvalidOption, match="name"):
            await app.send_event_async(bad)  # type: ignore[arg-type]
    for payload in (object(), float("nan"), "\0", "\ud800"):
        with pytest.raises(InvalidOption, match=r"events\[0\]: The payload of event 'e', of type .* Send plain values"):
            await app.send_event_async("e", payload)
    for ttl in (0, -1, float("inf"), "1", None):
        with pytest.raises(InvalidOption, match="ttl"):
            await app.send_event_async("e", ttl=ttl)  # type: ignore[arg-type]
    for events_ in ("ab", [("e",)], ["e"], 3):
        with pytest.raises(InvalidOption, match="events"):
            await app.send_events_async(events_)  # type: ignore[arg-type]
    assert await app.send_events_async([]) == []


async def test_what_is_old_is_cleared(
    app: adjourn.App, bench: Bench, pass_time: Callable[[float], None], observer: psycopg.Connection
) -> None:
    @app.task(pass_context=True)
    async def work(context: adjourn.JobContext, fails: bool) -> None:
        await context.step_async("one", int)
        if fails:
            raise ValueError
        await context.sleep_async(HOUR)

    kept, gone, sleeping = [await work.defer_async(fails=fails) for fails in (True, True, False)]
    await bench.drain()
    await app.send_event_async("old", ttl=60)
    await app.send_event_async("young", ttl=10 * HOUR)
    await app.job_manager.delete_jobs_async([gone])
    pass_time(2 * HOUR)
    await app.job_manager.delete_old_jobs_async(1000)
    assert count_steps(app, observer) == 3
    assert await app.job_manager.runs.get_event_async("young") is not None
    assert await app.send_event_async("old")
    for job_id in (kept, sleeping):
        assert await app.job_manager.list_jobs_async(id=job_id)


def test_the_exception_that_suspends_is_no_exception() -> None:
    assert not issubclass(JobSuspended, Exception)
    assert str(JobSuspended(60.0)) == "The job sleeps for 60 s: this run ends, and a later one goes on."
    assert "waits for the event 'e'" in str(JobSuspended(None, "e"))
