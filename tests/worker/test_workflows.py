"""Workflows: which of their jobs run, in which order, and what becomes of the others; in memory as in Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn import exceptions
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn.testing import InMemoryConnector
from adjourn.workflows import Node, StoredWorkflow, Workflow
from support.bench import Bench
from support.waiting import BOUND, until_async

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["in memory", "postgres"])
async def app(request: pytest.FixtureRequest, database: str) -> AsyncIterator[adjourn.App]:
    given = InMemoryConnector() if request.param == "in memory" else adjourn.PsycopgConnector(database, max_size=4)
    async with made(given).open_async() as app:
        yield app


def made(connector: Any) -> adjourn.App:
    app = adjourn.App(connector=connector)
    app.ran = []  # type: ignore[attr-defined]
    app.broken = set()  # type: ignore[attr-defined]

    @app.task(name="run", store_result=True)
    async def run(name: str) -> str:
        app.ran.append(name)  # type: ignore[attr-defined]
        if name in app.broken:  # type: ignore[attr-defined]
            raise ValueError(name)
        return name.upper()

    @app.task(name="join", pass_context=True, store_result=True)
    async def join(context: adjourn.JobContext) -> dict[str, Any]:
        return await context.parent_results_async()

    return app


def ran(app: adjourn.App) -> list[str]:
    """What has run since the last time."""
    done: list[str] = app.ran  # type: ignore[attr-defined]
    app.ran = []  # type: ignore[attr-defined]
    return done


def breaks(app: adjourn.App, *names: str) -> None:
    app.broken = set(names)  # type: ignore[attr-defined]


def add(flow: Workflow, app: adjourn.App, name: str, after: Any = None, run_if: Any = "all_succeeded") -> Node:
    return flow.add(app.tasks["run"], depends_on=after, run_if=run_if, task_kwargs={"name": name})


async def ended(app: adjourn.App, stored: StoredWorkflow, **options: Any) -> tuple[str, int, int]:
    """Run a worker, and return how the workflow has ended."""
    await Bench(app).drain(concurrency=4, **options)
    state = await app.job_manager.wait_for_workflow_async(stored.id, BOUND)
    assert state.has_ended
    return state.status.value, state.remaining, state.failed


async def statuses(app: adjourn.App, stored: StoredWorkflow, *nodes: Node) -> list[str | None]:
    ids = [stored.job_id(node) for node in nodes]
    return [job.status for id_ in ids for job in await app.job_manager.list_jobs_async(id=id_)]


async def test_a_chain_runs_in_its_order(app: adjourn.App) -> None:
    task = app.tasks["run"]
    flow = app.workflow("chain")
    names = [f"{number:02}" for number in range(20)]
    last = flow.chain(*(task.configure(task_kwargs={"name": name}) for name in names))
    stored = await flow.defer_async()
    state = await app.job_manager.get_workflow_async(stored.id)
    assert (state.name, state.status, state.jobs, state.remaining) == ("chain", "running", 20, 20)
    assert await app.job_manager.list_jobs_async(waits_for="jobs") == (
        await app.job_manager.list_jobs_async(after_id=stored.id + 1)
    )
    assert await ended(app, stored) == ("succeeded", 0, 0)
    assert ran(app) == names
    assert await app.job_manager.get_result_async(stored.job_id(last)) == "19"


async def test_a_group_is_followed_by_its_callback_which_finds_the_results(app: adjourn.App) -> None:
    flow = app.workflow()
    first = add(flow, app, "first")
    pages = flow.map(app.tasks["run"], ({"name": f"{n}"} for n in range(30)), depends_on=first)
    empty = flow.map(app.tasks["run"], [], depends_on=first)
    joined = flow.add(app.tasks["join"], depends_on={"pages": pages, "first": first, "none": empty})
    publish = add(flow, app, "last", [joined, pages])
    stored = await flow.defer_async()
    assert await ended(app, stored) == ("succeeded", 0, 0)
    order = ran(app)
    assert (order[0], order[-1], sorted(order[1:-1])) == ("first", "last", sorted(str(n) for n in range(30)))
    expected = {"pages": [str(n) for n in range(30)], "first": "FIRST", "none": []}
    assert await app.job_manager.get_result_async(stored.job_id(joined)) == expected
    assert await statuses(app, stored, publish) == ["succeeded"]
    assert len(stored.job_ids(pages)) == 30


async def test_who_waits_for_a_job_that_fails_runs_as_its_rule_says(app: adjourn.App) -> None:
    breaks(app, "bad")
    flow = app.workflow()
    bad, good = add(flow, app, "bad"), add(flow, app, "good")
    child = add(flow, app, "child", [bad, good])
    grandchild = add(flow, app, "grandchild", child)
    cleans = add(flow, app, "cleans", [bad, good], "all_done")
    helps = add(flow, app, "helps", [child, good], "any_failed")
    never = add(flow, app, "never", good, "any_failed")
    stored = await flow.defer_async()
    assert await ended(app, stored) == ("failed", 0, 1)
    assert sorted(ran(app)) == ["bad", "cleans", "good", "helps"]
    expected = ["failed", "succeeded", "cancelled", "cancelled", "succeeded", "succeeded", "cancelled"]
    assert await statuses(app, stored, bad, good, child, grandchild, cleans, helps, never) == expected


async def test_a_workflow_that_has_failed_runs_its_failed_jobs_again_and_goes_on(app: adjourn.App) -> None:
    breaks(app, "bad")
    flow = app.workflow()
    good, bad = add(flow, app, "good"), add(flow, app, "bad")
    child = add(flow, app, "child", [good, bad])
    add(flow, app, "grandchild", [child])
    add(flow, app, "cleans", child, "all_done")
    stored = await flow.defer_async()
    assert await ended(app, stored) == ("failed", 0, 1)
    assert sorted(ran(app)) == ["bad", "cleans", "good"]
    assert await app.job_manager.retry_workflow_async(stored.id) == 3
    state = await app.job_manager.get_workflow_async(stored.id)
    assert (state.status, state.remaining, state.failed, state.has_ended) == ("running", 3, 0, False)
    breaks(app)
    assert await ended(app, stored) == ("succeeded", 0, 0)
    assert ran(app) == ["bad", "child", "grandchild"]
    assert await app.job_manager.retry_workflow_async(stored.id) == 0


async def test_a_job_that_is_run_again_by_hand_counts_as_not_ended_and_those_that_have_run_do_not_run_again(
    app: adjourn.App,
) -> None:
    flow = app.workflow()
    first = add(flow, app, "first")
    second = add(flow, app, "second", first)
    stored = await flow.defer_async()
    with pytest.raises(exceptions.ConnectorException, match=r"waits for other jobs of its workflow"):
        await app.job_manager.retry_job_by_id_async(stored.job_id(second))
    assert await ended(app, stored) == ("succeeded", 0, 0)
    await app.job_manager.retry_job_by_id_async(stored.job_id(first))
    state = await app.job_manager.get_workflow_async(stored.id)
    assert (state.remaining, state.has_ended) == (1, False)
    assert await ended(app, stored) == ("succeeded", 0, 0)
    assert ran(app) == ["first", "second", "first"]


@pytest.mark.parametrize("many", [True, False])
async def test_a_workflow_goes_on_when_its_failed_job_is_run_again_by_hand(app: adjourn.App, many: bool) -> None:
    breaks(app, "bad", "worse")
    flow = app.workflow()
    bad, worse = add(flow, app, "bad"), add(flow, app, "worse")
    after_bad, after_both = add(flow, app, "after bad", bad), add(flow, app, "after both", [bad, worse])
    last = add(flow, app, "last", [after_bad])
    add(flow, app, "cleans", [bad, worse], "all_done")
    stored = await flow.defer_async()
    assert await ended(app, stored) == ("failed", 0, 2)
    assert sorted(ran(app)) == ["bad", "cleans", "worse"]
    breaks(app)
    if many:
        assert await app.job_manager.retry_jobs_async([stored.job_id(bad)]) == [stored.job_id(bad)]
    else:
        await app.job_manager.retry_job_by_id_async(stored.job_id(bad), priority=7)
        (job,) = await app.job_manager.list_jobs_async(id=stored.job_id(bad))
        assert job.priority == 7
    state = await app.job_manager.get_workflow_async(stored.id)
    assert (state.status, state.remaining, state.failed, state.has_ended) == ("running", 3, 1, False)
    # One that waits for a job that has failed, too, stays cancelled until that one is run again.
    assert await statuses(app, stored, after_bad, after_both, last) == ["todo", "cancelled", "todo"]
    assert await ended(app, stored) == ("failed", 0, 1)
    assert ran(app) == ["bad", "after bad", "last"]
    await app.job_manager.retry_job_by_id_async(stored.job_id(worse))
    assert await ended(app, stored) == ("succeeded", 0, 0)
    assert ran(app) == ["worse", "after both"]


async def test_a_job_waits_once_more_for_one_that_is_run_again(app: adjourn.App, bench: Bench) -> None:
    flow = app.workflow()
    first, second = (
        add(flow, app, "first"),
        flow.add(app.tasks["run"].configure(queue="slow"), task_kwargs={"name": "second"}),
    )
    named = flow.add(app.tasks["join"], depends_on={"first": first, "second": second})
    after = add(flow, app, "after", [first, second])
    cleans = add(flow, app, "cleans", [first, second], "any_failed")
    stored = await flow.defer_async()
    await bench.drain(queues=["default"])
    await app.job_manager.retry_job_by_id_async(stored.job_id(first), queue="other")
    await bench.drain(queues=["slow"])
    assert await statuses(app, stored, named, after, cleans) == ["todo"] * 3
    breaks(app, "first")
    await bench.drain(queues=["other"])
    assert await ended(app, stored) == ("failed", 0, 1)
    assert ran(app) == ["first", "second", "first", "cleans"]


async def test_a_job_that_is_run_again_waits_for_those_that_have_not_ended(app: adjourn.App, bench: Bench) -> None:
    breaks(app, "bad")
    flow = app.workflow()
    bad = add(flow, app, "bad")
    slow = flow.add(app.tasks["run"].configure(queue="slow"), task_kwargs={"name": "slow"})
    last = add(flow, app, "last", [bad, slow])
    stored = await flow.defer_async()
    await bench.drain(queues=["default"])
    assert await statuses(app, stored, last) == ["cancelled"]
    # By hand, it runs although one of those that it has waited for has failed.
    await app.job_manager.retry_job_by_id_async(stored.job_id(last))
    await bench.drain(queues=["default"])
    assert await statuses(app, stored, last) == ["todo"]
    # But if that one is run again, too, its new end counts.
    await app.job_manager.retry_job_by_id_async(stored.job_id(bad))
    await bench.drain(queues=["slow"])
    assert await statuses(app, stored, last) == ["todo"]
    assert await ended(app, stored) == ("failed", 0, 1)
    assert await statuses(app, stored, last) == ["cancelled"]
    await app.job_manager.retry_job_by_id_async(stored.job_id(last))
    assert await ended(app, stored) == ("failed", 0, 1)
    assert ran(app) == ["bad", "slow", "bad", "last"]


async def test_what_was_cancelled_by_hand_stays_so_when_its_workflow_is_run_again(
    app: adjourn.App, bench: Bench
) -> None:
    breaks(app, "bad")
    flow = app.workflow()
    bad, by_hand = add(flow, app, "bad"), add(flow, app, "by hand")
    _after_bad, after_both = add(flow, app, "after bad", bad), add(flow, app, "after both", [bad, by_hand])
    after_hand = add(flow, app, "after hand", by_hand)
    stored = await flow.defer_async()
    await app.job_manager.cancel_job_by_id_async(stored.job_id(by_hand))
    assert await ended(app, stored) == ("failed", 0, 1)
    breaks(app)
    assert await app.job_manager.retry_workflow_async(stored.id) == 2
    assert await ended(app, stored) == ("cancelled", 0, 0)
    assert ran(app) == ["bad", "bad", "after bad"]
    assert await statuses(app, stored, by_hand, after_both, after_hand) == ["cancelled"] * 3
    await app.job_manager.retry_job_by_id_async(stored.job_id(by_hand))
    assert await ended(app, stored) == ("succeeded", 0, 0)
    assert sorted(ran(app)) == ["after both", "after hand", "by hand"]


async def test_groups_of_no_jobs_have_empty_results_also_for_a_job_that_is_run_again(app: adjourn.App) -> None:
    breaks(app, "bad")
    flow = app.workflow()
    none, never = flow.map(app.tasks["run"], []), flow.map(app.tasks["run"], iter(()))
    joined = flow.add(app.tasks["join"], depends_on={"none": none, "never": never})
    bad = add(flow, app, "bad")
    again = flow.add(app.tasks["join"], depends_on={"bad": bad, "never": never})
    stored = await flow.defer_async()
    assert await ended(app, stored) == ("failed", 0, 1)
    assert await app.job_manager.get_result_async(stored.job_id(joined)) == {"none": [], "never": []}
    breaks(app)
    await app.job_manager.retry_workflow_async(stored.id)
    assert await ended(app, stored) == ("succeeded", 0, 0)
    assert await app.job_manager.get_result_async(stored.job_id(again)) == {"bad": "BAD", "never": []}
    more = app.workflow("no jobs at all")
    more.map(app.tasks["run"], [])
    assert (await app.job_manager.get_workflow_async((await more.defer_async()).id)).has_ended


@pytest.mark.parametrize("delete", [False, True])
async def test_a_workflow_of_which_a_job_was_cancelled_has_not_succeeded(
    app: adjourn.App, bench: Bench, delete: bool
) -> None:
    flow = app.workflow()
    group = flow.map(app.tasks["run"], [{"name": f"part {number}"} for number in range(3)])
    merge = add(flow, app, "merge", group)
    add(flow, app, "clean up", merge, "all_done")
    stored = await flow.defer_async()
    await app.job_manager.cancel_job_by_id_async(stored.job_ids(group)[1], delete_job=delete)
    assert await ended(app, stored) == ("cancelled", 0, 0)
    assert sorted(ran(app)) == ["clean up", "part 0", "part 2"]
    assert await statuses(app, stored, merge) == ["cancelled"]
    state = await app.job_manager.get_workflow_async(stored.id)
    assert (state.cancelled, state.has_ended) == (2, True)
    if not delete:
        await app.job_manager.retry_job_by_id_async(stored.job_ids(group)[1])
        assert (await app.job_manager.get_workflow_async(stored.id)).cancelled == 0
        assert await ended(app, stored) == ("succeeded", 0, 0)
        assert ran(app) == ["part 1", "merge"]


async def test_a_workflow_of_which_a_job_has_expired_has_not_succeeded(app: adjourn.App) -> None:
    flow = app.workflow()
    late = flow.add(app.tasks["run"].configure(expires_in=0.001), task_kwargs={"name": "late"})
    add(flow, app, "child", late)
    stored = await flow.defer_async()
    await asyncio.sleep(0.01)
    assert await ended(app, stored) == ("cancelled", 0, 0)
    assert (await app.job_manager.get_workflow_async(stored.id)).cancelled == 2
    assert await app.job_manager.retry_workflow_async(stored.id) == 2
    assert await ended(app, stored) == ("succeeded", 0, 0)


async def test_a_workflow_succeeds_without_the_jobs_that_were_there_in_case_others_fail(app: adjourn.App) -> None:
    flow = app.workflow()
    good = add(flow, app, "good")
    helps = add(flow, app, "helps", good, "any_failed")
    tells = add(flow, app, "tells", [helps, good])
    repairs = add(flow, app, "repairs", tells, "any_failed")
    gives_up = add(flow, app, "gives up", [repairs, helps], "any_failed")
    cleans = add(flow, app, "cleans", gives_up, "all_done")
    stored = await flow.defer_async()
    assert await ended(app, stored) == ("succeeded", 0, 0)
    assert ran(app) == ["good", "cleans"]
    unneeded = [helps, tells, repairs, gives_up]
    assert await statuses(app, stored, *unneeded, cleans) == ["cancelled"] * 4 + ["succeeded"]
    none_failed = "none of the jobs that it waited for has failed"
    reasons = [(await app.job_manager.list_jobs_async(id=stored.job_id(node)))[0].reason for node in unneeded]
    assert reasons == [none_failed, f"job {stored.job_id(helps)} was cancelled", none_failed, none_failed]
    late = app.workflow()
    add(late, app, "after help", stored.job_id(helps))
    add(late, app, "if help failed", stored.job_id(helps), "any_failed")
    stored = await late.defer_async()
    assert await ended(app, stored) == ("succeeded", 0, 0)
    assert ran(app) == []


async def test_a_job_that_ran_because_another_failed_has_an_end_of_its_own(app: adjourn.App) -> None:
    breaks(app, "bad", "worse help")
    flow = app.workflow()
    bad = add(flow, app, "bad")
    helps, worse_help = add(flow, app, "helps", bad, "any_failed"), add(flow, app, "worse help", bad, "any_failed")
    goes_on, never = add(flow, app, "goes on", helps), add(flow, app, "never", helps, "any_failed")
    stops, repairs = add(flow, app, "stops", worse_help), add(flow, app, "repairs", worse_help, "any_failed")
    stored = await flow.defer_async()
    assert await ended(app, stored) == ("failed", 0, 2)
    assert sorted(ran(app)) == ["bad", "goes on", "helps", "repairs", "worse help"]
    expected = ["succeeded", "cancelled", "cancelled", "succeeded"]
    assert await statuses(app, stored, goes_on, never, stops, repairs) == expected
    assert (await app.job_manager.get_workflow_async(stored.id)).cancelled == 1


@pytest.mark.parametrize("slow", ["bad", "good"])
async def test_one_that_was_not_needed_hides_no_failure(app: adjourn.App, bench: Bench, slow: str) -> None:
    breaks(app, "bad")
    flow = app.workflow()
    bad, good = (
        flow.add(app.tasks["run"].configure(queue="slow" if name == slow else "default"), task_kwargs={"name": name})
        for name in ("bad", "good")
    )
    helps = add(flow, app, "helps", good, "any_failed")
    child = add(flow, app, "child", [helps, bad])
    repairs = add(flow, app, "repairs", child, "any_failed")
    stored = await flow.defer_async()
    await bench.drain(queues=["default"])
    assert await statuses(app, stored, child) == (["todo"] if slow == "bad" else ["cancelled"])
    assert await ended(app, stored) == ("failed", 0, 1)
    assert await statuses(app, stored, helps, child, repairs) == ["cancelled", "cancelled", "succeeded"]
    assert (await app.job_manager.get_workflow_async(stored.id)).cancelled == 1


async def test_a_workflow_whose_job_waits_in_vain_for_one_of_another_has_not_succeeded(app: adjourn.App) -> None:
    other = await app.tasks["run"].defer_async(name="other")
    flow = app.workflow()
    add(flow, app, "child", other)
    stored = await flow.defer_async()
    await app.job_manager.cancel_job_by_id_async(other)
    assert await ended(app, stored) == ("cancelled", 0, 0)


async def test_a_cancelled_job_says_because_of_which_other(app: adjourn.App, bench: Bench) -> None:
    breaks(app, "bad")
    flow = app.workflow()
    bad, good, expiring = (
        add(flow, app, "bad"),
        add(flow, app, "good"),
        flow.add(app.tasks["run"].configure(expires_in=0.001), task_kwargs={"name": "late"}),
    )
    by_hand = add(flow, app, "by hand")
    child = add(flow, app, "child", [bad, good])
    nodes = [
        bad,
        expiring,
        by_hand,
        child,
        add(flow, app, "grandchild", child),
        add(flow, app, "never", good, "any_failed"),
        add(flow, app, "late", expiring),
        flow.add(app.tasks["join"], depends_on={"b": by_hand}),
    ]
    stored = await flow.defer_async()
    await app.job_manager.cancel_job_by_id_async(stored.job_id(by_hand))
    await ended(app, stored)
    reasons = [(await app.job_manager.list_jobs_async(id=stored.job_id(node)))[0].reason for node in nodes]
    late = reasons.pop(1)
    assert late is not None
    assert late.startswith("it had not begun by 2")
    assert reasons == [
        None,
        None,
        f"job {stored.job_id(bad)} failed",
        f"job {stored.job_id(child)} was cancelled",
        "none of the jobs that it waited for has failed",
        f"job {stored.job_id(expiring)} was cancelled",
        f"job {stored.job_id(by_hand)} was cancelled",
    ]


async def test_one_job_of_a_cancelled_workflow_is_run_again_and_the_others_stay_so(app: adjourn.App) -> None:
    flow = app.workflow()
    first, other = add(flow, app, "first"), add(flow, app, "other")
    second = add(flow, app, "second", first)
    stored = await flow.defer_async()
    assert await app.job_manager.cancel_workflow_async(stored.id) == 3
    assert await ended(app, stored) == ("cancelled", 0, 0)
    (job,) = await app.job_manager.list_jobs_async(id=stored.job_id(first))
    assert job.reason == f"workflow {stored.id} was cancelled"
    await app.job_manager.retry_job_by_id_async(stored.job_id(first))
    assert (await app.job_manager.get_workflow_async(stored.id)).status == "running"
    assert await ended(app, stored) == ("cancelled", 0, 0)
    assert await statuses(app, stored, first, second, other) == ["succeeded", "cancelled", "cancelled"]
    assert await app.job_manager.retry_workflow_async(stored.id) == 2
    assert await ended(app, stored) == ("succeeded", 0, 0)
    assert sorted(ran(app)) == ["first", "other", "second"]


async def test_a_cancelled_workflow_runs_nothing_more(app: adjourn.App, bench: Bench) -> None:
    started = asyncio.Event()

    @app.task(name="hang")
    async def hang() -> None:
        started.set()
        await asyncio.sleep(BOUND)

    flow = app.workflow()
    running = flow.add(hang)
    later = add(flow, app, "later", running)
    group = flow.map(app.tasks["run"], [{"name": "g"}] * 5, depends_on=later, run_if="all_done")
    stored = await flow.defer_async()
    async with bench.working():
        await started.wait()
        assert await app.job_manager.cancel_workflow_async(stored.id) == 6
        added = app.workflow(extends=stored.id)
        late = add(added, app, "late")
        more = await added.defer_async()
        state = await app.job_manager.get_workflow_async(stored.id)
        assert (state.status, state.has_ended, state.jobs) == ("cancelled", False, 8)
        assert await app.job_manager.cancel_workflow_async(stored.id, abort=True) <= 1
        state = await app.job_manager.wait_for_workflow_async(stored.id, BOUND)
    assert (state.status, state.remaining, state.failed) == ("cancelled", 0, 1)
    assert ran(app) == []
    assert await statuses(app, stored, running, later) == ["aborted", "cancelled"]
    assert await statuses(app, more, late) == ["cancelled"]
    assert len(stored.job_ids(group)) == 5
    assert await app.job_manager.cancel_workflow_async(stored.id) == 0
    assert await app.job_manager.retry_workflow_async(stored.id) == 8


async def test_a_job_adds_others_to_its_workflow_while_it_runs(app: adjourn.App, bench: Bench) -> None:
    @app.task(name="split", pass_context=True)
    async def split(context: adjourn.JobContext, parts: int) -> None:
        more = context.extend_workflow()
        group = more.map(app.tasks["run"], [{"name": f"{n}"} for n in range(parts)])
        add(more, app, "merged", [group, context.job.id])
        await more.defer_async()

    flow = app.workflow()
    first = flow.add(split, task_kwargs={"parts": 5})
    stored = await flow.defer_async()
    assert await ended(app, stored) == ("succeeded", 0, 0)
    assert sorted(ran(app)[:-1]) == ["0", "1", "2", "3", "4"]
    state = await app.job_manager.get_workflow_async(stored.id)
    assert (state.jobs, state.remaining) == (7, 0)
    late = app.workflow(extends=stored.id)
    late.add(app.tasks["run"], task_kwargs={"name": "late"})
    with pytest.raises(exceptions.InvalidOption, match=rf"^Workflow {stored.id} has ended, so nothing can be added"):
        await late.defer_async()
    with pytest.raises(exceptions.NoResult, match=r"^There is no workflow 999999\.$"):
        await app.workflow(extends=999_999).defer_async()
    outside = await app.tasks["split"].defer_async(parts=1)
    await bench.drain()
    assert await bench.status(outside) == "failed"
    assert await statuses(app, stored, first) == ["succeeded"]


@pytest.mark.parametrize("state", ["waits", "succeeded", "cancelled", "deleted"])
async def test_a_job_waits_for_jobs_that_were_stored_before(app: adjourn.App, bench: Bench, state: str) -> None:
    known = await app.tasks["run"].defer_async(name="known")
    if state == "succeeded":
        await bench.drain()
    elif state == "cancelled":
        await app.job_manager.cancel_job_by_id_async(known)
    flow = app.workflow()
    child = add(flow, app, "child", [known])
    stored = await flow.defer_async()
    if state == "deleted":
        await app.job_manager.cancel_job_by_id_async(known, delete_job=True)
    is_good = state in ("waits", "succeeded")
    assert await ended(app, stored, delete_jobs="always") == ("succeeded" if is_good else "cancelled", 0, 0)
    assert ran(app) == (["known", "child"] if is_good else [])
    assert await statuses(app, stored, child) == ["succeeded" if is_good else "cancelled"]
    missing = app.workflow()
    add(missing, app, "x", 999_999)
    with pytest.raises(exceptions.NoResult, match=r"^There is no job 999999 to wait for\.$"):
        await missing.defer_async()


async def test_jobs_of_workflows_keep_to_locks_times_and_queues(app: adjourn.App, bench: Bench) -> None:
    task = app.tasks["run"]
    flow = app.workflow()
    first = add(flow, app, "first")
    for number in range(3):
        flow.add(
            task.configure(lock="l", queue="other", priority=number, headers={"h": "1"}),
            depends_on=first,
            task_kwargs={"name": f"locked {number}"},
        )
    late = flow.add(task.configure(schedule_in={"hours": 1}), depends_on=first, task_kwargs={"name": "late"})
    stored = await flow.defer_async()
    await bench.drain()
    assert ran(app) == ["first", "locked 2", "locked 1", "locked 0"]
    assert {str(job.headers) for job in await app.job_manager.list_jobs_async(queue="other")} == {"{'h': '1'}"}
    (job,) = await app.job_manager.list_jobs_async(id=stored.job_id(late))
    assert job.status == "todo"
    assert [job.id for job in await app.job_manager.list_jobs_async(waits_for="time")] == [job.id]


async def test_a_workflow_is_stored_with_the_transaction_of_its_caller_or_not_at_all(database: str) -> None:
    async with made(adjourn.PsycopgConnector(database)).open_async() as app:
        ids = []
        async with await psycopg.AsyncConnection.connect(database) as connection:
            for ends in (connection.rollback, connection.commit):
                flow = app.workflow()
                add(flow, app, "child", add(flow, app, "parent"))
                ids.append(await flow.defer_async(connection=connection))
                await ends()
        with pytest.raises(exceptions.NoResult):
            await app.job_manager.get_workflow_async(ids[0].id)
        assert await ended(app, ids[1]) == ("succeeded", 0, 0)
        assert ran(app) == ["parent", "child"]


async def test_a_large_workflow_is_stored_in_pieces_all_or_none(
    database: str, monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    monkeypatch.setattr("adjourn._async.managers.workflows.CHUNK", 10)
    async with made(adjourn.PsycopgConnector(database)).open_async() as app:
        flow = app.workflow()
        pages = flow.map(app.tasks["run"], [{"name": f"{n:02}"} for n in range(35)])
        flow.add(app.tasks["join"], depends_on={"pages": pages})
        add(flow, app, "known", 10**9 + 1)
        with pytest.raises(exceptions.NoResult):
            await flow.defer_async()
        assert await app.job_manager.list_jobs_async() == []
        flow = app.workflow()
        pages = flow.map(app.tasks["run"], [{"name": f"{n:02}"} for n in range(35)])
        joined = flow.add(app.tasks["join"], depends_on={"pages": pages})
        stored = await flow.defer_async()
        assert await ended(app, stored) == ("succeeded", 0, 0)
        result = await app.job_manager.get_result_async(stored.job_id(joined))
        assert result == {"pages": [f"{n:02}" for n in range(35)]}


@pytest.mark.parametrize("is_good", [True, False])
async def test_a_job_that_very_many_wait_for_tells_them_all(
    database: str, observer: psycopg.Connection, is_good: bool
) -> None:
    async with made(adjourn.PsycopgConnector(database)).open_async() as app:
        if not is_good:
            breaks(app, "first")
        flow = app.workflow()
        first, second = add(flow, app, "first"), add(flow, app, "second")
        group = flow.map(app.tasks["run"], [{"name": "g"}] * 1100, depends_on=[first, second])
        stored = await flow.defer_async()
        state, failed = ("succeeded", 0) if is_good else ("failed", 1)
        assert await ended(app, stored) == (state, 0, failed)
        statuses = "select status, count(*) from adjourn.adjourn_finished_jobs where id = any(%s) group by 1"
        found = observer.execute(statuses, [stored.job_ids(group)]).fetchall()
        assert found == [("succeeded" if is_good else "cancelled", 1100)]


async def test_old_workflows_are_removed_with_their_jobs(app: adjourn.App) -> None:
    @app.task(name="plain")
    async def plain() -> None: ...

    flow = app.workflow()
    flow.add(plain, depends_on={"x": flow.add(plain), "y": flow.map(plain, [{}, {}])})
    flow.chain(plain)
    stored = await flow.defer_async()
    assert await ended(app, stored) == ("succeeded", 0, 0)
    results = await app.job_manager.workflows.get_parent_results_async(stored.id + 4)
    assert results == {"x": None, "y": [None, None]}
    assert await app.job_manager.delete_old_jobs_async(1) == 0
    assert (await app.job_manager.get_workflow_async(stored.id)).has_ended
    assert await app.job_manager.delete_old_jobs_async(0) == 5
    with pytest.raises(exceptions.NoResult):
        await app.job_manager.get_workflow_async(stored.id)
    assert await app.job_manager.workflows.get_parent_results_async(stored.id + 4) == {}


async def test_whoever_waits_for_a_workflow_is_told_of_its_end(
    app: adjourn.App, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adjourn.manager.ends.LISTENING", (10 * BOUND,))
    flow = app.workflow()
    add(flow, app, "b", add(flow, app, "a"))
    stored = await flow.defer_async()
    with pytest.raises(exceptions.WaitTimeout, match=rf"^Workflow {stored.id} has not ended within 0 seconds\.$"):
        await app.job_manager.wait_for_workflow_async(stored.id, 0)
    with pytest.raises(exceptions.NoResult, match=r"^There is no workflow 999999\.$"):
        await app.job_manager.wait_for_workflow_async(999_999)
    waiting = asyncio.create_task(app.job_manager.wait_for_workflow_async(stored.id, BOUND))
    blocking = asyncio.create_task(asyncio.to_thread(app.job_manager.wait_for_workflow, stored.id, BOUND))
    listener: Any = app.job_manager.results.ends
    await until_async(lambda: listener.expected() == [stored.id] and listener._session is not None)
    async with bench.working():
        assert (await waiting).status == (await blocking).status == "succeeded"
    empty = await app.workflow().defer_async()
    assert (await app.job_manager.wait_for_workflow_async(empty.id, 0)).status == "succeeded"


# Workflows that stay open


async def test_a_workflow_that_is_open_takes_jobs_until_it_is_closed(app: adjourn.App) -> None:
    flow = app.workflow("open")
    add(flow, app, "first")
    stored = await flow.open_async()
    manager = app.job_manager
    await Bench(app).drain()
    for name in ("second", "third"):
        state = await manager.get_workflow_async(stored.id)
        assert (state.status, state.remaining, state.is_open, state.has_ended) == ("running", 0, True, False)
        with pytest.raises(exceptions.WaitTimeout):
            await manager.wait_for_workflow_async(stored.id, timeout=0)
        more = app.workflow(extends=stored.id)
        add(more, app, name)
        await more.defer_async()
        await Bench(app).drain()
    assert ran(app) == ["first", "second", "third"]
    assert await manager.close_workflow_async(stored.id)
    assert not await manager.close_workflow_async(stored.id)
    assert await ended(app, stored) == ("succeeded", 0, 0)
    late = app.workflow(extends=stored.id)
    add(late, app, "late")
    with pytest.raises(exceptions.InvalidOption, match="has ended"):
        await late.defer_async()


async def test_a_workflow_that_is_closed_before_its_jobs_have_ended_ends_with_the_last(app: adjourn.App) -> None:
    flow = app.workflow()
    breaks(app, "bad")
    add(flow, app, "bad")
    stored = await flow.open_async()
    assert await app.job_manager.close_workflow_async(stored.id)
    assert await ended(app, stored) == ("failed", 0, 1)


async def test_an_open_workflow_may_be_empty_and_whoever_waits_for_its_end_is_told(app: adjourn.App) -> None:
    stored = await app.workflow().open_async()
    async with Bench(app).working():
        waiting = asyncio.create_task(app.job_manager.wait_for_workflow_async(stored.id, BOUND))
        more = app.workflow(extends=stored.id)
        add(more, app, "only")
        await Bench(app).ended((await more.defer_async()).id + 1)
        assert not waiting.done()
        await app.job_manager.close_workflow_async(stored.id)
        assert (await waiting).status == "succeeded"


async def test_an_open_workflow_that_is_cancelled_ends(app: adjourn.App) -> None:
    flow = app.workflow()
    add(flow, app, "one")
    stored = await flow.open_async()
    assert await app.job_manager.cancel_workflow_async(stored.id) == 1
    assert await ended(app, stored) == ("cancelled", 0, 0)
    assert not (await app.job_manager.get_workflow_async(stored.id)).is_open


async def test_only_a_new_workflow_can_be_opened_and_only_one_that_is_there_closed(app: adjourn.App) -> None:
    stored = await app.workflow().open_async()
    with pytest.raises(exceptions.InvalidOption, match="Only a new one"):
        await app.workflow(extends=stored.id).open_async()
    with pytest.raises(exceptions.NoResult, match="no workflow"):
        await app.job_manager.close_workflow_async(stored.id + 1)


def test_blocking_calls_open_and_close_workflows() -> None:
    app = made(InMemoryConnector())
    with app.open():
        stored = app.workflow().open()
        assert app.job_manager.close_workflow(stored.id)


async def test_workflows_are_listed_the_newest_first_and_by_their_status(app: adjourn.App) -> None:
    breaks(app, "bad")
    ids = []
    for name in ("bad", "by hand", "good", "stopped"):
        flow = app.workflow(name)
        node = add(flow, app, name)
        stored = await flow.defer_async()
        ids.append(stored.id)
        if name == "by hand":
            await app.job_manager.cancel_job_by_id_async(stored.job_id(node))
        elif name == "stopped":
            await app.job_manager.cancel_workflow_async(stored.id)
    await Bench(app).drain()
    for id_ in ids:
        await app.job_manager.wait_for_workflow_async(id_, BOUND)
    waits = app.workflow("waits")
    waits.add(app.tasks["run"].configure(schedule_in={"hours": 1}), task_kwargs={"name": "waits"})
    ids.append((await waits.defer_async()).id)
    find = app.job_manager.list_workflows_async
    listed = await find()
    assert [(each.id, each.name, each.status) for each in listed] == [
        (ids[4], "waits", "running"),
        (ids[3], "stopped", "cancelled"),
        (ids[2], "good", "succeeded"),
        (ids[1], "by hand", "cancelled"),
        (ids[0], "bad", "failed"),
    ]
    assert [each.id for each in await find(limit=2, before_id=ids[4])] == [ids[3], ids[2]]
    for status in ("running", "succeeded", "failed", "cancelled"):
        expected = [each.id for each in listed if each.status == status]
        assert [each.id for each in await find(status=status)] == expected


async def test_the_jobs_of_a_workflow_are_listed(app: adjourn.App) -> None:
    others = [await app.tasks["run"].defer_async(name=name) for name in "ab"]
    flow = app.workflow()
    nodes = [add(flow, app, "one"), add(flow, app, "two")]
    stored = await flow.defer_async()
    others.append(await app.tasks["run"].defer_async(name="c"))
    more = app.workflow(extends=stored.id)
    nodes.append(add(more, app, "late"))
    extended = await more.defer_async()
    mine = [stored.job_id(nodes[0]), stored.job_id(nodes[1]), extended.job_id(nodes[2])]

    async def listed(**filters: Any) -> list[int | None]:
        return [job.id for job in await app.job_manager.list_jobs_async(workflow_id=stored.id, **filters)]

    assert await listed() == mine
    await Bench(app).drain()
    assert await listed() == mine
    assert await listed(status="succeeded", limit=1, after_id=mine[0]) == [mine[1]]
    assert await listed(id=others[2]) == []
    assert await app.job_manager.list_jobs_async(workflow_id=others[0]) == []


async def test_a_job_that_runs_in_any_case_finds_out_what_has_failed_and_why(app: adjourn.App, bench: Bench) -> None:
    told: list[dict[str, Any]] = []

    @app.task(name="report", pass_context=True)
    async def report(context: adjourn.JobContext) -> None:
        told.append(await context.parent_jobs_async())
        told.append(await asyncio.to_thread(context.parent_jobs))

    breaks(app, "b")
    flow = app.workflow()
    pieces = flow.map(app.tasks["run"], [{"name": name} for name in "abc"])
    alone, nobody = add(flow, app, "d"), flow.map(app.tasks["run"], [])
    flow.add(
        app.tasks["report"],
        depends_on={"pieces": pieces, "alone": alone, "nobody": nobody},
        run_if="all_done",
    )
    await flow.defer_async()
    await bench.drain()
    for parents in told:
        assert [job.status for job in parents["pieces"]] == ["succeeded", "failed", "succeeded"]
        assert [job.task_kwargs["name"] for job in parents["pieces"]] == ["a", "b", "c"]
        assert parents["pieces"][1].errors[-1]["message"] == "b"
        assert (parents["alone"].status, parents["alone"].result) == ("succeeded", "D")
        assert parents["nobody"] == []
    assert len(told) == 2


async def test_a_parent_that_was_deleted_is_none(app: adjourn.App, bench: Bench) -> None:
    told: list[dict[str, Any]] = []

    @app.task(name="report", pass_context=True)
    async def report(context: adjourn.JobContext) -> None:
        told.append(await context.parent_jobs_async())

    flow = app.workflow()
    first = add(flow, app, "a")
    flow.add(app.tasks["report"].configure(queue="later"), depends_on={"first": first})
    stored = await flow.defer_async()
    await bench.drain(queues=["default"])
    await app.job_manager.delete_jobs_async([stored.job_id(first)])
    await bench.drain()
    assert told == [{"first": None}]


async def test_a_chain_costs_one_round_trip_a_job_and_its_worker_ends_at_once(
    app: adjourn.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else has to release the next job, and the worker need not look for what its own round trip has found."""
    calls: list[str] = []
    for name in ("exchange_async", "place_async"):
        monkeypatch.setattr(AsyncWorkerManager, name, counted(name, calls))
    names = [str(number) for number in range(40)]
    flow = app.workflow()
    flow.chain(*(app.tasks["run"].configure(task_kwargs={"name": name}) for name in names))
    stored = await flow.defer_async()
    async with asyncio.timeout(BOUND):
        await app.run_worker_async(wait=False, fetch_job_polling_interval=10 * BOUND, install_signal_handlers=False)
    assert ran(app) == names
    state = await app.job_manager.get_workflow_async(stored.id)
    assert state.status == "succeeded"
    assert calls.count("exchange_async") <= len(names) + 5
    assert calls.count("place_async") <= 2


def counted(name: str, calls: list[str]) -> Callable[..., Any]:
    """A method of the worker's that notes its calls."""
    method = getattr(AsyncWorkerManager, name)

    async def call(*arguments: Any, **options: Any) -> Any:
        calls.append(name)
        return await method(*arguments, **options)

    return call
