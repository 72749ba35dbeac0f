"""A job that waits for other jobs without a worker; in memory as in Postgres."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

import adjourn
from adjourn import Limit, events, exceptions
from adjourn.jobs import Job
from adjourn.testing import InMemoryConnector, drain_async, perform
from support.bench import Bench

pytestmark = pytest.mark.anyio


@pytest.fixture
def app(app_in_both: adjourn.App) -> adjourn.App:
    return app_in_both


class Family:
    """A task that defers jobs and waits for them."""

    def __init__(self, app: adjourn.App) -> None:
        self.app = app
        self.runs = 0
        self.got: list[Job] = []

        @app.task(name="child", store_result=True)
        def child(number: int) -> int:
            if number < 0:
                raise ValueError("negative")
            return 10 * number

        self.child = child

    async def defer_children_async(self, numbers: list[int], queue: str = "default") -> list[int]:
        return await self.child.configure(queue=queue).batch_defer_async(*({"number": each} for each in numbers))

    def parent(self, numbers: list[int], *, queue: str = "default", **options: Any) -> Any:
        @self.app.task(name="parent", pass_context=True, **options)
        async def parent(context: adjourn.JobContext) -> None:
            self.runs += 1
            ids = await context.step_async("defer", self.defer_children_async, numbers, queue)
            self.got = await context.wait_for_jobs_async(ids)

        return parent


@pytest.fixture
def family(app: adjourn.App) -> Family:
    return Family(app)


async def test_a_job_waits_for_those_that_it_has_deferred_and_holds_no_worker(bench: Bench, family: Family) -> None:
    id_ = await family.parent([1, 2, 3]).defer_async()
    await bench.drain(concurrency=1)
    assert [job.result for job in family.got] == [10, 20, 30]
    assert family.runs == 2
    job = await bench.job(id_)
    assert (job.status, job.attempts) == ("succeeded", 1)


async def test_what_has_become_of_the_others_does_not_matter(bench: Bench, family: Family) -> None:
    id_ = await family.parent([1, -1], queue="slow").defer_async()
    await bench.drain(queues=["default"])
    (waiting,) = await bench.app.job_manager.list_jobs_async(waits_for="jobs")
    assert waiting.id == id_
    (cancelled, *_) = await bench.app.job_manager.list_jobs_async(queue="slow")
    assert await bench.app.job_manager.cancel_job_by_id_async(cancelled.id or 0)
    await bench.drain()
    assert {job.status for job in family.got} == {"cancelled", "failed"}
    assert await bench.status(id_) == "succeeded"


async def test_a_job_that_waits_is_not_run_again_and_the_error_says_what_to_do(bench: Bench, family: Family) -> None:
    id_ = await family.parent([1], queue="slow").defer_async()
    await bench.drain(queues=["default"])
    assert [job.id for job in await bench.app.job_manager.list_jobs_async(waits_for="jobs")] == [id_]
    with pytest.raises(exceptions.ConnectorException, match=rf"job {id_} waits in its run for other jobs.*cancel"):
        await bench.app.job_manager.retry_job_by_id_async(id_)
    await bench.drain()
    assert await bench.status(id_) == "succeeded"


async def test_jobs_that_have_ended_are_not_waited_for(bench: Bench, family: Family) -> None:
    ids = await family.defer_children_async([4, 5])
    await bench.drain()
    seen: list[Any] = []

    @bench.app.task(name="looks", pass_context=True)
    def looks(context: adjourn.JobContext) -> None:
        seen.append([job.result for job in context.wait_for_jobs([*reversed(ids)])])
        seen.append(context.wait_for_jobs([]))

    await looks.defer_async()
    await bench.drain()
    assert seen == [[50, 40], []]


async def test_jobs_are_kept_for_who_waits_for_them(bench: Bench, family: Family) -> None:
    await family.parent([1]).defer_async()
    await bench.drain(delete_jobs="always")
    assert [job.result for job in family.got] == [10]


async def test_a_job_waits_again_and_for_others(bench: Bench, family: Family) -> None:
    @bench.app.task(name="twice", pass_context=True, lock="a lock", limits=Limit(concurrency=1))
    async def twice(context: adjourn.JobContext) -> None:
        for turn in range(3):
            ids = await context.step_async(f"defer {turn}", family.defer_children_async, [turn, turn + 1])
            family.got = await context.wait_for_jobs_async(ids)

    first, second = await twice.batch_defer_async({}, {})
    await bench.drain(concurrency=2)
    assert [job.result for job in family.got] == [20, 30]
    assert [await bench.status(id_) for id_ in (first, second)] == ["succeeded", "succeeded"]


async def test_a_job_of_a_workflow_waits_and_those_behind_it_wait_for_it(bench: Bench, family: Family) -> None:
    order: list[str] = []

    @bench.app.task(name="fails")
    def fails() -> None:
        raise ValueError

    @bench.app.task(name="last")
    def last() -> None:
        order.append(f"last after {len(family.got)}")

    flow = bench.app.workflow()
    first = flow.add(fails)
    waits = flow.add(family.parent([1, -1]), depends_on=first, run_if="any_failed")
    flow.add(last, depends_on=waits)
    stored = await flow.defer_async()
    await bench.drain()
    assert order == ["last after 2"]
    state = await bench.app.job_manager.get_workflow_async(stored.id)
    assert (state.remaining, state.failed) == (0, 1)


async def test_who_waits_can_be_cancelled(bench: Bench, family: Family) -> None:
    id_ = await family.parent([1], queue="nobody").defer_async()
    await bench.drain(queues=["default"])
    assert await bench.app.job_manager.cancel_job_by_id_async(id_)
    await bench.drain()
    assert (await bench.status(id_), family.runs) == ("cancelled", 1)


async def test_jobs_that_would_wait_for_each_other_are_refused(bench: Bench) -> None:
    ids: list[int] = []

    @bench.app.task(name="waits", pass_context=True)
    def waits(context: adjourn.JobContext, number: int) -> None:
        context.wait_for_jobs([ids[(number + 1) % 3]])

    ids += await waits.batch_defer_async({"number": 0}, {"number": 1}, {"number": 2})
    await bench.drain()
    jobs = [await bench.job(id_) for id_ in ids]
    failed = [job for job in jobs if job.status == "failed"]
    assert len(failed) == 1
    assert "for ever" in failed[0].errors[-1]["message"]
    assert {job.status for job in jobs} == {"failed", "succeeded"}


async def test_a_job_that_waits_for_itself_or_for_who_depends_on_it_is_refused(bench: Bench, family: Family) -> None:
    target: list[int] = []

    @bench.app.task(name="waits", pass_context=True)
    async def waits(context: adjourn.JobContext) -> None:
        await context.wait_for_jobs_async(target or [context.job.id or 0])

    itself = await waits.defer_async()
    await bench.drain()
    flow = bench.app.workflow()
    node = flow.add(waits)
    after = flow.chain(family.child.configure(task_kwargs={"number": 1}), depends_on=node)
    stored = await flow.defer_async()
    target.append(stored.job_id(after))
    await bench.drain()
    for id_ in (itself, stored.job_id(node)):
        job = await bench.job(id_)
        assert (job.status, job.errors[-1]["exception"]) == ("failed", "adjourn.exceptions.InvalidOption")


async def test_a_job_may_wait_for_one_that_has_waited_for_it_and_does_not_any_more(bench: Bench) -> None:
    ids: list[int] = []
    runs: list[str] = []

    @bench.app.task(name="first", pass_context=True)
    async def first(context: adjourn.JobContext) -> None:
        if len(runs) < 2:
            await context.wait_for_jobs_async([ids[1]])
        await context.wait_for_event_async("go on")

    @bench.app.task(name="second", pass_context=True)
    async def second(context: adjourn.JobContext) -> None:
        runs.append("second")
        if len(runs) > 1:
            await context.wait_for_jobs_async([ids[0]])

    ids += [await first.defer_async(), await second.configure(priority=-1).defer_async()]
    await bench.drain()
    await bench.app.job_manager.retry_job_by_id_async(ids[1])
    await bench.drain()
    assert [await bench.status(id_) for id_ in ids] == ["todo", "todo"]
    await bench.app.send_event_async("go on")
    await bench.drain()
    assert [await bench.status(id_) for id_ in ids] == ["succeeded", "succeeded"]


async def test_how_a_parent_ends_that_is_run_again_does_not_matter_to_who_waits_in_its_run(
    bench: Bench, family: Family
) -> None:
    fails: list[bool] = []

    @bench.app.task(name="before")
    def before() -> None:
        if fails:
            raise ValueError

    flow = bench.app.workflow()
    first = flow.add(before)
    waits = flow.add(family.parent([1, 2], queue="slow"), depends_on=first)
    stored = await flow.defer_async()
    await bench.drain(queues=["default"])
    fails.append(True)
    await bench.app.job_manager.retry_job_by_id_async(stored.job_id(first))
    await bench.drain(queues=["default"])
    assert await bench.status(stored.job_id(first)) == "failed"
    assert await bench.status(stored.job_id(waits)) == "todo"
    assert family.runs == 1
    await bench.drain()
    assert (await bench.status(stored.job_id(waits)), family.runs) == ("succeeded", 2)


async def test_a_job_that_failed_when_it_began_to_wait_begins_anew(bench: Bench, family: Family) -> None:
    (other,) = await family.defer_children_async([1], "slow")
    runs: list[int] = []

    @bench.app.task(name="breaks", pass_context=True)
    async def breaks(context: adjourn.JobContext) -> None:
        runs.append(1)
        if len(runs) == 1:
            try:
                await context.wait_for_jobs_async([other])
            except exceptions.JobSuspended as suspended:
                raise ValueError from suspended

    flow = bench.app.workflow()
    node = flow.add(breaks)
    stored = await flow.defer_async()
    await bench.drain(queues=["default"])
    assert await bench.status(stored.job_id(node)) == "failed"
    await bench.app.job_manager.retry_job_by_id_async(stored.job_id(node))
    await bench.drain(queues=["default"])
    assert (await bench.status(stored.job_id(node)), len(runs)) == ("succeeded", 2)


async def test_a_job_that_is_cancelled_before_its_parent_knows_of_it_can_be_run_again(
    bench: Bench, family: Family
) -> None:
    (other,) = await family.defer_children_async([1])
    flow = bench.app.workflow()
    node = flow.add(family.child, depends_on=other, task_kwargs={"number": 2})
    stored = await flow.defer_async()
    assert await bench.app.job_manager.cancel_job_by_id_async(stored.job_id(node))
    await bench.drain(queues=["nobody"])
    await bench.app.job_manager.retry_job_by_id_async(stored.job_id(node))
    await bench.drain()
    assert await bench.status(stored.job_id(node)) == "succeeded"


@pytest.mark.parametrize(("given", "error"), [([2**40], "NoResult"), (["1"], "InvalidOption"), (7, "InvalidOption")])
async def test_what_cannot_be_waited_for_is_refused(bench: Bench, given: Any, error: str) -> None:
    @bench.app.task(name="waits", pass_context=True)
    def waits(context: adjourn.JobContext) -> None:
        context.wait_for_jobs(given)

    id_ = await waits.defer_async()
    await bench.drain()
    assert (await bench.job(id_)).errors[-1]["exception"] == f"adjourn.exceptions.{error}"


async def test_a_run_that_has_lost_its_job_does_not_wait(bench: Bench, family: Family) -> None:
    (other,) = await family.defer_children_async([1])
    runs = bench.app.job_manager.runs
    stale = Job(id=other, queue="q", task_name="t", claim=7, worker_id=7)
    with pytest.raises(exceptions.JobLost):
        await runs.wait_for_jobs_async(stale, await family.defer_children_async([2]))


async def test_the_end_of_a_run_that_waits_is_told(bench: Bench, family: Family) -> None:
    told: list[int] = []
    bench.app.events.subscribe(events.JobSuspended, lambda event: told.append(event.jobs))
    await family.parent([1, 2]).defer_async()
    await bench.drain()
    assert told == [2]


async def test_drain_goes_on_with_who_waits_and_perform_does_not_wait(app: adjourn.App, family: Family) -> None:
    parent = family.parent([1, 2])
    await parent.defer_async()
    drained = await drain_async(app)
    assert (drained.suspended, len(family.got)) == (1, 2)


def test_perform_says_that_others_have_not_ended() -> None:
    app = adjourn.App(connector=InMemoryConnector())
    with app.open():
        other = app.configure_task("other").defer()

        @app.task(name="waits", pass_context=True)
        def waits(context: adjourn.JobContext) -> None:
            context.wait_for_jobs([other])

        with pytest.raises(exceptions.WaitTimeout):
            perform(waits)
        app.job_manager.cancel_job_by_id(other)
        perform(waits)


async def test_more_jobs_than_are_told_one_by_one_wait_for_one(
    database: str, observer: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker that places jobs tells them, also that how it has ended does not matter."""
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    async with app.open_async():
        bench, family = Bench(app), Family(app)
        (child,) = await family.child.configure(queue="late").batch_defer_async({"number": -1})

        @app.task(name="waits", pass_context=True)
        async def waits(context: adjourn.JobContext) -> None:
            family.got = await context.wait_for_jobs_async([child])

        id_ = await waits.defer_async()
        await bench.drain(queues=["default"])
        observer.execute(
            "insert into adjourn.adjourn_dependencies (parent_id, child_id, linked) select %s, -n, true from generate_series(1, 1001) n",
            [child],
        )
        await bench.drain()
        assert [job.status for job in family.got] == ["failed"]
        assert await bench.status(id_) == "succeeded"


async def test_a_job_that_another_transaction_has_locked_is_waited_for(
    database: str, observer: psycopg.Connection
) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    async with app.open_async():
        bench, family = Bench(app), Family(app)
        (child,) = await family.defer_children_async([1])

        @app.task(name="waits", pass_context=True, queue="waits")
        async def waits(context: adjourn.JobContext) -> None:
            family.got = await context.wait_for_jobs_async([child])

        id_ = await waits.defer_async()
        with observer.transaction():
            observer.execute("select from adjourn.adjourn_jobs where id = %s for update", [child])
            async with bench.working(queues=["waits"]):

                async def waits_async() -> bool:
                    return bool(await app.job_manager.list_jobs_async(id=id_, waits_for="jobs"))

                await bench.until(waits_async)
        await bench.drain()
        assert [job.result for job in family.got] == [10]
