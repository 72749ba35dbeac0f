"""Unique jobs: of those that are the same, one is stored at a time."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from typing import Any, Literal

import psycopg
import pytest

import adjourn
from adjourn import Deferred, Status, Unique, sql
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn.exceptions import AlreadyEnqueued, InvalidConnection, InvalidOption
from adjourn.testing import InMemoryConnector, MemoryStore
from adjourn.types import Statement

EVERY = list(Status)


@pytest.fixture(params=["in memory", "postgres"])
async def app(request: pytest.FixtureRequest, database: str) -> AsyncIterator[adjourn.App]:
    given = InMemoryConnector() if request.param == "in memory" else adjourn.PsycopgConnector(database)
    app = adjourn.App(connector=given)

    @app.task(name="work")
    def work(doc: int = 0, note: str = "") -> None: ...

    await app.open_async()
    yield app
    await app.close_async()


def unique(app: adjourn.App, rule: Unique, **options: Any) -> Any:
    """The task, with this rule."""
    return app.tasks["work"].configure(unique=rule, **options)


async def listed_async(app: adjourn.App) -> list[tuple[int | None, dict[str, Any]]]:
    return [(job.id, job.task_kwargs) for job in await app.job_manager.list_jobs_async()]


async def run_async(app: adjourn.App, status: Status = Status.SUCCEEDED, *, delete: bool = False) -> None:
    """Run the job that is next."""
    claimed = await claim_async(app)
    await app.job_manager.finish_job_async(claimed, status, delete_job=delete)


async def claim_async(app: adjourn.App) -> adjourn.Job:
    manager = app.job_manager
    claimed = await manager.fetch_job_async(queues=None, worker_id=await manager.register_worker_async())
    assert claimed is not None
    return claimed


async def test_a_second_job_with_the_same_arguments_is_refused(app: adjourn.App) -> None:
    same = unique(app, Unique())
    first = await same.defer_async(doc=1, note="a")
    with pytest.raises(AlreadyEnqueued, match=f"Job {first} has the same unique key") as raised:
        await same.defer_async(note="a", doc=1)
    assert raised.value.job_ids == (first,)
    await same.defer_async(doc=1, note="b")
    assert len(await listed_async(app)) == 2


async def test_a_second_job_is_skipped(app: adjourn.App) -> None:
    same = unique(app, Unique(args=["doc"], on_conflict="skip"))
    first = await same.defer_async(doc=1, note="a")
    assert await same.defer_async(doc=1, note="b") == first
    assert await listed_async(app) == [(first, {"doc": 1, "note": "a"})]


async def test_a_second_job_replaces_the_first(app: adjourn.App) -> None:
    same = unique(app, Unique(args=["doc"], on_conflict="replace"), lock="l", schedule_in={"seconds": 60})
    first = await same.defer_async(doc=1, note="a")
    again = unique(app, Unique(args=["doc"], on_conflict="replace"), queue="other", priority=3, lock="m")
    assert await again.defer_async(doc=1, note="b") == first
    (job,) = await app.job_manager.list_jobs_async()
    assert (job.task_kwargs, job.queue, job.priority, job.lock) == ({"doc": 1, "note": "b"}, "other", 3, "m")
    assert job.scheduled_at is None
    assert (await claim_placed_async(app)).id == first


async def claim_placed_async(app: adjourn.App) -> adjourn.Job:
    """Claim a job that has a lock."""
    job = None

    @app.task(name="never")
    def never() -> None: ...

    await app.run_worker_async(wait=False, install_signal_handlers=False)
    (job,) = await app.job_manager.list_jobs_async()
    assert job.status == "succeeded"
    return job


async def test_a_running_job_is_not_replaced(app: adjourn.App) -> None:
    same = unique(app, Unique(args=["doc"], on_conflict="replace"))
    first = await same.defer_async(doc=1, note="a")
    await claim_async(app)
    job = same.make_new_job(doc=1, note="b")
    assert await app.job_manager.defer_jobs_async([job]) == [Deferred(first, "exists")]
    assert await listed_async(app) == [(first, {"doc": 1, "note": "a"})]


async def test_over_todo_another_may_wait_while_one_runs(app: adjourn.App) -> None:
    same = unique(app, Unique(over=["todo"], on_conflict="replace"))
    first = await same.defer_async()
    await claim_async(app)
    second = await same.defer_async()
    assert second != first
    assert await same.defer_async() == second


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.ABORTED])
async def test_a_job_that_has_ended_counts_only_if_its_status_does(app: adjourn.App, status: Status) -> None:
    first = await unique(app, Unique()).defer_async()
    await run_async(app, status)
    with pytest.raises(AlreadyEnqueued):
        await unique(app, Unique(over=[status])).defer_async()
    assert await unique(app, Unique()).defer_async() != first


async def test_once_the_period_is_over_another_is_stored(app: adjourn.App) -> None:
    hourly = unique(app, Unique(key="report", period=3600, over=EVERY, on_conflict="skip"))
    first = await hourly.defer_async()
    await run_async(app)
    assert await hourly.defer_async() == first
    await pass_time_async(app, 3601)
    assert await hourly.defer_async() != first


async def pass_time_async(app: adjourn.App, seconds: float) -> None:
    if isinstance(app.connector, InMemoryConnector):
        app.connector.store.advance(datetime.timedelta(seconds=seconds))
    else:
        await app.connector.execute_query_async(
            f"update adjourn.adjourn_unique_keys set deferred_at = deferred_at - interval '{seconds} s', "
            f"keep_until = keep_until - interval '{seconds} s'"
        )


async def test_a_job_that_its_worker_has_deleted_counts_as_succeeded_for_the_period(app: adjourn.App) -> None:
    hourly = unique(app, Unique(key="report", period=3600, over=["todo", "doing", "succeeded"], on_conflict="skip"))
    first = await hourly.defer_async()
    await run_async(app, delete=True)
    assert await hourly.defer_async() == first
    await pass_time_async(app, 3601)
    assert await hourly.defer_async() != first


async def test_a_job_that_somebody_has_deleted_does_not_count(app: adjourn.App) -> None:
    ever = unique(app, Unique(over=EVERY))
    first = await ever.defer_async()
    await run_async(app, Status.FAILED)
    assert await app.job_manager.delete_jobs_async([first]) == [first]
    second = await ever.defer_async()
    assert await app.job_manager.cancel_job_by_id_async(second, delete_job=True)
    assert await ever.defer_async() not in (first, second)


async def test_a_job_that_counts_is_kept_unless_it_has_succeeded(app: adjourn.App) -> None:
    daily = Unique(args=["doc"], period=86_400, over=EVERY, on_conflict="skip")
    ids = [await unique(app, daily).defer_async(doc=doc) for doc in range(3)]
    await run_async(app, Status.FAILED)
    await run_async(app, Status.SUCCEEDED)
    await app.job_manager.cancel_job_by_id_async(ids[2])
    await app.job_manager.delete_old_jobs_async(0, include_failed=True, include_cancelled=True)
    assert [id_ for id_, _ in await listed_async(app)] == [ids[0], ids[2]]
    assert [await unique(app, daily).defer_async(doc=doc) for doc in range(3)] == ids
    await pass_time_async(app, 86_401)
    assert await app.job_manager.delete_old_jobs_async(0, include_failed=True, include_cancelled=True) == 2


async def test_a_cancelled_job_does_not_count(app: adjourn.App) -> None:
    first = await unique(app, Unique()).defer_async()
    await app.job_manager.cancel_job_by_id_async(first)
    assert await unique(app, Unique()).defer_async() != first


async def test_a_job_that_is_retried_by_hand_counts_again(app: adjourn.App) -> None:
    first = await unique(app, Unique()).defer_async()
    await run_async(app, Status.FAILED)
    await app.job_manager.retry_job_by_id_async(first)
    with pytest.raises(AlreadyEnqueued):
        await unique(app, Unique()).defer_async()


async def test_a_key_is_the_same_for_every_task_and_its_arguments(app: adjourn.App) -> None:
    @app.task(name="other")
    def other() -> None: ...

    first = await unique(app, Unique(key="k")).defer_async(doc=1)
    with pytest.raises(AlreadyEnqueued) as raised:
        await other.configure(unique=Unique(key="k")).defer_async()
    assert raised.value.job_ids == (first,)
    # Without a key, tasks are apart.
    await unique(app, Unique(args=False)).defer_async()
    await other.configure(unique=Unique(args=False)).defer_async()


@pytest.mark.parametrize(
    ("policy", "values", "outcomes"),
    [("skip", ["a", "c"], ["stored", "exists", "stored"]), ("replace", ["b", "c"], ["stored", "replaced", "stored"])],
)
async def test_a_batch_is_like_one_after_the_other(
    app: adjourn.App, policy: Literal["skip", "replace"], values: list[str], outcomes: list[str]
) -> None:
    same = unique(app, Unique(args=["doc"], on_conflict=policy))
    jobs = [same.make_new_job(doc=doc, note=note) for doc, note in ((1, "a"), (1, "b"), (2, "c"))]
    deferred = await app.job_manager.defer_jobs_async(jobs)
    assert [each.outcome for each in deferred] == outcomes
    assert deferred[0].id == deferred[1].id != deferred[2].id
    assert [arguments["note"] for _, arguments in await listed_async(app)] == values


async def test_a_batch_may_begin_with_what_is_there(app: adjourn.App) -> None:
    same = unique(app, Unique(on_conflict="skip"))
    first = await same.defer_async(doc=1)
    ids = await same.batch_defer_async({"doc": 1}, {"doc": 2}, {"doc": 1}, {"doc": 3})
    assert ids[::2] == [first, first]
    assert [id_ for id_, _ in await listed_async(app)] == [first, ids[1], ids[3]]


async def test_a_replaced_job_keeps_its_new_values_if_a_later_job_of_the_batch_is_stored(app: adjourn.App) -> None:
    replacing = unique(app, Unique(key="k", over=["todo"], on_conflict="replace"))
    beside = unique(app, Unique(key="k", over=["doing"], on_conflict="skip"))
    first = await replacing.defer_async(note="a")
    jobs = [replacing.make_new_job(note="b"), beside.make_new_job(note="c")]
    replaced, stored = await app.job_manager.defer_jobs_async(jobs)
    assert (replaced, stored.outcome) == (Deferred(first, "replaced"), "stored")
    assert [(id_, values["note"]) for id_, values in await listed_async(app)] == [(first, "b"), (stored.id, "c")]


async def test_of_a_batch_with_a_conflict_nothing_is_stored(app: adjourn.App) -> None:
    same = unique(app, Unique())
    first = await same.defer_async(doc=1)
    second = await same.defer_async(doc=2)
    with pytest.raises(AlreadyEnqueued, match="2 jobs have the same unique keys") as raised:
        await same.batch_defer_async({"doc": 3}, {"doc": 2}, {"doc": 1})
    assert raised.value.job_ids == (first, second)
    with pytest.raises(AlreadyEnqueued, match="Two of these jobs have the same unique key") as raised:
        await same.batch_defer_async({"doc": 3}, {"doc": 3})
    assert raised.value.job_ids == ()
    assert [id_ for id_, _ in await listed_async(app)] == [first, second]
    await same.defer_async(doc=3)


async def test_a_batch_may_have_jobs_of_each_kind(app: adjourn.App) -> None:
    plain = app.tasks["work"].configure()
    queueing = app.tasks["work"].configure(queueing_lock="q")
    same = unique(app, Unique(on_conflict="skip"))
    jobs = [
        plain.make_new_job(),
        same.make_new_job(),
        queueing.make_new_job(),
        same.make_new_job(),
        plain.make_new_job(),
    ]
    deferred = await app.job_manager.defer_jobs_async(jobs)
    assert [each.outcome for each in deferred] == ["stored", "stored", "stored", "exists", "stored"]
    assert len(await listed_async(app)) == 4
    with pytest.raises(AlreadyEnqueued, match="queueing lock 'q'"):
        await app.job_manager.defer_jobs_async([same.make_new_job(doc=9), queueing.make_new_job()])
    assert len(await listed_async(app)) == 4
    assert [each.outcome for each in await app.job_manager.defer_jobs_async([plain.make_new_job()])] == ["stored"]
    assert await app.job_manager.defer_jobs_async([]) == []


async def test_a_large_batch_keeps_its_order(app: adjourn.App) -> None:
    same = unique(app, Unique(on_conflict="skip"))
    ids = await same.batch_defer_async(*({"doc": number % 1500} for number in range(3000)))
    assert ids[:1500] == ids[1500:]
    stored = dict(await listed_async(app))
    assert [stored[id_]["doc"] for id_ in ids] == [number % 1500 for number in range(3000)]


async def test_a_task_has_a_rule_of_its_own(app: adjourn.App) -> None:
    @app.task(name="index", unique=Unique(args=["doc"], on_conflict="skip"), queueing_lock=None)
    def index(doc: int, depth: int = 1) -> None: ...

    first = await index.defer_async(doc=1)
    assert await index.defer_async(doc=1, depth=2) == first
    assert await index.configure(unique=Unique()).defer_async(doc=1, depth=3) != first


async def test_a_job_of_a_unique_task_cannot_have_a_queueing_lock_instead(app: adjourn.App) -> None:
    @app.task(name="index", unique=Unique(args=["doc"], on_conflict="skip"))
    def index(doc: int) -> None: ...

    @app.task(name="mail", queueing_lock="mail")
    def mail(doc: int) -> None: ...

    with pytest.raises(
        InvalidOption, match=r"queueing_lock='q': task index is unique.*Unique\(key='q', over=\['todo'\]\)"
    ):
        index.configure(queueing_lock="q")
    with pytest.raises(InvalidOption, match=r"unique=.*task mail has the queueing lock 'mail'"):
        mail.configure(unique=Unique(args=["doc"]))
    with pytest.raises(InvalidOption, match="task index is unique"):
        app.periodic(cron="@daily", queueing_lock="q")(index)
    assert await listed_async(app) == []


async def test_a_job_that_was_there_is_not_told_to_be_deferred(app: adjourn.App) -> None:
    told: list[int] = []
    app.events.subscribe(adjourn.events.JobsDeferred, lambda event: told.append(len(event.jobs)))
    same = unique(app, Unique(args=["doc"], on_conflict="replace"))
    await same.batch_defer_async({"doc": 1}, {"doc": 1}, {"doc": 2})
    await same.defer_async(doc=1)
    assert told == [2]


async def test_keys_of_jobs_that_do_not_count_are_forgotten(app: adjourn.App) -> None:
    ids = await unique(app, Unique()).batch_defer_async(*({"doc": number} for number in range(5)))
    kept = await unique(app, Unique(key="k", period=60, over=EVERY)).defer_async()
    await app.job_manager.cancel_jobs_async([*ids[:3], kept])
    run_async = app.job_manager.run_async
    after: str | None = ""
    forgotten = 0
    while after is not None:
        (row,) = await run_async("forget_keys", {"after": after, "limit": 2})
        after, forgotten = row["last_key"], forgotten + row["forgotten"]
    assert forgotten == 3
    await pass_time_async(app, 61)
    (row,) = await run_async("forget_keys", {"after": "", "limit": 10})
    assert (row["forgotten"], row["last_key"]) == (1, None)


async def test_what_cannot_be_a_rule_is_refused(app: adjourn.App) -> None:
    work = app.tasks["work"]
    with pytest.raises(InvalidOption, match=r"unique='doc': pass an adjourn\.Unique"):
        work.configure(unique="doc")  # type: ignore[call-overload]
    with pytest.raises(InvalidOption, match="takes no argument 'dco'; did you mean 'doc'"):
        work.configure(unique=Unique(args=["dco"]))
    with pytest.raises(InvalidOption, match="exclude each other"):
        work.configure(unique=Unique(), queueing_lock="q")
    with pytest.raises(InvalidOption, match="takes no argument 'x'"):
        app.task(name="index", unique=Unique(args=["x"]))(lambda doc: None)
    with pytest.raises(InvalidOption, match=r"job\.unique"):
        await app.job_manager.defer_job_async(work.configure().job.evolve(unique=5))
    with pytest.raises(InvalidOption, match=r"job\.unique"):
        await app.job_manager.defer_periodic_job_async(unique(app, Unique()).job, "", 0)
    assert await listed_async(app) == []


async def test_a_periodic_task_is_not_unique(app: adjourn.App) -> None:
    with pytest.raises(InvalidOption, match="unique: task tick is periodic"):
        app.periodic(cron="* * * * *")(app.task(name="tick", unique=Unique())(lambda timestamp: None))


async def test_a_job_that_is_skipped_does_not_start_before_the_callers_commit(database: str) -> None:
    """Only if it waits, it will see what the caller's transaction does."""
    async with (
        adjourn.App(connector=adjourn.PsycopgConnector(database)).open_async() as app,
        await psycopg.AsyncConnection.connect(database) as connection,
    ):
        task = app.task(name="work")(lambda: None)
        rule = Unique(over=["todo"], on_conflict="skip")
        worker_id = await app.job_manager.register_worker_async()
        first = await task.configure(unique=rule).defer_async()
        assert await task.configure(unique=rule, connection=connection).defer_async() == first
        assert await app.job_manager.fetch_job_async(queues=None, worker_id=worker_id) is None
        await connection.commit()
        claimed = await app.job_manager.fetch_job_async(queues=None, worker_id=worker_id)
        assert claimed is not None
        assert claimed.id == first


