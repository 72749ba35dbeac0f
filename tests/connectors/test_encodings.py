"""Databases and connections with an encoding that does not have every character."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import psycopg2
import pytest

import adjourn
from adjourn.exceptions import ConnectorException, InvalidOption, InvalidTaskArguments
from dispatch.pairs import ADAPTED, DRIVERS, Pair
from support.bench import Bench
from support.databases import apply_schema, new_database

PAIRS = [*DRIVERS, ADAPTED]


@pytest.fixture(params=PAIRS, ids=str)
def pair(request: pytest.FixtureRequest) -> Pair:
    """The connectors of one test."""
    found: Pair = request.param
    return found


@pytest.fixture(scope="module")
def latin1(server_dsn: str) -> Iterator[str]:
    """A database in LATIN1, with adjourn's schema."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with new_database(server_dsn, f"adjourn_latin1_{worker}", "LATIN1") as address:
        apply_schema(address)
        yield address


@pytest.fixture(scope="module")
def ascii_only(server_dsn: str) -> Iterator[str]:
    """A database in SQL_ASCII."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with new_database(server_dsn, f"adjourn_ascii_{worker}", "SQL_ASCII") as address:
        yield address


def make_app(pair: Pair, dsn: str) -> adjourn.App:
    """Return an app whose task takes anything, and fails with it if it is told to."""
    app = adjourn.App(connector=pair.connector(dsn, 2, 20))

    @app.task(name="take")
    def take(what: str, fails: bool = False) -> None:
        if fails:
            raise ValueError("Das kostet 5 €")

    return app


async def test_an_app_does_not_open_on_a_database_in_sql_ascii(ascii_only: str, pair: Pair) -> None:
    app = make_app(pair, ascii_only)
    if pair is not ADAPTED:  # whose driver makes its pool itself
        with pytest.raises(ConnectorException, match=r"SQL_ASCII.*encoding 'UTF8'"):
            await app.open_async()
        with pytest.raises(ConnectorException, match=r"SQL_ASCII.*encoding 'UTF8'"):
            app.open()
    with pytest.raises(ConnectorException, match=r"SQL_ASCII.*encoding 'UTF8'"):
        await app.connector.session_async()


async def test_a_pool_of_the_user_on_such_a_database_is_refused_when_it_is_used(ascii_only: str, pair: Pair) -> None:
    if pair is ADAPTED:
        pytest.skip("a third party's pool is known to its driver alone")
    assert pair.pool_async is not None
    app = make_app(pair, ascii_only)
    async with pair.pool_async(ascii_only) as pool, app.open_async(pool):
        # SQLAlchemy itself cannot read what psycopg returns there.
        reason = "bytes" if pair.name == "sqlalchemy-psycopg" else r"SQL_ASCII.*encoding 'UTF8'"
        with pytest.raises(ConnectorException, match=reason):
            await app.tasks["take"].defer_async(what="")


async def test_what_latin1_lacks_is_refused_by_the_name_of_the_argument(latin1: str, pair: Pair) -> None:
    app = make_app(pair, latin1)
    take = app.tasks["take"]
    async with app.open_async():
        with pytest.raises(InvalidOption, match="lock='5 €'"):
            await take.configure(lock="5 €", queue="é").defer_async(what="é")
        with pytest.raises(InvalidOption, match="queue='5 €'"):
            await take.configure(lock="é", queue="5 €").defer_async(what="é")
        with pytest.raises(InvalidOption, match="queueing_lock='5 €'"):
            await take.configure(queueing_lock="5 €").batch_defer_async({"what": "é"})
        jobs = [take.make_job(lock=lock, task_kwargs={"what": "é"}) for lock in ("é", "5 €")]
        with pytest.raises(InvalidOption, match=r"lock\[1\]='5 €'"):
            await app.job_manager.batch_defer_jobs_async(jobs)
        with pytest.raises(InvalidTaskArguments, match="UTF8"):
            await take.batch_defer_async({"what": "é"}, {"what": "5 €"})
        with pytest.raises(InvalidTaskArguments, match="UTF8"):
            await take.configure(lock="é").defer_async(what="5 €")
        assert list(await app.job_manager.list_jobs_async()) == []


async def test_a_worker_does_its_work_in_latin1(latin1: str, pair: Pair) -> None:
    app = make_app(pair, latin1)
    async with app.open_async():
        first = await app.tasks["take"].configure(lock="né").defer_async(what="Zoë")
        second = await app.tasks["take"].configure(lock="né").defer_async(what="é", fails=True)
        await Bench(app).drain()
        jobs = list(await app.job_manager.list_jobs_async())
        await app.job_manager.delete_old_jobs_async(0, include_failed=True)
    assert [(job.id, job.status, job.lock) for job in jobs] == [(first, "succeeded", "né"), (second, "failed", "né")]


def test_what_the_encoding_of_a_callers_connection_lacks_is_refused_by_name(
    database: str, observer: psycopg.Connection
) -> None:
    for connector, connect in (
        (adjourn.SyncPsycopgConnector(database), psycopg.connect),
        (adjourn.Psycopg2Connector(database), psycopg2.connect),
    ):
        app = adjourn.App(connector=connector)
        take = app.task(name="take")(print)
        connection = connect(database, client_encoding="LATIN1")
        with pytest.raises(InvalidOption, match="lock='5 €'"):
            take.configure(lock="5 €", connection=connection).defer()
        take.configure(lock="é", connection=connection).defer()
        connection.commit()
        connection.close()
    assert observer.execute("SELECT lock FROM adjourn.adjourn_jobs").fetchall() == [("é",)] * 2
