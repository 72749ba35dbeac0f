"""What a worker says to the database, and the fence that every write of it has to pass."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import AsyncIterator

import psycopg
import pytest

import adjourn
from adjourn import exceptions
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain.outcomes import Ended, Exchanged, HandedBack, Outcome, Retried, Suspended, dump_outcomes
from adjourn.jobs import Job
from adjourn.types import Statement


@pytest.fixture
async def manager(app: adjourn.App) -> AsyncIterator[AsyncWorkerManager]:
    session = await app.connector.session_async()
    yield AsyncWorkerManager(session, app.connector.json_loads)
    await session.close_async()


@pytest.fixture
async def worker(manager: AsyncWorkerManager) -> int:
    return await manager.register_worker_async("one", None, 60)


async def claim_async(
    manager: AsyncWorkerManager, worker: int, limit: int = 10, outcomes: tuple[Outcome, ...] = ()
) -> Exchanged:
    return await manager.exchange_async(worker, outcomes, limit=limit, queues=None)


def ended(job: Job, status: str | None = "succeeded", claim: int | None = None) -> Ended:
    assert job.id is not None
    claim = job.claim if claim is None else claim
    return Ended(job.id, claim, status or "succeeded", is_deleted=status is None)


def retried(job: Job, lock: str | None = None) -> Retried:
    assert job.id is not None
    return Retried(job.id, job.claim, '{"message": "m"}', lock=lock)


async def test_a_claim_gives_each_job_to_one_worker(app: adjourn.App, manager: AsyncWorkerManager, worker: int) -> None:
    ids = await app.configure_task("any", task_kwargs={"x": 1}).batch_defer_async({}, {}, {})
    first = await claim_async(manager, worker, limit=2)
    other = await manager.register_worker_async("two", None, 60)
    second = await claim_async(manager, other)
    assert [job.id for job in first.jobs] == ids[:2]
    assert [job.id for job in second.jobs] == ids[2:]
    assert (await claim_async(manager, worker)).jobs == []
    job = first.jobs[0]
    assert (job.status, job.worker_id, job.claim, job.attempts, job.task_kwargs) == ("doing", worker, 1, 0, {"x": 1})


async def test_only_the_claim_that_is_held_can_end_a_job(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    await app.configure_task("any").defer_async()
    (job,) = (await claim_async(manager, worker)).jobs
    other = await manager.register_worker_async("two", None, 60)
    assert (await claim_async(manager, other, 0, (ended(job),))).refused == {job.id}
    assert (await claim_async(manager, worker, 0, (ended(job, claim=0),))).refused == {job.id}
    assert (await claim_async(manager, other, 0, (HandedBack.of(job),))).refused == {job.id}
    assert (await claim_async(manager, other, 0, (retried(job),))).refused == {job.id}
    assert (await claim_async(manager, worker, 0, (HandedBack.of(job),))).refused == set()
    assert (await claim_async(manager, worker, 0, (HandedBack.of(job),))).refused == {job.id}
    (again,) = (await claim_async(manager, worker)).jobs
    assert (again.claim, again.attempts) == (2, 0)
    assert (await claim_async(manager, worker, 0, (ended(job),))).refused == {job.id}
    assert (await claim_async(manager, worker, 0, (ended(again),))).refused == set()
    assert (await claim_async(manager, worker, 0, (ended(again),))).refused == {job.id}
    (stored,) = await app.job_manager.list_jobs_async()
    assert (stored.status, stored.claim) == ("succeeded", 2)


async def test_a_worker_that_was_declared_dead_claims_nothing_and_cannot_come_back(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    await app.configure_task("any").batch_defer_async({}, {})
    (held,) = (await claim_async(manager, worker, limit=1)).jobs
    await manager.session.execute_async(
        Statement("expire", "update adjourn.adjourn_workers set expires_at = now() - interval '1 s'")
    )
    exchanged = await claim_async(manager, worker)
    assert (exchanged.alive, exchanged.jobs) == (False, [])
    other = await manager.register_worker_async("two", None, 60)
    await manager.heartbeat_async(other, 60)
    assert (await manager.heartbeat_async(other, 60)).expired is True
    assert (await manager.rescue_async(5, 0)).counts == (1, 0)
    assert (await manager.heartbeat_async(other, 60)).expired is False
    assert (await manager.heartbeat_async(worker, 60)).alive is False
    assert (await claim_async(manager, worker, 0, (ended(held),))).refused == {held.id}
    jobs = (await claim_async(manager, other)).jobs
    assert [(job.attempts, job.claim) for job in jobs] == [(1, 2), (0, 1)]


@pytest.mark.parametrize(
    "by_hand",
    [
        "", "delete from adjourn.adjourn_workers", "truncate adjourn.adjourn_workers",
        "truncate adjourn.adjourn_workers restart identity",
    ],
)  # fmt: skip
async def test_a_worker_that_leaves_with_jobs_is_dead_until_they_are_rescued(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int, by_hand: str
) -> None:
    await app.configure_task("any").defer_async()
    (held,) = (await claim_async(manager, worker)).jobs
    if by_hand:
        await manager.session.execute_async(Statement("by_hand", by_hand))
    else:
        await manager.unregister_worker_async(worker)
    other = await manager.register_worker_async("two", None, 60)
    assert (await manager.heartbeat_async(worker, 60)).alive is False
    assert (await manager.heartbeat_async(other, 60)).expired is True
    assert (await manager.rescue_async(5, 0)).counts == (1, 0)
    assert (await manager.heartbeat_async(other, 60)).expired is False
    assert [job.id for job in (await claim_async(manager, other)).jobs] == [held.id]


async def test_a_worker_that_leaves_without_jobs_is_forgotten(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    other = await manager.register_worker_async("two", None, 60)
    await manager.unregister_worker_async(worker)
    await manager.unregister_worker_async(worker)
    assert (await manager.heartbeat_async(other, 60)).expired is False
    workers = Statement("workers", "select id from adjourn.adjourn_workers")
    assert await manager.session.execute_async(workers) == [{"id": other}]


async def test_a_job_that_is_to_run_again_is_not_aborted_for_an_earlier_request(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    job_id = await app.configure_task("any").defer_async()
    await claim_async(manager, worker)
    assert await app.job_manager.cancel_job_by_id_async(job_id, abort=True)
    await app.job_manager.retry_job_by_id_async(job_id)
    (job,) = (await claim_async(manager, worker)).jobs
    assert (job.id, job.abort_requested, job.attempts) == (job_id, False, 1)


@pytest.mark.parametrize("how", ["retried", "sleeps", "waits"])
async def test_a_job_that_was_asked_to_end_as_its_run_ended_does_not_wait(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int, how: str
) -> None:
    job_id = await app.configure_task("any").defer_async()
    (job,) = (await claim_async(manager, worker)).jobs
    assert await app.job_manager.cancel_job_by_id_async(job_id, abort=True)
    outcomes: dict[str, Outcome] = {
        "retried": Retried(job_id, job.claim, retry_in=3600),
        "sleeps": Suspended(job_id, job.claim, seconds=3600),
        "waits": Suspended(job_id, job.claim, seconds=None, event="e"),
    }
    await claim_async(manager, worker, 0, (outcomes[how],))
    (job,) = (await claim_async(manager, worker)).jobs
    assert (job.id, job.abort_requested) == (job_id, True)


async def test_nobody_is_declared_dead_just_after_the_server_has_started(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    await app.configure_task("any").defer_async()
    await claim_async(manager, worker)
    await manager.session.execute_async(
        Statement("expire", "update adjourn.adjourn_workers set expires_at = now() - interval '1 s'")
    )
    assert (await manager.rescue_async(5, 10**6)).counts == (0, 0)
    assert (await manager.heartbeat_async(worker, 60)).alive is True
    assert (await manager.rescue_async(5, 0)).counts == (0, 0)


async def test_the_first_worker_that_is_back_after_an_outage_leaves_the_others_a_heartbeat_to_come_back(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    await manager.register_worker_async("other", None, 60)
    await manager.session.execute_async(
        Statement("expire", "update adjourn.adjourn_workers set expires_at = now() - interval '1 s'")
    )
    first = await manager.heartbeat_async(worker, 60)
    assert (first.alive, first.expired) == (True, False)
    assert (await manager.heartbeat_async(worker, 60)).expired is True


async def test_a_worker_that_is_new_leaves_the_others_a_heartbeat_to_come_back_too(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    await manager.session.execute_async(
        Statement("expire", "update adjourn.adjourn_workers set expires_at = now() - interval '1 s'")
    )
    new = await manager.register_worker_async("new", None, 60)
    first = await manager.heartbeat_async(new, 60)
    assert (first.alive, first.expired) == (True, False)
    assert (await manager.heartbeat_async(new, 60)).expired is True


async def test_a_claim_whose_answer_was_lost_is_put_back(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    ids = await app.configure_task("any").batch_defer_async({}, {}, {})
    await claim_async(manager, worker)
    assert await manager.list_unknown_claims_async(worker, [(ids[0], 1), (ids[1], 1)]) == [HandedBack(ids[2], 1)]
    assert await manager.disown_async(worker, [(ids[0], 1)]) == ids[1:]
    assert await manager.list_unknown_claims_async(worker, [(ids[0], 1)]) == []
    assert [job.id for job in (await claim_async(manager, worker)).jobs] == ids[1:]


async def test_a_claim_whose_answer_was_lost_is_put_back_though_an_older_claim_of_the_job_is_known(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    job_id = await app.configure_task("any").defer_async()
    (job,) = (await claim_async(manager, worker)).jobs
    # This answer is lost: it tells that the retry is stored, and that the job is this worker's again.
    again = Retried(job_id, job.claim)
    (claimed,) = (await manager.exchange_async(worker, [again], limit=1, queues=None)).jobs
    assert (claimed.id, claimed.claim) == (job_id, 2)
    assert await manager.disown_async(worker, [(job_id, 1)]) == [job_id]
    assert [each.claim for each in (await claim_async(manager, worker)).jobs] == [3]


async def test_a_locked_job_is_placed_before_it_can_be_claimed(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    first, second = await app.configure_task("any", lock="l").batch_defer_async({}, {})
    exchanged = await claim_async(manager, worker)
    assert (exchanged.jobs, exchanged.place) == ([], True)
    assert (await manager.place_async(200)).moved
    exchanged = await claim_async(manager, worker)
    assert ([job.id for job in exchanged.jobs], exchanged.place) == ([first], False)
    exchanged = await claim_async(manager, worker, 10, (ended(exchanged.jobs[0]),))
    assert [job.id for job in exchanged.jobs] == [second]


async def test_a_better_newcomer_takes_the_place_of_a_head_that_has_not_begun(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    low = await app.configure_task("any", lock="l").defer_async()
    await manager.place_async(200)
    high = await app.configure_task("any", lock="l", priority=9).defer_async()
    await manager.place_async(200)
    (job,) = (await claim_async(manager, worker)).jobs
    assert job.id == high
    higher = await app.configure_task("any", lock="l", priority=10).defer_async()
    await manager.place_async(200)
    exchanged = await claim_async(manager, worker)
    assert exchanged.jobs == []
    (job,) = (await claim_async(manager, worker, 10, (ended(job),))).jobs
    assert job.id == higher
    (job,) = (await claim_async(manager, worker, 10, (ended(job),))).jobs
    assert job.id == low


async def test_a_lock_that_lost_its_head_gets_another(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    first, second = await app.configure_task("any", lock="l").batch_defer_async({}, {})
    await manager.place_async(200)
    await app.job_manager.cancel_job_by_id_async(first)
    assert (await claim_async(manager, worker)).place is True
    assert (await manager.place_async(200)).moved
    assert [job.id for job in (await claim_async(manager, worker)).jobs] == [second]


async def test_a_promotion_that_takes_long_is_waited_for_in_the_next_call(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int, database: str
) -> None:
    """A slow commit of one worker is no failure of another's."""
    await app.configure_task("any", lock="l").defer_async()
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute("select adjourn.adjourn_promote_v1('{m}', null)")
        placed = await manager.place_async(200)
        assert (placed.moved, placed.is_to_repeat) == (False, True)
        await connection.commit()
    assert (await manager.place_async(200)).moved