async def test_a_stricter_isolation_is_refused(database: str) -> None:
    async with (
        adjourn.App(connector=adjourn.PsycopgConnector(database)).open_async() as app,
        await psycopg.AsyncConnection.connect(database) as connection,
    ):
        task = app.task(name="work")(lambda: None)
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        with pytest.raises(InvalidConnection, match="READ COMMITTED"):
            await task.configure(unique=Unique(), connection=connection).defer_async()
        # The transaction goes on.
        await task.configure(connection=connection).defer_async()
        await connection.commit()
        assert len(await app.job_manager.list_jobs_async()) == 1


async def test_the_apps_own_connections_are_not_stricter(database: str) -> None:
    strict = psycopg.conninfo.make_conninfo(database, options="-c default_transaction_isolation=serializable")
    async with adjourn.App(connector=adjourn.PsycopgConnector(strict)).open_async() as app:
        task = app.task(name="work")(lambda: None)
        assert await task.configure(unique=Unique()).defer_async()


async def test_what_is_refused_leaves_the_callers_transaction_as_it_was(database: str) -> None:
    async with (
        adjourn.App(connector=adjourn.PsycopgConnector(database)).open_async() as app,
        await psycopg.AsyncConnection.connect(database) as connection,
    ):
        task = app.task(name="work")(lambda: None)
        first = await task.configure(unique=Unique(key="a")).defer_async()
        with pytest.raises(AlreadyEnqueued):
            await task.configure(unique=Unique(key="a"), connection=connection).defer_async()
        second = await task.configure(unique=Unique(key="b"), connection=connection).defer_async()
        # Nobody waits for the key that was refused.
        assert await task.configure(unique=Unique(key="a", on_conflict="skip")).defer_async() == first
        await connection.rollback()
        assert await task.configure(unique=Unique(key="b")).defer_async() != second


