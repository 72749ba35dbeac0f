"""Old weeks of jobs that are dropped while others use the table."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

import adjourn
from support.sessions import BLOCKED
from support.waiting import until

HOURS = 24 * 14
OLD_WEEK = """
    do $$ declare v_from timestamptz := (date_trunc('week', now() at time zone 'UTC') - interval '9 weeks') at time zone 'UTC'; begin
        execute format('create table adjourn.old_week partition of adjourn.adjourn_finished_jobs for values from (%L) to (%L)',
            v_from, v_from + interval '1 week');
    end $$
"""
STORE = """
    insert into adjourn.adjourn_finished_jobs (
        id, queue, task_name, priority, args, attempts, losses, claim, abort_requested, enqueued_at, status, finished_at
    )
    select nextval('adjourn.adjourn_jobs_id_seq'), 'default', 'old', 0, '{}', 0, 0, 0, false, now(), %s,
           (date_trunc('week', now() at time zone 'UTC') - interval '9 weeks') at time zone 'UTC' + interval '1 hour'
    from generate_series(1, %s)
    returning id
"""


@pytest.fixture
def app(database: str) -> Iterator[adjourn.App]:
    with adjourn.App(connector=adjourn.SyncPsycopgConnector(database)).open() as app:
        yield app


@pytest.fixture
def week(observer: psycopg.Connection) -> Iterator[list[int]]:
    """The ids of a week's jobs, which may be dropped."""
    observer.execute(OLD_WEEK)
    yield [id_ for (id_,) in observer.execute(STORE.encode(), ["succeeded", 100])]
    observer.execute("drop table if exists adjourn.old_week")


@pytest.fixture
def other(database: str) -> Iterator[psycopg.Connection]:
    """Another session, with a transaction of its own."""
    with psycopg.connect(database) as connection:
        yield connection


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def is_there(observer: psycopg.Connection) -> bool:
    row = observer.execute("select to_regclass('adjourn.old_week') is not null").fetchone()
    assert row is not None
    return bool(row[0])


def wait_until_it_waits(observer: psycopg.Connection) -> None:
    """Wait until somebody waits for a lock."""
    until(lambda: observer.execute(BLOCKED).fetchone())


def test_a_job_that_is_stored_late_is_seen_before_its_week_is_dropped(
    app: adjourn.App,
    observer: psycopg.Connection,
    other: psycopg.Connection,
    week: list[int],
    executor: ThreadPoolExecutor,
) -> None:
    late = other.execute(STORE.encode(), ["failed", 1]).fetchone()
    assert late is not None
    deletion = executor.submit(app.job_manager.delete_old_jobs, HOURS)
    wait_until_it_waits(observer)
    other.commit()
    assert deletion.result(timeout=30) == len(week)
    assert is_there(observer)
    assert [job.id for job in app.job_manager.list_jobs()] == [late[0]]


def test_a_job_that_is_revived_leaves_its_week_before_that_is_dropped(
    app: adjourn.App,
    observer: psycopg.Connection,
    other: psycopg.Connection,
    week: list[int],
    executor: ThreadPoolExecutor,
) -> None:
    app.job_manager.retry_job_by_id(week[0], connection=other)
    deletion = executor.submit(app.job_manager.delete_old_jobs, HOURS)
    wait_until_it_waits(observer)
    other.commit()
    assert deletion.result(timeout=30) == len(week) - 1
    assert not is_there(observer)
    assert [(job.id, job.status) for job in app.job_manager.list_jobs()] == [(week[0], "todo")]


def test_jobs_finish_while_a_drop_waits_in_vain(
    app: adjourn.App,
    observer: psycopg.Connection,
    other: psycopg.Connection,
    week: list[int],
    executor: ThreadPoolExecutor,
) -> None:
    # A reader that does not go away: whoever waits for it without limit keeps everybody behind it waiting, too.
    other.execute("select count(*) from adjourn.adjourn_finished_jobs")
    stop = threading.Event()

    def finish() -> int:
        number = 0
        while not stop.is_set():
            assert app.job_manager.cancel_job_by_id(app.configure_task("any").defer())
            number += 1
        return number

    finishing = executor.submit(finish)
    assert app.job_manager.delete_old_jobs(HOURS) == len(week)
    stop.set()
    assert finishing.result(timeout=5) > 0
    assert is_there(observer)
    other.rollback()
    assert app.job_manager.delete_old_jobs(HOURS) == 0
    assert not is_there(observer)


def test_a_week_is_dropped_while_jobs_finish(
    app: adjourn.App, observer: psycopg.Connection, week: list[int], executor: ThreadPoolExecutor
) -> None:
    stop = threading.Event()

    def finish() -> list[int]:
        ids = []
        while not stop.is_set():
            ids.append(app.configure_task("any").defer())
            assert app.job_manager.cancel_job_by_id(ids[-1])
        return ids

    finishing = executor.submit(finish)
    assert app.job_manager.delete_old_jobs(HOURS) == len(week)
    stop.set()
    ids = finishing.result(timeout=5)
    assert not is_there(observer)
    assert [job.id for job in app.job_manager.list_jobs(status="cancelled")] == ids