async def test_a_lock_that_lost_its_head_unnoticed_is_healed(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    first, second = await app.configure_task("any", lock="l").batch_defer_async({}, {})
    await manager.place_async(200)
    await manager.session.execute_async(
        Statement("delete", "delete from adjourn.adjourn_jobs where id = (select min(id) from adjourn.adjourn_jobs)")
    )
    assert not (await manager.place_async(200)).moved
    assert await manager.heal_async(None, 200) == (1, None)
    assert (await manager.place_async(200)).moved
    assert [job.id for job in (await claim_async(manager, worker)).jobs] == [second]
    assert first < second


async def test_locks_are_looked_through_in_pages(app: adjourn.App, manager: AsyncWorkerManager, worker: int) -> None:
    waiting = []
    for number in range(7):
        _, second = await app.configure_task("any", lock=f"lock {number}").batch_defer_async({}, {})
        waiting.append(second)
    await manager.place_async(200)
    await manager.session.execute_async(
        Statement("delete", "delete from adjourn.adjourn_jobs where hold = 0 and lock <> 'lock 3'")
    )
    rest: str | None = None
    noted: list[int] = []
    while not noted or rest is not None:
        number, rest = await manager.heal_async(rest, 3)
        noted.append(number)
    assert noted == [3, 2, 1]
    assert (await manager.place_async(200)).moved
    claimed = {job.id for job in (await claim_async(manager, worker, 10)).jobs}
    assert claimed >= {*waiting} - {waiting[3]}
    assert waiting[3] not in claimed
    assert await manager.heal_async(None, 3) == (0, None)


async def test_a_retry_with_another_lock_frees_the_old_one(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    first, second = await app.configure_task("any", lock="l").batch_defer_async({}, {})
    await manager.place_async(200)
    (job,) = (await claim_async(manager, worker)).jobs
    exchanged = await claim_async(manager, worker, 10, (retried(job, lock="m"),))
    assert exchanged.refused == set()
    assert [job.id for job in exchanged.jobs] == [second]
    await manager.place_async(200)
    (job,) = (await claim_async(manager, worker)).jobs
    assert (job.id, job.lock, job.attempts) == (first, "m", 1)


async def test_a_worker_that_finds_too_little_is_told_of_new_jobs(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    listener = await app.connector.session_async()
    await listener.listen_async(adjourn.sql.channel("adjourn"))
    await app.configure_task("any").defer_async()
    assert await listener.wait_for_notifications_async(0.1) == []
    exchanged = await claim_async(manager, worker)
    assert (len(exchanged.jobs), exchanged.repeat) == (1, True)
    assert (await claim_async(manager, worker)).repeat is False
    await app.configure_task("any").defer_async()
    assert await listener.wait_for_notifications_async(5) == [str(worker)]
    exchanged = await manager.exchange_async(worker, (), limit=1, queues=None, busy=True)
    assert len(exchanged.jobs) == 1
    await app.configure_task("any").defer_async()
    assert await listener.wait_for_notifications_async(0.1) == []
    await listener.close_async()


async def test_due_jobs_are_found_and_the_next_is_announced(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    due = await app.configure_task("any", schedule_in={"milliseconds": 1500}).defer_async()
    await app.configure_task("any", schedule_in={"hours": 1}).defer_async()
    exchanged = await claim_async(manager, worker)
    assert exchanged.jobs == []
    assert exchanged.due_in is not None
    assert exchanged.due_in <= 1.5
    time.sleep(1.6)
    exchanged = await claim_async(manager, worker)
    assert [job.id for job in exchanged.jobs] == [due]
    assert exchanged.due_in is not None
    assert 3500 < exchanged.due_in <= 3600


async def test_an_error_is_appended_to_those_of_earlier_attempts(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    await app.configure_task("any").defer_async()
    (job,) = (await claim_async(manager, worker)).jobs
    (job,) = (await claim_async(manager, worker, 10, (retried(job),))).jobs
    assert job.id is not None
    await claim_async(manager, worker, 0, (Ended(job.id, job.claim, "failed", '{"message": "n"}'),))
    (stored,) = await app.job_manager.list_jobs_async()
    assert stored.errors == ({"message": "m"}, {"message": "n"})


async def test_a_worker_is_refused_by_a_database_without_the_schema(app: adjourn.App) -> None:
    session = await app.connector.session_async()
    manager = AsyncWorkerManager(session, app.connector.json_loads, "nowhere")
    with pytest.raises(exceptions.SchemaOutOfDate, match="schema --apply"):
        await manager.register_worker_async("one", None, 60)
    await session.close_async()


async def test_a_worker_is_refused_by_an_older_schema_and_is_not_registered(manager: AsyncWorkerManager) -> None:
    await manager.session.execute_async(Statement("grow old", "begin; delete from adjourn.adjourn_migrations"))
    with pytest.raises(exceptions.SchemaOutOfDate, match="schema --apply"):
        await manager.register_worker_async("one", None, 60)
    assert await manager.session.execute_async(Statement("look", "select from adjourn.adjourn_workers")) == []
    await manager.session.execute_async(Statement("grow young", "rollback"))


async def test_one_exchange_stores_whatever_has_become_of_jobs(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    ids = await app.configure_task("any").batch_defer_async(*[{}] * 6)
    jobs = (await claim_async(manager, worker)).jobs
    outcomes = (
        ended(jobs[0]),
        retried(jobs[1]),
        HandedBack.of(jobs[2]),
        ended(jobs[3], None),
        ended(jobs[4], claim=7),
        Retried(ids[5], jobs[5].claim, retry_in=3600),
    )
    exchanged = await claim_async(manager, worker, 0, outcomes)
    assert exchanged.refused == {ids[4]}
    assert exchanged.due_in is not None
    assert 3500 < exchanged.due_in <= 3600
    stored = {job.id: (job.status, job.attempts) for job in await app.job_manager.list_jobs_async()}
    assert stored == {
        ids[0]: ("succeeded", 1),
        ids[1]: ("todo", 1),
        ids[2]: ("todo", 0),
        ids[4]: ("doing", 0),
        ids[5]: ("todo", 1),
    }
    again = (await claim_async(manager, worker)).jobs
    assert [(job.id, job.claim) for job in again] == [(ids[1], 2), (ids[2], 2)]


async def test_an_outcome_that_cannot_be_stored_leaves_all_of_them_unstored(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    await app.configure_task("any").batch_defer_async({}, {}, {})
    first, second, third = (await claim_async(manager, worker)).jobs
    assert third.id is not None
    broken = Ended(third.id, third.claim, "failed", '{"message": "\\u0000"}')
    with pytest.raises(exceptions.ConnectorException) as caught:
        await claim_async(manager, worker, 0, (retried(first), HandedBack.of(second), broken))
    assert caught.value.sqlstate == "22P05"
    assert {job.status for job in await app.job_manager.list_jobs_async()} == {"doing"}
    assert (await claim_async(manager, worker, 0, (retried(first), HandedBack.of(second)))).refused == set()


async def test_a_retry_waits_by_the_clock_of_the_database(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    await app.configure_task("any").defer_async()
    (job,) = (await claim_async(manager, worker)).jobs
    assert job.id is not None
    exchanged = await claim_async(manager, worker, 10, (Retried(job.id, job.claim, retry_in=0.5),))
    assert exchanged.jobs == []
    assert exchanged.due_in is not None
    assert 0 < exchanged.due_in <= 0.5
    rows = await manager.session.execute_async(
        Statement("wait", "select extract(epoch from scheduled_at - now())::float as left from adjourn.adjourn_jobs")
    )
    assert 0 < rows[0]["left"] <= 0.5


async def test_a_delay_is_added_to_the_time_of_the_database(app: adjourn.App) -> None:
    statements = adjourn.sql.statements()
    one = {
        "queue": "q",
        "task_name": "t",
        "priority": 0,
        "lock": None,
        "queueing_lock": None,
        "args": "{}",
        "headers": None,
    }
    common = {**one, "scheduled_at": None, "own_transaction": False}
    connector = app.connector.get_async_connector()
    await connector.execute_async(statements["defer_job"], {**common, "schedule_in": 60})
    await connector.execute_async(statements["defer_job"], {**common, "schedule_in": None})
    for queueing_locks in ([None, None, None], ["a", "b", "c"]):  # stored by two texts
        columns = {
            "queue": "q",
            "task_name": ["t"] * 3,
            "priority": 0,
            "queueing_lock": queueing_locks,
            "schedule_in": [None, 120.0, 0.5],
        }
        many = {"args": "[{}, {}, {}]", "columns": json.dumps(columns), "own_transaction": False}
        await connector.execute_async(statements["defer_jobs"], many)
    text = "select round(extract(epoch from scheduled_at - enqueued_at), 1)::float as wait from adjourn.adjourn_jobs"
    rows = await connector.execute_async(Statement("waits", text + " order by id"))
    assert [row["wait"] for row in rows] == [60, None, None, 120, 0.5, None, 120, 0.5]


@pytest.mark.parametrize("known", ["nothing", "that there are none"])
async def test_outcomes_find_their_jobs_one_by_one_however_many_there_are(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int, known: str
) -> None:
    statements = adjourn.sql.statements()
    explain = Statement("explain", f"explain (analyze, buffers, format json) {statements['exchange'].text}")

    async def pages_read_async(outcomes: tuple[Outcome, ...]) -> int:
        parameters = {
            "worker_id": worker,
            **dump_outcomes(outcomes),
            "limit": 0,
            "queues": None,
            "busy": False,
            "probe": False,
            "concurrency": 1,
            "running": 0,
            "apart": None,
            "tasks": None,
            "patience": 60.0,
            "listens": True,
            "called": False,
            "follow": 0,
            "floors": None,
            "batches": None,
        }
        (row,) = await manager.session.execute_async(explain, parameters)
        return int(row["QUERY PLAN"][0]["Plan"]["Shared Hit Blocks"])

    def outcomes_of(jobs: list[Job]) -> tuple[Outcome, ...]:
        return tuple((ended(job), retried(job), HandedBack.of(job))[n % 3] for n, job in enumerate(jobs))

    fill = Statement(
        "fill",
        "insert into adjourn.adjourn_jobs (queue, task_name, priority, args, hold)"
        " select 'other', 't', 0, '{}', 0 from generate_series(1, 20000)",
    )
    if known != "nothing":
        await manager.session.execute_async(fill)
        await manager.session.execute_async(Statement("empty", "delete from adjourn.adjourn_jobs"))
        await manager.session.execute_async(Statement("analyze", "analyze adjourn.adjourn_jobs"))
    # Plans are made, and kept, while there are few jobs.
    await app.configure_task("any").batch_defer_async(*[{}] * 300)
    jobs = (await claim_async(manager, worker, 60)).jobs
    for n in range(8):
        await pages_read_async(outcomes_of(jobs[n * 3 : n * 3 + 3]))
        await pages_read_async(tuple(map(ended, jobs[30 + n * 3 : n * 3 + 33])))
    await manager.session.execute_async(fill)
    # The least of three: others may have had the server forget its catalogs, which are read again then, or make plans anew.
    for outcomes in (outcomes_of(jobs[24:30]), tuple(map(ended, jobs[54:60]))):
        assert min([await pages_read_async(outcomes[n : n + 2]) for n in (0, 2, 4)]) < 200


async def test_a_job_that_has_lost_too_many_workers_names_the_last_and_its_times(
    app: adjourn.App, manager: AsyncWorkerManager, worker: int
) -> None:
    await app.configure_task("any").defer_async()
    (job,) = (await claim_async(manager, worker)).jobs
    dead = Statement("dead", "update adjourn.adjourn_workers set expires_at = now() - interval '1 s'")
    await manager.session.execute_async(dead)
    assert (await manager.rescue_async(1, 0)).counts == (0, 1)
    (lost,) = await app.job_manager.list_jobs_async(id=job.id)
    (error,) = lost.errors
    assert error["exception"] == "adjourn.exceptions.WorkerLost"
    assert (error["worker_id"], error["worker_name"], error["attempt"]) == (worker, "one", 1)
    started, ended = (datetime.datetime.fromisoformat(error[name]) for name in ("started_at", "ended_at"))
    assert (started, ended) == (lost.started_at, lost.finished_at)
