"""A worker that is declared dead leaves a note, and its jobs say with which worker they were lost."""

from __future__ import annotations

import datetime
import json
from collections.abc import AsyncIterator

import pytest

import adjourn
from adjourn import Batch, BatchItem
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.outcomes import HandedBack
from adjourn.events import DeadWorker
from adjourn.jobs import AuditNote, Author
from adjourn.sql.constants import NOTED_TEXT, RESCUED_IDS, RESCUED_NAMES
from adjourn.testing import InMemoryConnector
from adjourn.types import JSONDict, Statement

SAID = '{"host": "web-3", "pid": 4242, "rss": 71000000}'


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


def manager_of(app: adjourn.App) -> AsyncWorkerManager:
    return AsyncWorkerManager(app.connector.get_async_connector(), app.connector.json_loads)


async def died_async(app: adjourn.App) -> list[AuditNote]:
    """The notes of workers that have died, the first one first."""
    found = await app.job_manager.actions.list_audit_async()
    return [note for note in reversed(found) if note.action == "worker.died"]


async def test_a_dead_worker_leaves_a_note_of_who_it_was_and_what_became_of_its_jobs(app: adjourn.App) -> None:
    manager = manager_of(app)
    ids = await app.configure_task("any").batch_defer_async({}, {}, {})
    once = await app.configure_task("once", max_attempts=0).defer_async()
    worker = await manager.register_worker_async("mail", None, 1000)
    await manager.exchange_async(worker, (), limit=4, queues=None)
    await manager.heartbeat_async(worker, -1, (), (), SAID)
    rescue = await manager.rescue_async(5, 0, "other", "worker")
    assert (rescue.counts, rescue.died) == ((3, 1), 1)
    (note,) = await died_async(app)
    assert note.author == Author(name="other", how="worker")
    assert (note.target, note.jobs) == (f"worker {worker}", 4)
    assert note.details is not None
    (dead,) = rescue.deaths
    assert DeadWorker.of(note.details) == dead
    assert (dead.id, dead.name, dead.host, dead.pid, dead.is_silent) == (worker, "mail", "web-3", 4242, True)
    assert (dead.freed, dead.freed_ids, dead.failed, dead.failed_ids) == (3, tuple(ids), 1, (once,))
    assert abs((note.at - dead.last_heartbeat_at).total_seconds()) < 60
    assert note.details["rss"] == 71_000_000
    beat = dead.last_heartbeat_at.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")
    told = f"mail on web-3, pid 4242, last heartbeat {beat} UTC: 3 of its jobs freed, 1 failed"
    assert note.outcome == told


async def test_a_worker_that_dies_idle_or_has_never_said_where_it_is_leaves_one_as_well(app: adjourn.App) -> None:
    manager = manager_of(app)
    worker = await manager.register_worker_async("idle", None, 1000)
    await manager.heartbeat_async(worker, -1)
    rescue = await manager.rescue_async(5, 0, "other", "worker")
    assert (rescue.counts, rescue.dead_workers, rescue.died) == ((0, 0), 0, 1)
    (note,) = await died_async(app)
    assert note.details is not None
    assert (note.jobs, note.details["host"], note.details["freed_ids"]) == (0, None, [])
    assert note.outcome.startswith("idle, last heartbeat 2")
    assert note.outcome.endswith("UTC: it had no jobs")
    assert (await manager.rescue_async(5, 0)).died == 0
    assert len(await died_async(app)) == 1


async def test_workers_of_one_name_leave_notes_that_can_be_told_apart(app: adjourn.App) -> None:
    manager = manager_of(app)
    workers = [await manager.register_worker_async("mail", None, 1000) for _ in range(RESCUED_NAMES + 2)]
    for worker in workers:
        await manager.heartbeat_async(worker, -1)
    rescue = await manager.rescue_async(5, 0, "other", "worker")
    assert (rescue.died, [each.id for each in rescue.deaths]) == (len(workers), workers[:RESCUED_NAMES])
    assert [note.target for note in await died_async(app)] == [f"worker {worker}" for worker in workers]


async def test_a_note_names_the_first_of_many_jobs(app: adjourn.App) -> None:
    manager = manager_of(app)
    ids = await app.configure_task("any").batch_defer_async(*[{}] * (RESCUED_IDS + 5))
    worker = await manager.register_worker_async("mail", None, 1000)
    await manager.exchange_async(worker, (), limit=100, queues=None)
    await manager.heartbeat_async(worker, -1)
    (dead,) = (await manager.rescue_async(5, 0)).deaths
    assert (dead.freed, dead.freed_ids) == (RESCUED_IDS + 5, tuple(ids[:RESCUED_IDS]))


