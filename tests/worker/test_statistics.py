"""What workers store of what has become of jobs, and how it is read."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn._domain.statistics import OTHER, RUN_BOUNDS, WAIT_BOUNDS
from adjourn._domain.upkeep import timetable_of
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn.events import JobFailed, JobSucceeded
from adjourn.exceptions import InvalidOption
from adjourn.monitor import PeriodFigures, Reader, statistics
from adjourn.testing import InMemoryConnector
from adjourn.worker import tally
from support.bench import Bench

pytestmark = pytest.mark.anyio
HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def reader(app: adjourn.App) -> Iterator[Reader]:
    reader = Reader(app, "monitor")
    yield reader
    reader.close()


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def read(reader: Reader, **options: Any) -> list[PeriodFigures]:
    return statistics(reader, **{"start": now() - HOUR, "step": 3 * 3600.0, **options})


def by_task(reader: Reader) -> dict[str, dict[str, int]]:
    return {str(each.task): dict(each.jobs) for each in read(reader, by_task=True)}


async def test_every_end_of_a_run_is_counted_also_by_a_worker_that_does_not_wait(
    app: adjourn.App, bench: Bench, reader: Reader
) -> None:
    @app.task(name="works")
    async def works() -> None: ...

    @app.task(name="flaky", retry=adjourn.RetryStrategy(max_attempts=1))
    def flaky() -> None:
        raise LookupError("no")

    @app.task(name="sleeps", pass_context=True)
    async def sleeps(context: adjourn.JobContext) -> None:
        await context.sleep_async(3600)

    await works.batch_defer_async({}, {}, {})
    await flaky.defer_async()
    await sleeps.defer_async()
    waiting = await works.configure(queue="elsewhere").defer_async()
    assert await app.job_manager.cancel_job_by_id_async(waiting)
    await bench.drain(concurrency=2)
    assert by_task(reader) == {
        "works": {"succeeded": 3, "cancelled": 1},
        "flaky": {"retried": 1, "failed": 1},
        "sleeps": {"suspended": 1},
    }
    (all_,) = read(reader)
    assert all_.ended == 5
    assert all_.failed_share == 0.25
    assert all_.run.count == all_.wait.count == 6
    assert all_.run.seconds > 0
    assert all_.wait.seconds > 0
    (elsewhere,) = read(reader, queue="elsewhere")
    assert (elsewhere.run.count, elsewhere.run.mean, elsewhere.run.percentile(95)) == (0, None, None)
    assert read(reader, queue="nowhere") == []


async def test_the_heartbeat_stores_them_while_the_worker_goes_on(
    app: adjourn.App, bench: Bench, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.task(name="works")
    async def works() -> None: ...

    monkeypatch.setattr(tally, "INTERVAL", 0.0)
    async with bench.working(update_heartbeat_interval=0.1):
        await works.defer_async()
        await bench.until(lambda: by_task(reader) == {"works": {"succeeded": 1}})


async def test_a_worker_may_leave_it(app: adjourn.App, bench: Bench, reader: Reader) -> None:
    @app.task(name="works")
    async def works() -> None: ...

    await works.defer_async()
    await bench.drain(statistics=False)
    assert read(reader) == []


async def test_what_a_dead_worker_leaves_is_counted(
    app: adjourn.App, bench: Bench, reader: Reader, observer: psycopg.Connection
) -> None:
    freed, failed = [await app.configure_task(name).defer_async() for name in ("freed", "failed")]
    observer.execute(
        "with w as (insert into adjourn.adjourn_workers (name, expires_at) values ('gone', now() - interval '1 h') returning id) "
        "update adjourn.adjourn_jobs set worker_id = (select id from w), claim = 9, losses = case id when %s then 4 else 0 end "
        "where id = any(%s)",
        (failed, [freed, failed]),
    )
    await app.job_manager.prune_stalled_workers_async(1)
    assert by_task(reader) == {"freed": {"rescued": 1}, "failed": {"failed": 1}}


def counted(*ends: tuple[str, float], kind: type[Any] = JobSucceeded) -> tally.RunTally:
    """What a worker has counted of runs of tasks that took so many seconds, after a wait of a minute."""
    made = tally.RunTally()
    for name, seconds in ends:
        made.add(_Claimed(name), kind, seconds)  # type: ignore[arg-type]
    return made


class _Claimed:
    queue = "q"
    wait_seconds = 60.0

    def __init__(self, task_name: str) -> None:
        self.task_name = task_name


def store(app: adjourn.App, what: tally.RunTally) -> None:
    connector = app.connector
    with contextlib.closing(connector.session()) as session:
        what.store(SyncWorkerManager(session, connector.json_loads).store_statistics)


async def test_durations_are_told_by_their_buckets(app: adjourn.App, reader: Reader) -> None:
    store(app, counted(("t", 0.004), ("t", 0.04), ("t", 0.04), ("t", 9999.0)))
    (figures,) = read(reader)
    assert figures.run.bounds == RUN_BOUNDS
    assert list(figures.run.counts) == [1, 0, 0, 2, *[0] * 12, 1]
    assert list(figures.wait.counts) == [4 * (bound == 60) for bound in WAIT_BOUNDS] + [0]
    assert figures.run.seconds == pytest.approx(9999.084)
    assert 0.025 <= (figures.run.percentile(50) or 0) <= 0.05
    assert figures.run.percentile(100) == RUN_BOUNDS[-1]
    assert figures.run.percentile(0) == 0


async def test_of_many_runs_each_is_counted(app: adjourn.App, reader: Reader) -> None:
    store(app, counted(*[("t", 0.1), ("u", 0.1), ("t", 0.1)] * 111))
    for figures, jobs in zip(read(reader, by_task=True), (222, 111), strict=True):
        assert figures.jobs == {"succeeded": jobs}
        assert figures.run.count == figures.wait.count == jobs
        assert figures.run.seconds == pytest.approx(0.1 * jobs)
        assert figures.wait.seconds == 60 * jobs


async def test_a_flood_of_names_is_bounded_and_nothing_is_lost(app: adjourn.App, reader: Reader) -> None:
    store(app, counted(*((f"task {n}", 0.1) for n in range(300))))
    found = by_task(reader)
    assert len(found) <= tally.MOST_ROWS
    assert sum(each["succeeded"] for each in found.values()) == 300
    assert found[OTHER]["succeeded"] > 1


async def test_what_cannot_be_stored_is_kept_and_added(app: adjourn.App, reader: Reader) -> None:
    kept = counted(("t", 0.1))

    def fail(text: str) -> None:
        kept.add(_Claimed("t"), JobSucceeded, 0.2)  # type: ignore[arg-type]
        kept.add(_Claimed("t"), JobFailed, 0.2)  # type: ignore[arg-type]
        raise ConnectionError

    with pytest.raises(ConnectionError):
        kept.store(fail)
    store(app, kept)
    store(app, kept)  # nothing is left
    (figures,) = read(reader)
    assert figures.jobs == {"succeeded": 2, "failed": 1}
    assert figures.run.count == 3
    assert figures.run.seconds == pytest.approx(0.5)


@pytest.mark.parametrize("limit", [1, 1000])
async def test_sums_stay_the_same_while_they_become_coarser_and_end_after_ninety_days(
    app: adjourn.App, reader: Reader, observer: psycopg.Connection, limit: int
) -> None:
    for ends in ((("t", 0.1), ("u", 0.2)), (("t", 3.0),)):
        store(app, counted(*ends))

    def grow_old(hours: float, period: int = 3600) -> datetime.datetime:
        past = (now() - datetime.timedelta(hours=hours)).timestamp()
        at = datetime.datetime.fromtimestamp(past // period * period, datetime.UTC)
        observer.execute("update adjourn.adjourn_stats set at = %s", (at,))
        return at

    def add_up() -> None:
        with contextlib.closing(app.connector.session()) as session:
            while SyncWorkerManager(session, app.connector.json_loads).add_up_statistics(limit) >= limit:
                pass

    def seen(**options: Any) -> list[Any]:
        found = read(reader, by_task=True, **options)
        return [(each.task, each.jobs, each.run.seconds, each.run.counts, each.wait.counts) for each in found]

    def levels() -> list[tuple[int, int]]:
        return observer.execute("select level, count(*) from adjourn.adjourn_stats group by level").fetchall()

    before = seen()
    add_up()
    assert levels() == [(0, 3)]  # the minute is not over
    for level, (hours, seconds) in enumerate(((1.0, 60), (5.0, 600), (72.0, 3600), (480.0, 86400)), 1):
        at = grow_old(hours, max(seconds, 3600))
        add_up()
        # One by one, no row is added to another.
        assert levels() == [(level, 3 if limit == 1 else 2)]
        assert seen(start=at, step=7200.0) == before
        figures = read(reader, start=at, step=None)
        assert {each.seconds for each in figures} == {seconds}
        assert {each.at for each in figures} == {at}
        # A period is no shorter than what is kept of it.
        end = at + datetime.timedelta(minutes=1)
        assert {each.seconds for each in read(reader, start=at, end=end, step=60)} == {seconds}
    grow_old(91 * 24.0)
    add_up()
    assert levels() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "yesterday"}, "start='yesterday'"),
        ({"end": datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)}, "after the start"),
        ({"step": 59}, "step=59"),
        ({"step": float("nan")}, "step=nan"),
        ({"start": datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC), "step": 60.0}, "2,000 periods"),
        ({"queue": 1}, "queue=1"),
        ({"by_task": "yes"}, "by_task='yes'"),
    ],
)
async def test_what_cannot_be_asked(reader: Reader, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        read(reader, **options)


async def test_in_memory_there_is_nothing_to_read() -> None:
    app = adjourn.App(connector=InMemoryConnector())
    with pytest.raises(InvalidOption, match="no database"):
        Reader(app, "monitor")


async def test_a_worker_deletes_notes_of_what_people_did_once_they_are_old(
    app: adjourn.App, bench: Bench, observer: psycopg.Connection
) -> None:
    for age in (401, 399, 6):
        await app.job_manager.actions.add_audit_async(adjourn.jobs.Author(name="ann", how="test"), f"{age}")
    observer.execute("update adjourn.adjourn_audit set at = now() - make_interval(days => action::integer)")

    async def left() -> list[str]:
        return [note.action for note in await app.job_manager.actions.list_audit_async()]

    async def forget(expected: list[str], **options: Any) -> None:
        async def is_done() -> bool:
            return await left() == expected

        timetable_of(app.job_manager).forget_audit_at = 0.0
        async with bench.working(**options):
            await bench.until(is_done)

    await forget(["6", "399"])
    await forget(["6"], audit_days=7)