def test_two_stores_have_keys_of_their_own() -> None:
    for store in (MemoryStore(), MemoryStore()):
        app = adjourn.App(connector=InMemoryConnector(store=store))
        with app.open():
            app.task(name="work")(lambda: None).configure(unique=Unique()).defer()


async def test_who_replaces_a_job_that_others_wait_for_wakes_no_workers(app: adjourn.App) -> None:
    listener = await app.connector.session_async()
    try:
        first = await unique(app, Unique(key="doc", on_conflict="replace")).defer_async(doc=1)
        flow = app.workflow("sum")
        flow.add(app.tasks["work"], depends_on=first, task_kwargs={"doc": 2})
        await flow.defer_async()
        await AsyncWorkerManager(listener, app.connector.json_loads).place_async(10)
        await listener.listen_async(sql.channel(app.job_manager.schema))
        await unique(app, Unique(key="doc", on_conflict="replace")).defer_async(doc=1)
        assert await listener.wait_for_notifications_async(0.2) == []
    finally:
        await listener.close_async()


async def test_only_a_large_batch_may_take_long(app: adjourn.App, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    connector = app.connector.get_async_connector()
    execute_async = connector.execute_async

    async def note_async(statement: Statement, *arguments: Any, **options: Any) -> Any:
        asked.append(statement.may_take_long)
        return await execute_async(statement, *arguments, **options)

    monkeypatch.setattr(type(connector), "execute_async", staticmethod(note_async))
    await unique(app, Unique(key="doc")).defer_async(doc=1)
    await unique(app, Unique(args=True)).batch_defer_async(*[{"doc": number} for number in range(1001)])
    assert asked == [False, True]
