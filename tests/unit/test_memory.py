"""The in-memory connector: what it promises beyond doing what Postgres does, which the property tests see to."""

from __future__ import annotations

import asyncio
import datetime
import inspect
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import adjourn
from adjourn import exceptions, sql
from adjourn._memory.statements import ANSWERS
from adjourn._memory.store import TRANSACTIONS
from adjourn._sync.connectors.memory import SyncInMemorySession
from adjourn.testing import InMemoryConnector, MemoryStore, SyncInMemoryConnector
from adjourn.types import Statement

STATEMENTS = sql.statements()
NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize("kind", [InMemoryConnector, SyncInMemoryConnector])
@pytest.mark.parametrize(("option", "value"), [("json_dumps", 5), ("json_loads", "x")])
def test_what_is_no_function_cannot_read_or_write_json(kind: Any, option: str, value: Any) -> None:
    with pytest.raises(exceptions.InvalidOption, match=rf"^{option}="):
        kind(**{option: value})


def test_it_answers_every_statement_and_version_of_the_schema_and_no_other() -> None:
    versions = {version.statement.name for version in sql.versions()}
    assert ANSWERS.keys() | TRANSACTIONS == STATEMENTS.keys() | versions


def test_each_answer_takes_the_parameters_of_its_statement() -> None:
    for name, answer in ANSWERS.items():
        parameters = list(inspect.signature(answer).parameters.values())[1:]
        if parameters and parameters[0].kind is inspect.Parameter.VAR_KEYWORD:
            continue  # it takes whatever is given, and does nothing
        assert {each.name for each in parameters} == set(re.findall(r"%\((\w+)\)s", STATEMENTS[name].text)), name


