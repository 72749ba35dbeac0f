"""What people do with jobs that they look at: fenced by what was seen, noted in the same transaction, and no more than was named."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from typing import Any

import pytest

import adjourn
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn.exceptions import ConnectorException, InvalidOption, JobChanged, NoResult
from adjourn.jobs import Author, Job, Seen
from adjourn.testing import InMemoryConnector
from adjourn.types import Statement

ANN = Author(name="ann", how="password", address="10.0.0.7", request_id="request-1")


@pytest.fixture(params=["in memory", "postgres"])
async def app(request: pytest.FixtureRequest, database: str) -> AsyncIterator[adjourn.App]:
    given = InMemoryConnector() if request.param == "in memory" else adjourn.PsycopgConnector(database)
    app = adjourn.App(connector=given)
    await app.open_async()
    yield app
    await app.close_async()


@pytest.fixture
async def stored(database: str) -> AsyncIterator[adjourn.App]:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    await app.open_async()
    yield app
    await app.close_async()


async def job_async(app: adjourn.App, job_id: int) -> Job:
    (job,) = await app.job_manager.list_jobs_async(id=job_id)
    return job


async def claim_async(app: adjourn.App) -> int | None:
    """Claim the next job, and return its id."""
    manager = app.job_manager
    worker_id = await manager.register_worker_async()
    job = await manager.fetch_job_async(queues=None, worker_id=worker_id)
    return None if job is None else job.id


async def test_only_what_is_named_changes(app: adjourn.App) -> None:
    deferrer = app.configure_task("work", queue="a", priority=1, lock="l", schedule_in={"hours": 1})
    job_id = await deferrer.defer_async(x=1)
    before = await job_async(app, job_id)
    assert await app.job_manager.change_jobs_async([job_id], priority=5) == [job_id]
    assert await job_async(app, job_id) == before.evolve(priority=5)
    assert await app.job_manager.change_jobs_async([job_id], move_to="b") == [job_id]
    assert await job_async(app, job_id) == before.evolve(priority=5, queue="b")
    assert await claim_async(app) is None
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    assert await app.job_manager.change_jobs_async([job_id], schedule_at=at) == [job_id]
    assert await job_async(app, job_id) == before.evolve(priority=5, queue="b", scheduled_at=at)
    assert await app.job_manager.change_jobs_async([job_id], now=True) == [job_id]
    assert await job_async(app, job_id) == before.evolve(priority=5, queue="b", scheduled_at=None)
    assert await claim_async(app) == job_id


async def test_a_job_with_a_higher_priority_goes_before_others_of_its_lock(app: adjourn.App) -> None:
    first, second = [await app.configure_task("work", lock="l").defer_async() for _ in range(2)]
    assert await app.job_manager.change_jobs_async([second], priority=1) == [second]
    assert await claim_async(app) == second
    assert await claim_async(app) is None
    assert await app.job_manager.change_jobs_async([first, second, 999_999], priority=2) == [first]


async def test_the_head_of_a_lock_that_is_put_off_lets_the_next_one_go(app: adjourn.App) -> None:
    first, second = [await app.configure_task("work", lock="l").defer_async() for _ in range(2)]
    worker_id = await app.job_manager.register_worker_async()
    assert await app.job_manager.fetch_job_async(queues=["none"], worker_id=worker_id) is None  # which places them
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    assert await app.job_manager.change_jobs_async([first], schedule_at=later) == [first]
    assert await claim_async(app) == second


async def test_jobs_that_wait_for_others_keep_waiting(app: adjourn.App) -> None:
    flow = app.workflow()
    one = flow.add(app.configure_task("work"))
    flow.add(app.configure_task("work"), depends_on=[one])
    stored = await flow.defer_async()
    ids = [stored.id + 1, stored.id + 2]
    assert await app.job_manager.change_jobs_async(ids, now=True) == ids[:1]
    assert await app.job_manager.change_jobs_async(ids, priority=3) == ids
    assert await claim_async(app) == ids[0]
    assert await claim_async(app) is None


@pytest.mark.parametrize("options", [{}, {"now": True, "schedule_at": datetime.datetime.now(datetime.UTC)}])
async def test_a_change_of_nothing_and_two_times_are_refused(app: adjourn.App, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption, match=r"pass|Pass"):
        await app.job_manager.change_jobs_async([1], **options)


async def test_a_job_that_was_moved_to_a_paused_queue_waits_there(stored: adjourn.App) -> None:
    manager = stored.job_manager
    await manager.pause_queue_async("slow")
    job_id = await stored.configure_task("work", queue="fast").defer_async()
    await manager.change_jobs_async([job_id], move_to="slow")
    assert await claim_async(stored) is None
    await manager.change_jobs_async([job_id], move_to="fast")
    assert await claim_async(stored) == job_id


async def test_what_is_done_with_a_job_is_done_only_while_it_is_as_it_was_seen(
    stored: adjourn.App,
) -> None:
    manager = stored.job_manager
    job_id = await stored.configure_task("work").defer_async()
    seen = Seen(status="todo", claim=0)
    async with stored.connector.transaction_async() as transaction:
        await manager.actions.hold_job_async(job_id, seen, transaction)
        assert await manager.cancel_jobs_async([job_id], transaction) == [job_id]
        await manager.actions.add_audit_async(ANN, "job.cancel", target=str(job_id), connection=transaction)
        assert await manager.actions.list_audit_async() == []
    (note,) = await manager.actions.list_audit_async(target=str(job_id))
    assert (note.author, note.action, note.jobs, note.outcome) == (ANN, "job.cancel", 1, "done")
    async with stored.connector.transaction_async() as transaction:
        with pytest.raises(JobChanged, match=rf"^Job {job_id} has ended meanwhile: cancelled, \d+ s ago"):
            await manager.actions.hold_job_async(job_id, seen, transaction)
        with pytest.raises(JobChanged, match=r"^Job 999999 is gone"):
            await manager.actions.hold_job_async(999_999, seen, transaction)
    other = await stored.configure_task("work").defer_async()
    assert await claim_async(stored) == other
    async with stored.connector.transaction_async() as transaction:
        with pytest.raises(JobChanged, match=rf"^Job {other} has begun to run on worker \d+, \d+ s ago"):
            await manager.actions.hold_job_async(other, seen, transaction)
        await manager.actions.hold_job_async(other, Seen(status="doing", claim=1), transaction)


async def test_notes_come_in_pages_and_a_hostile_text_is_stored(stored: adjourn.App) -> None:
    actions = stored.job_manager.actions
    author = Author(name="\0\ud800<b>", how="header")
    ids = [await actions.add_audit_async(author, "bulk", filter={"queue": "a"}, jobs=n) for n in range(3)]
    assert [note.id for note in await actions.list_audit_async(limit=2)] == ids[:0:-1]
    (last,) = await actions.list_audit_async(before_id=ids[1])
    assert (last.id, last.jobs, last.filter, last.target) == (ids[0], 0, {"queue": "a"}, None)
    assert last.author.name == "\N{REPLACEMENT CHARACTER}?<b>"


async def test_old_notes_are_deleted_the_oldest_first_so_many_at_a_time(stored: adjourn.App) -> None:
    actions = stored.job_manager.actions
    for _ in range(5):
        await actions.add_audit_async(ANN, "job.cancel")
    connector = stored.connector.get_async_connector()
    change = (
        "update adjourn.adjourn_audit set at = now() - make_interval(days => case when id in "
        "(select id from adjourn.adjourn_audit order by id limit 3) then 401 else 399 end)"
    )
    await connector.execute_async(Statement("age", change), {})
    session = await connector.session_async()
    manager = AsyncWorkerManager(session, stored.connector.json_loads)
    assert [await manager.forget_audit_async(400, 2) for _ in range(3)] == [2, 1, 0]
    assert len(await actions.list_audit_async()) == 2
    await session.close_async()


async def test_memory_says_that_it_holds_no_job() -> None:
    app = adjourn.App(connector=InMemoryConnector())
    await app.open_async()
    with pytest.raises(ConnectorException, match="holds no job"):
        await app.job_manager.actions.hold_job_async(1, Seen(status="todo", claim=0), None)
    await app.close_async()


BOB = Author(name="bob@host", how="shell")


async def told_async(app: adjourn.App) -> list[tuple[str, str | None, int, str]]:
    """The notes that there are, the oldest first."""
    notes = await app.job_manager.actions.list_audit_async()
    assert {note.author for note in notes} <= {BOB}
    return [(note.action, note.target, note.jobs, note.outcome) for note in reversed(notes)]


async def test_what_a_manager_does_for_somebody_is_noted(app: adjourn.App) -> None:
    @app.periodic(cron="0 0 * * *", periodic_id="night")
    @app.task(name="clean")
    def clean(timestamp: int) -> None: ...

    manager = app.job_manager.acting_for(BOB)
    assert await manager.pause_queue_async("a", reason="too many mails")
    assert await manager.pause_task_async("t", seconds=3600)
    assert await manager.resume_task_async("t")
    assert await manager.pause_schedule_async("clean", "night", cron="0 0 * * *")
    assert await manager.resume_schedule_async("clean", "night")
    assert await manager.set_limit_async(queue="a", concurrency=3, rate=adjourn.Rate(5, 60))
    assert await manager.set_limit_async(queue="a", concurrency=None, rate=None)
    assert await manager.reset_limit_async(queue="a")
    assert await told_async(app) == [
        ("queue.pause", "a", 0, "because too many mails"),
        ("task.pause", "t", 0, "for 3600 s"),
        ("task.resume", "t", 0, "done"),
        ("schedule.pause", "clean (night)", 0, "done"),
        ("schedule.resume", "clean (night)", 0, "done"),
        ("limit.set", "queue a", 0, "3 at once, 5 in 60 s"),
        ("limit.set", "queue a", 0, "no limit"),
        ("limit.reset", "queue a", 0, "done"),
    ]


async def test_what_changes_jobs_is_noted_with_how_many_they_are(app: adjourn.App) -> None:
    one, two, three, _ = [await app.configure_task("work").defer_async() for _ in range(4)]
    manager = app.job_manager.acting_for(BOB)
    assert await manager.change_jobs_async([one], priority=5) == [one]
    assert await manager.change_jobs_async([one, two], priority=5, move_to="slow", now=True) == [one, two]
    assert await manager.cancel_job_by_id_async(one)
    assert await manager.cancel_jobs_async([one, two, three]) == [two, three]
    assert await manager.retry_jobs_async([two, three], None) == [two, three]
    await manager.retry_job_by_id_async(one)
    assert await manager.cancel_job_by_id_async(one, delete_job=True)
    running = await claim_async(app)
    assert await manager.abort_jobs_async([running or 0]) == [running]
    assert await told_async(app) == [
        ("job.priority", str(one), 1, "priority 5"),
        ("bulk.change", None, 2, f"jobs {one} to {two}, priority 5, to queue slow, now"),
        ("job.cancel", str(one), 1, "done"),
        ("bulk.cancel", None, 2, f"jobs {one} to {three}"),
        ("bulk.retry", None, 2, f"jobs {two} to {three}"),
        ("job.retry", str(one), 1, "done"),
        ("job.delete", str(one), 1, "done"),
        ("job.abort", str(running), 1, "done"),
    ]


async def test_a_change_of_many_jobs_is_noted_by_its_name_and_with_its_filters(app: adjourn.App) -> None:
    for _ in range(3):
        await app.configure_task("work", queue="a").defer_async()
    manager = app.job_manager.acting_for(BOB, target="bulk one", filter={"queue": "a"})
    assert len(await manager.cancel_jobs_async(queue="a")) == 3
    (note,) = await app.job_manager.actions.list_audit_async()
    assert (note.action, note.target, note.filter, note.jobs) == ("bulk.cancel", "bulk one", {"queue": "a"}, 3)


async def test_what_is_done_with_a_workflow_is_noted(app: adjourn.App) -> None:
    flow = app.workflow("order")
    flow.add(app.configure_task("pay"))
    stored = await flow.defer_async()
    manager = app.job_manager.acting_for(BOB)
    assert await manager.cancel_workflow_async(stored.id) == 1
    assert await manager.retry_workflow_async(stored.id) == 1
    with pytest.raises(NoResult):
        await manager.cancel_workflow_async(stored.id + 1_000_000)
    assert await told_async(app) == [
        ("workflow.cancel", str(stored.id), 1, "done"),
        ("workflow.retry", str(stored.id), 1, "done"),
    ]


async def test_of_what_changes_nothing_there_is_no_note(app: adjourn.App) -> None:
    manager = app.job_manager.acting_for(BOB)
    assert not await manager.resume_queue_async("a")
    assert not await manager.reset_limit_async(queue="a")
    assert not await manager.cancel_job_by_id_async(999_999, abort=True)
    assert await manager.cancel_jobs_async([999_999]) == []
    with pytest.raises(NoResult):
        await manager.retry_job_by_id_async(999_999)
    with pytest.raises(NoResult):
        await manager.retry_workflow_async(999_999)
    assert await manager.pause_queue_async("a")
    assert not await manager.pause_queue_async("a")
    assert [action for action, *_ in await told_async(app)] == ["queue.pause"]
    await app.configure_task("work", queue="a").defer_async()
    assert await app.job_manager.resume_queue_async("a")
    assert len(await told_async(app)) == 1


async def test_who_acts_is_an_author(app: adjourn.App) -> None:
    with pytest.raises(InvalidOption, match=r"^author='bob'"):
        app.job_manager.acting_for("bob")  # type: ignore[arg-type]


async def test_a_note_is_part_of_the_transaction_of_its_change(stored: adjourn.App) -> None:
    job_id = await stored.configure_task("work").defer_async()
    manager = stored.job_manager.acting_for(Author(name="\0\ud800'<b>%s %(x)s", how="shell"))

    async def fail_async() -> None:
        async with stored.connector.transaction_async() as transaction:
            assert await manager.cancel_jobs_async([job_id], transaction) == [job_id]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_async()
    assert await manager.actions.list_audit_async() == []
    assert await manager.cancel_jobs_async([job_id]) == [job_id]
    (note,) = await manager.actions.list_audit_async()
    assert note.author.name == "\N{REPLACEMENT CHARACTER}?'<b>%s %(x)s"


async def test_what_is_paused_is_listed_with_who_did_it_and_why(app: adjourn.App) -> None:
    manager = app.job_manager.acting_for(BOB)
    assert await manager.pause_queue_async("a", reason="the printer is on fire")
    assert await app.job_manager.pause_task_async("t")
    first, second = await manager.list_pauses_async()
    assert (first.name, first.paused_by, first.reason, first.ends_at) == ("a", BOB.name, "the printer is on fire", None)
    assert (second.name, second.paused_by, second.reason, second.ends_at) == ("t", None, None, None)
    assert await manager.pause_queue_async("a", reason="it is repaired")
    (first, _) = await manager.list_pauses_async()
    assert first.reason == "it is repaired"