async def test_one_that_left_with_jobs_and_one_that_was_declared_dead_by_hand_were_not_silent(app: adjourn.App) -> None:
    manager = manager_of(app)
    await app.configure_task("any").defer_async()
    left = await manager.register_worker_async("left", None, 1000)
    await manager.exchange_async(left, (), limit=1, queues=None)
    await manager.unregister_worker_async(left)
    await manager.rescue_async(5, 0, "other", "worker")
    pruned = await manager.register_worker_async("pruned", None, 1000)
    assert await app.job_manager.prune_stalled_workers_async(0) == [pruned]
    ours = app.job_manager.acting_for(Author(name="ann", how="shell"))
    third = await manager.register_worker_async("third", None, 1000)
    assert await ours.prune_stalled_workers_async(0) == [third]
    notes = await died_async(app)
    assert [(note.author.name, note.author.how) for note in notes] == [
        ("other", "worker"),
        ("prune_stalled_workers", "program"),
        ("ann", "shell"),
    ]
    assert all("left with jobs or was declared dead by hand" in note.outcome for note in notes)


async def test_a_run_that_was_lost_is_among_the_errors_of_its_job(app: adjourn.App) -> None:
    manager = manager_of(app)
    job_id = await app.configure_task("any").defer_async()
    workers = []
    for _ in range(2):
        workers.append(await manager.register_worker_async("mail", None, 1000))
        await manager.exchange_async(workers[-1], (), limit=1, queues=None, concurrency=1, running=0)
        await manager.heartbeat_async(workers[-1], -1)
        await manager.rescue_async(5, 0)
    (job,) = await app.job_manager.list_jobs_async(id=job_id)
    assert (job.status, job.attempts) == ("todo", 2)
    first, second = job.errors
    assert (first["exception"], first["attempt"], first["worker_id"]) == (
        "adjourn.exceptions.WorkerLost",
        1,
        workers[0],
    )
    assert (second["attempt"], second["worker_id"], second["worker_name"]) == (2, workers[1], "mail")
    assert first["message"] == "the worker was lost while it ran this job"
    assert second["message"] == "the worker was lost 2 times while it ran this job"


@pytest.mark.parametrize("says", ["nothing", "all", "another claim"])
async def test_a_job_that_was_claimed_ahead_has_begun_if_its_worker_has_said_so(app: adjourn.App, says: str) -> None:
    manager = manager_of(app)
    ids = await app.configure_task("any").batch_defer_async({}, {}, {})
    once = await app.configure_task("once", max_attempts=0).defer_async()
    worker = await manager.register_worker_async("mail", None, 1000)
    claimed = await manager.exchange_async(worker, (), limit=4, queues=None, concurrency=1, running=0)
    said = {
        "nothing": [],
        "all": [(ids[1], 1), (once, 1), (999_999, 1)],
        "another claim": [(ids[1], 2), (once, 0)],
    }[says]
    await manager.heartbeat_async(worker, -1, (), said, SAID)
    rescue = await manager.rescue_async(5, 0)
    has_said = says == "all"
    assert [job.id for job in claimed.jobs] == [*ids, once]
    assert rescue.failed_ids == ((once,) if has_said else ())
    jobs = {job.id: job for job in await app.job_manager.list_jobs_async()}
    assert [jobs[job_id].attempts for job_id in ids] == [1, int(has_said), 0]
    assert [len(jobs[job_id].errors) for job_id in ids] == [1, int(has_said), 0]
    assert jobs[once].status == ("failed" if has_said else "todo")


@pytest.mark.parametrize("running", [0, 1])
async def test_what_a_call_takes_more_has_begun_only_if_its_call_can_have(app: adjourn.App, running: int) -> None:
    @app.task(name="many", batch=Batch(4))
    async def many_async(jobs: list[BatchItem]) -> None: ...

    manager = manager_of(app)
    ids = await many_async.configure(max_attempts=0).batch_defer_async(*[{}] * 4)
    worker = await manager.register_worker_async("mail", None, 1000)
    claimed = await manager.exchange_async(
        worker, (), limit=1, queues=None, concurrency=1, running=running, batches='{"many": 4}'
    )
    assert [job.id for job in claimed.jobs] == ids
    await manager.heartbeat_async(worker, -1)
    rescue = await manager.rescue_async(5, 0)
    assert rescue.counts == ((4, 0) if running else (0, 4))


async def test_a_job_that_was_handed_back_and_claimed_ahead_again_has_not_begun(app: adjourn.App) -> None:
    manager = manager_of(app)
    (job_id,) = await app.configure_task("once", max_attempts=0).batch_defer_async({})
    worker = await manager.register_worker_async("mail", None, 1000)
    await manager.exchange_async(worker, (), limit=1, queues=None, concurrency=1, running=0)
    await manager.heartbeat_async(worker, 1000, (), [(job_id, 1)])
    back = (HandedBack(job_id, 1),)
    claimed = await manager.exchange_async(worker, back, limit=1, queues=None, concurrency=1, running=1)
    assert [(job.id, job.claim) for job in claimed.jobs] == [(job_id, 2)]
    await manager.heartbeat_async(worker, -1, (), [(job_id, 1)])
    assert (await manager.rescue_async(5, 0)).counts == (1, 0)
    (job,) = await app.job_manager.list_jobs_async()
    assert (job.status, job.attempts, job.errors) == ("todo", 0, ())