def test_it_needs_neither_a_driver_nor_pytest() -> None:
    program = (
        "import sys, adjourn.testing; app = adjourn.App(connector=adjourn.testing.InMemoryConnector());"
        "app.open(); app.configure_task('any', queue='q').defer(); app.close();"
        "print([name for name in sys.modules if name.startswith(('psycopg', 'sqlalchemy', 'asyncpg', 'pytest', '_pytest'))])"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_jobs_can_be_looked_at_by_id_and_outlive_the_connection(app: adjourn.App, connector: InMemoryConnector) -> None:
    with app.open():
        job_id = app.configure_task("greet", queue="q", lock="l").defer(name="Ann")
    job = connector.jobs[job_id]
    assert (job["task_name"], job["status"], job["args"], job["lock"]) == ("greet", "todo", {"name": "Ann"}, "l")
    assert job["queue"] == job["queue_name"] == "q"


def test_what_was_asked_of_it_is_remembered_until_it_is_reset(app: adjourn.App, connector: InMemoryConnector) -> None:
    with app.open():
        app.configure_task("greet").defer(name="Ann")
        app.check_connection()
        assert [name for name, _ in connector.queries] == ["defer_job", "check_connection"]
        assert connector.queries[0][1]["task_name"] == "greet"
        connector.reset()
        assert (connector.jobs, connector.queries) == ({}, [])
        assert app.configure_task("greet").defer() == 1


def test_arguments_come_back_as_postgres_would_write_them(app: adjourn.App, connector: InMemoryConnector) -> None:
    with app.open():
        app.configure_task("any").defer(bb=1, a={"ü": [1.50, 1e3, -0.0, None, True, "é\n"]})
    (row,) = connector.store.rows()
    assert row["args"] == '{"a": {"ü": [1.5, 1000.0, 0.0, null, true, "é\\n"]}, "bb": 1}'


def test_the_users_own_json_functions_are_used() -> None:
    connector = InMemoryConnector(
        json_dumps=lambda value: f'{{"wrapped": "{value["x"]}"}}', json_loads=lambda text: {"x": text}
    )
    app = adjourn.App(connector=connector)
    with app.open():
        app.configure_task("any").defer(x=5)
        (job,) = app.job_manager.list_jobs()
    assert job.task_kwargs == {"x": '{"wrapped": "5"}'}


def test_a_connection_of_the_callers_is_refused_with_the_remedy_open_or_not(app: adjourn.App) -> None:
    for _ in range(2):
        with pytest.raises(exceptions.InvalidConnection, match=r"builtins\.str.*Leave `connection` out"):
            app.configure_task("any", connection="mine").defer()
        app.open()
    app.close()


async def test_a_connection_of_the_callers_is_refused_when_awaited_too(app: adjourn.App) -> None:
    with pytest.raises(exceptions.InvalidConnection, match="Leave `connection` out"):
        await app.configure_task("any", connection="mine").defer_async()


def test_a_pool_is_refused_and_leaves_it_closed(app: adjourn.App, connector: InMemoryConnector) -> None:
    with pytest.raises(exceptions.InvalidOption, match=r"has no pool.*Open it without one"):
        app.open("pool")
    with pytest.raises(exceptions.AppNotOpen):
        _ = connector.pool


def test_sql_of_the_users_own_is_refused_with_the_remedy(connector: InMemoryConnector) -> None:
    connector.open()
    with pytest.raises(exceptions.ConnectorException, match=r"cannot execute SQL.*a connector to Postgres"):
        connector.execute_query("select 1")
    with pytest.raises(exceptions.ConnectorException, match=r"'defer_job' was not given its parameters.*queue"):
        connector.execute(STATEMENTS["defer_job"], {})
    connector.close()


def test_who_serves_synchronous_calls_is_decided_as_for_any_connector(connector: InMemoryConnector) -> None:
    twin = connector.get_sync_connector()
    assert isinstance(twin, SyncInMemoryConnector)
    assert connector.get_sync_connector() is twin
    app = adjourn.App(connector=connector)

    async def run() -> None:
        async with app.open_async():
            assert connector.get_sync_connector() is connector
            with pytest.raises(exceptions.WrongCaller, match="_async"):
                app.configure_task("any").defer()
            job_id = await asyncio.to_thread(app.configure_task("any").defer)
            assert list(connector.jobs) == [job_id]

    asyncio.run(run())
    assert connector.get_sync_connector() is twin


async def test_a_synchronous_one_refuses_what_is_awaited() -> None:
    app = adjourn.App(connector=SyncInMemoryConnector())
    with pytest.raises(exceptions.SyncConnectorConfigurationError):
        await app.configure_task("any").defer_async()


def test_before_and_after_it_is_open_every_call_is_served_for_there_is_nothing_to_open(
    app: adjourn.App, connector: InMemoryConnector
) -> None:
    for _ in range(2):
        app.configure_task("any").defer()
        asyncio.run(app.configure_task("any").defer_async())
        with app.open():
            asyncio.run(app.configure_task("any").batch_defer_async({}, {}))
        app.close()
    assert list(connector.jobs) == [*range(1, 9)]


def test_a_synchronous_one_need_not_be_opened_either() -> None:
    app = adjourn.App(connector=SyncInMemoryConnector())
    app.configure_task("any").defer()
    with app.open():
        app.configure_task("any").defer()
    assert len(app.job_manager.list_jobs()) == 2


async def test_a_worker_runs_though_nobody_opened_the_app(app: adjourn.App) -> None:
    done: list[int] = []

    @app.task(name="add")
    def add(n: int) -> None:
        done.append(n)
        if n:
            add.defer(n=n - 1)

    with app.replace_connector(InMemoryConnector()) as replaced:
        await add.defer_async(n=1)
        await replaced.run_worker_async(wait=False, install_signal_handlers=False)
        (first, second) = await replaced.job_manager.list_jobs_async()
    assert done == [1, 0]
    assert (first.status, second.status) == ("succeeded", "succeeded")


def test_several_connectors_can_share_a_store(connector: InMemoryConnector) -> None:
    other = adjourn.App(connector=SyncInMemoryConnector(store=connector.store))
    with other.open():
        other.configure_task("any").defer()
    assert len(connector.jobs) == 1


def test_the_same_jobs_are_seen_from_threads_and_from_an_event_loop(
    app: adjourn.App, connector: InMemoryConnector
) -> None:
    async def run() -> None:
        async with app.open_async():
            defer = app.configure_task("any").defer
            with ThreadPoolExecutor(8) as executor:
                loop = asyncio.get_running_loop()
                threads = [loop.run_in_executor(executor, defer) for _ in range(50)]
                tasks = [app.configure_task("any").defer_async() for _ in range(50)]
                ids = await asyncio.gather(*threads, *tasks)
        assert sorted(ids) == list(range(1, 101)) == list(connector.jobs)

    asyncio.run(run())


def test_of_many_threads_one_gets_the_queueing_lock(connector: InMemoryConnector) -> None:
    app = adjourn.App(connector=connector)
    barrier = threading.Barrier(8)

    def defer(_: int) -> bool:
        barrier.wait()
        try:
            app.configure_task("any", queueing_lock="one").defer()
        except exceptions.AlreadyEnqueued:
            return False
        return True

    with app.open(), ThreadPoolExecutor(8) as executor:
        assert sum(executor.map(defer, range(8))) == 1


def test_time_can_be_moved(connector: InMemoryConnector) -> None:
    app = adjourn.App(connector=connector)
    with app.open():
        app.configure_task("any", schedule_in={"hours": 1}).defer()
        done: list[int] = []
        app.task(name="any")(lambda: done.append(1))
        app.run_worker(wait=False, install_signal_handlers=False)
        assert done == []
        before = connector.now()
        connector.advance(hours=1)
        assert connector.now() - before >= datetime.timedelta(hours=1)
        app.run_worker(wait=False, install_signal_handlers=False)
        assert done == [1]
        connector.reset()
        assert connector.now() - before < datetime.timedelta(minutes=1)


def test_a_store_can_have_a_clock_of_the_users() -> None:
    connector = InMemoryConnector(store=MemoryStore(now=lambda: NOON))
    app = adjourn.App(connector=connector)
    with app.open():
        first, second = app.configure_task("any").batch_defer({}, {})
        third = app.configure_task("any", schedule_at=NOON + datetime.timedelta(hours=1)).defer()
    assert connector.jobs[first]["enqueued_at"] == connector.jobs[second]["enqueued_at"]
    # No two transactions happen at the same time, so that what ended before now can be told from what ends now.
    assert connector.jobs[second]["enqueued_at"] < connector.jobs[third]["enqueued_at"]
    assert connector.jobs[third]["enqueued_at"] - NOON < datetime.timedelta(milliseconds=1)


def test_a_statement_takes_effect_as_a_whole_or_not_at_all(app: adjourn.App, connector: InMemoryConnector) -> None:
    connector.open()
    with pytest.raises(exceptions.AlreadyEnqueued):
        app.configure_task("any", queueing_lock="one").batch_defer({}, {})
    assert connector.jobs == {}
    job = {"queue": "q", "task_name": "t", "priority": 0, "lock": None, "args": "{}", "headers": None}
    parameters = {**job, "scheduled_at": None, "schedule_in": None, "own_transaction": False}
    with pytest.raises(exceptions.ConnectorException, match="json"):
        connector.execute(STATEMENTS["defer_job"], {**parameters, "args": "{"})
    assert connector.jobs == {}
    connector.close()


def test_the_schema_is_applied(app: adjourn.App) -> None:
    with app.open():
        assert app.check_connection() is True
        assert app.schema_manager.apply_schema() == []
        assert app.schema_manager.get_version() == sql.latest_version()


def defer_in(session: SyncInMemorySession, queue: str) -> None:
    job = {"queue": queue, "task_name": "t", "priority": 0, "lock": None, "args": "{}", "headers": None}
    session.execute(
        STATEMENTS["defer_job"], {**job, "scheduled_at": None, "schedule_in": None, "own_transaction": True}
    )


@pytest.fixture
def session(connector: InMemoryConnector) -> SyncInMemorySession:
    session = connector.session()
    assert isinstance(session, SyncInMemorySession)
    return session


def test_a_session_can_commit_and_roll_back(connector: InMemoryConnector, session: SyncInMemorySession) -> None:
    session.execute(STATEMENTS["begin"])
    defer_in(session, "a")
    assert connector.jobs == {}
    session.execute(STATEMENTS["commit"])
    assert len(connector.jobs) == 1
    session.execute(STATEMENTS["begin"])
    defer_in(session, "a")
    session.execute(STATEMENTS["rollback"])
    assert len(connector.jobs) == 1
    session.execute(STATEMENTS["begin"])
    defer_in(session, "a")
    session.close()
    session.close()
    assert len(connector.jobs) == 1
    with pytest.raises(exceptions.ConnectorException, match="closed"):
        defer_in(session, "a")


def test_of_two_transactions_at_the_same_time_the_second_is_refused(
    connector: InMemoryConnector, session: SyncInMemorySession
) -> None:
    session.execute(STATEMENTS["begin"])
    defer_in(session, "a")
    app = adjourn.App(connector=connector)
    with app.open():
        app.configure_task("any", queue="b").defer()
    with pytest.raises(exceptions.ConnectorException, match="concurrent update") as caught:
        session.execute(STATEMENTS["commit"])
    assert caught.value.sqlstate == "40001"
    assert [job["queue"] for job in connector.jobs.values()] == ["b"]


def test_notifications_come_with_the_commit_once_for_equal_ones(
    connector: InMemoryConnector, session: SyncInMemorySession
) -> None:
    listener = connector.session()
    assert listener.wait_for_notifications(0) == []
    listener.listen("any")
    session.execute(STATEMENTS["begin"])
    defer_in(session, "a")
    defer_in(session, "a")
    assert listener.wait_for_notifications(0.01) == []
    session.execute(STATEMENTS["commit"])
    assert listener.wait_for_notifications(5) == [""]
    timer = threading.Timer(0.02, connector.advance)
    timer.start()
    assert listener.wait_for_notifications(5) == [""]
    timer.join()


async def test_a_notification_from_another_thread_ends_the_wait(connector: InMemoryConnector) -> None:
    session = await connector.session_async()
    await session.listen_async("any")
    waiting = asyncio.create_task(session.wait_for_notifications_async(10))
    await asyncio.sleep(0.01)
    await asyncio.to_thread(connector.advance)
    assert await waiting == [""]
    waiting = asyncio.create_task(session.wait_for_notifications_async(10))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    connector.advance()
    assert await session.wait_for_notifications_async(10) == [""]
    await session.close_async()
    with pytest.raises(exceptions.ConnectorException, match="closed"):
        await session.execute_async(Statement("check_connection", ""), {})