async def test_a_worker_whose_row_lacks_claims_is_rescued(stored: adjourn.App) -> None:
    manager = manager_of(stored)
    ids = await stored.configure_task("any", max_attempts=0).batch_defer_async({}, {}, {})
    worker = await manager.register_worker_async("mail", None, 1000)
    await manager.exchange_async(worker, (), limit=3, queues=None, concurrency=1, running=1)
    await manager.heartbeat_async(worker, -1, (), [(job_id, 1) for job_id in ids])
    change = Statement("change", "update adjourn.adjourn_workers set running_claims = %(claims)s::integer[]")
    await stored.connector.get_async_connector().execute_async(change, {"claims": [1]})
    rescue = await manager.rescue_async(5, 0)
    assert (rescue.failed_ids, rescue.rescued_ids) == ((ids[0],), tuple(ids[1:]))


async def test_a_worker_whose_jobs_were_locked_is_noted_again_only_for_those(stored: adjourn.App) -> None:
    manager = manager_of(stored)
    ids = await stored.configure_task("any").batch_defer_async({}, {})
    worker = await manager.register_worker_async("mail", None, 1000)
    await manager.exchange_async(worker, (), limit=2, queues=None)
    await manager.heartbeat_async(worker, -1)
    async with stored.connector.transaction_async() as transaction:
        lock = Statement("lock", "select id from adjourn.adjourn_jobs where id = %(id)s for update")
        connector = stored.connector.get_async_connector()
        await connector.execute_async(lock, {"id": ids[1]}, connection=transaction)
        assert (await manager.rescue_async(5, 0)).died == 1
        assert (await manager.rescue_async(5, 0)).died == 0
    assert [note.jobs for note in await died_async(stored)] == [1]
    again = await manager.rescue_async(5, 0)
    assert (again.counts, again.died) == ((1, 0), 0)
    notes = await died_async(stored)
    assert [(note.target, note.jobs) for note in notes] == [(f"worker {worker}", 1)] * 2


@pytest.mark.parametrize(
    "said", ["[]", "7", '"web-3"', "null", '{"host": 7, "pid": "x", "rss": [1]}', '{"host": {"a": null}, "pid": true}']
)
async def test_a_worker_may_have_said_anything_of_itself(app: adjourn.App, said: str) -> None:
    manager = manager_of(app)
    worker = await manager.register_worker_async("odd", None, 1000)
    await manager.heartbeat_async(worker, -1, (), (), said)
    (dead,) = (await manager.rescue_async(5, 0)).deaths
    assert (dead.id, dead.host, dead.pid, dead.rss) == (worker, None, None, None)
    assert str(dead).startswith(f"'odd' ({worker}), last heartbeat ")


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({"host": "h" * 5000, "pid": 7}, f" on {'h' * NOTED_TEXT}, pid 7, "),
        ({"host": {"a": "h" * 5000}, "pid": "7" * 5000}, ", "),
        ({"host": ["web-3"], "pid": -7}, ", "),
        ({"host": True, "pid": 10**18, "rss": 10**18}, ", "),
        ({"host": "", "pid": 0}, " on , pid 0, "),
    ],
)
async def test_the_outcome_of_a_note_has_the_beginning_of_what_a_worker_has_said_at_length(
    app: adjourn.App, said: JSONDict, where: str
) -> None:
    manager = manager_of(app)
    worker = await manager.register_worker_async("n" * 5000, None, 1000)
    await manager.heartbeat_async(worker, -1, (), (), json.dumps(said))
    (dead,) = (await manager.rescue_async(5, 0)).deaths
    (note,) = await died_async(app)
    assert note.outcome.startswith(f"{'n' * NOTED_TEXT}{where}last heartbeat 2")
    assert note.details is not None
    assert DeadWorker.of(note.details) == dead
    assert (dead.name, dead.rss) == ("n" * 5000, None)


async def test_a_worker_that_has_said_a_number_of_any_length_is_rescued(stored: adjourn.App) -> None:
    manager = manager_of(stored)
    worker = await manager.register_worker_async("odd", None, 1000)
    await manager.heartbeat_async(worker, -1, (), (), '{"host": "web-3", "pid": 1e9000, "rss": 1.5}')
    (dead,) = (await manager.rescue_async(5, 0)).deaths
    assert (dead.id, dead.host, dead.pid, dead.rss) == (worker, "web-3", None, None)


@pytest.mark.parametrize("time", ["-infinity", "infinity", "20000-01-01Z", "1000-01-01 BC"])
async def test_a_worker_whose_last_heartbeat_was_changed_by_hand_is_rescued(stored: adjourn.App, time: str) -> None:
    manager = manager_of(stored)
    worker = await manager.register_worker_async("odd", None, 1000)
    change = Statement(
        "change",
        "update adjourn.adjourn_workers set last_heartbeat_at = %(time)s::text::timestamptz, expires_at = '-infinity'",
    )
    await stored.connector.get_async_connector().execute_async(change, {"time": time})
    rescue = await manager.rescue_async(5, 0)
    (note,) = await died_async(stored)
    assert (rescue.died, [dead.id for dead in rescue.deaths]) == (1, [worker])
    assert note.outcome.endswith(" UTC: it had no jobs")
