"""The pair of psycopg2 connectors on a real Postgres: who serves whom, pools that are waited for, what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import psycopg2
import pytest
from psycopg2.pool import ThreadedConnectionPool

import adjourn
from adjourn._drivers.psycopg2 import private as psycopg2_private
from adjourn.connector import BaseConnector
from adjourn.contrib.psycopg2 import AsyncPsycopg2Connector, Psycopg2Connector
from adjourn.exceptions import (
    ConnectorException,
    InvalidConnection,
    InvalidOption,
    NoResult,
    SyncConnectorConfigurationError,
)
from adjourn.types import Statement
from support.places import together
from support.sessions import Sessions
from support.waiting import BOUND

ADD = Statement("add", "INSERT INTO scratch (name) VALUES (%(name)s) RETURNING id")
SLOW = Statement("slow", "INSERT INTO scratch (name) SELECT %(name)s FROM pg_sleep(0.3) RETURNING id")
LONG = Statement("sleep", "SELECT pg_sleep(60)")
MINE = Statement("mine", "SELECT pg_backend_pid() AS pid")

Stored = Callable[[], list[str]]


@pytest.fixture
def connector(scratch: str, sessions: Sessions) -> Iterator[AsyncPsycopg2Connector]:
    """A connector that is closed, and has given back every connection when the test is over."""
    yield AsyncPsycopg2Connector(scratch, maxconn=2, timeout=10)
    assert sessions.settle(0) == 0


@pytest.fixture
async def opened(connector: AsyncPsycopg2Connector) -> AsyncIterator[AsyncPsycopg2Connector]:
    """A connector that is open on this event loop."""
    await connector.open_async()
    yield connector
    await connector.close_async()


@contextlib.contextmanager
def own_pool(minconn: int, maxconn: int, dsn: str) -> Iterator[ThreadedConnectionPool]:
    """A pool of the user's, who closes it in the end."""
    pool = ThreadedConnectionPool(minconn, maxconn, dsn)
    yield pool
    assert not pool.closed
    pool.closeall()


def add(connector: BaseConnector, name: str) -> None:
    """What a manager does in synchronous code."""
    connector.get_sync_connector().execute(ADD, {"name": name})


async def add_async(connector: BaseConnector, name: str) -> None:
    """What a manager does in asynchronous code."""
    await connector.get_async_connector().execute_async(ADD, {"name": name})


class TestImporting:
    """Where the connectors are found."""

    def test_both_are_public_names(self) -> None:
        assert adjourn.Psycopg2Connector is Psycopg2Connector
        assert adjourn.AsyncPsycopg2Connector is AsyncPsycopg2Connector
        assert {"Psycopg2Connector", "AsyncPsycopg2Connector"} <= set(adjourn.__all__)

    def test_psycopg2_is_imported_only_by_those_who_use_it(self) -> None:
        program = "import sys, adjourn; adjourn.PsycopgConnector; assert 'psycopg2' not in sys.modules"
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)

    @pytest.mark.parametrize("name", ["Psycopg2Connector", "AsyncPsycopg2Connector"])
    def test_without_the_driver_the_error_names_the_extra(self, name: str) -> None:
        program = f"""
import sys
sys.modules["psycopg2"] = None
import adjourn
try:
    adjourn.{name}
except ImportError as error:
    assert "adjourn[psycopg2]" in str(error), error
else:
    raise AssertionError
"""
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


class TestPsycopg2Connector:
    """A connector that is synchronous and nothing else."""

    @pytest.mark.parametrize(
        "name",
        [
            name
            for name, _ in inspect.getmembers(Psycopg2Connector, inspect.isfunction)
            if name.endswith("_async") and name != "transaction_async"
        ],
    )
    async def test_every_awaited_operation_is_refused_even_before_opening(self, name: str) -> None:
        arguments: dict[str, tuple[Any, ...]] = {"execute_async": (ADD,)}
        arguments |= {f"execute_query{form}_async": ("SELECT 1",) for form in ("", "_one", "_all")}
        with pytest.raises(SyncConnectorConfigurationError, match="async connector"):
            await getattr(Psycopg2Connector(), name)(*arguments.get(name, ()))

    def test_asking_it_for_the_asynchronous_connector_is_refused(self) -> None:
        with pytest.raises(SyncConnectorConfigurationError, match="async connector"):
            Psycopg2Connector().get_async_connector()

    def test_options_are_refused_in_the_name_that_users_write(self) -> None:
        with pytest.raises(InvalidOption, match=r"^Psycopg2Connector has no option 'min_size'"):
            Psycopg2Connector(min_size=1)
        with pytest.raises(InvalidOption, match="adjourn decides"):
            AsyncPsycopg2Connector(async_=True)

    def test_queries_of_the_users_own(self, scratch: str) -> None:
        connector = Psycopg2Connector(scratch)
        connector.open()
        connector.execute_query("INSERT INTO scratch (name) VALUES (%(name)s)", name="ann")
        assert connector.execute_query_all("SELECT name FROM scratch WHERE name LIKE 'a%'") == [{"name": "ann"}]
        assert connector.execute_query_one("SELECT %(number)s::int AS number", number=3) == {"number": 3}
        with pytest.raises(NoResult):
            connector.execute_query_one("SELECT 1 WHERE false")
        connector.close()

    def test_who_came_first_gets_a_connection_first(self, scratch: str) -> None:
        connector = Psycopg2Connector(scratch, maxconn=1)
        connector.open()
        order: list[int] = []

        def wait_in_line(index: int) -> None:
            connector.execute(Statement("sleep", "SELECT pg_sleep(0.02)"))
            order.append(index)

        held = connector.pool.getconn()
        threads = [threading.Thread(target=wait_in_line, args=[index]) for index in range(8)]
        for thread in threads:
            thread.start()
            time.sleep(0.02)
        connector.pool.putconn(held)
        for thread in threads:
            thread.join(30)
        assert order == list(range(8))
        connector.close()

    def test_who_waits_too_long_is_told_what_to_raise(self, scratch: str, sessions: Sessions) -> None:
        connector = Psycopg2Connector(scratch, maxconn=1, timeout=0.5)
        connector.open()
        with ThreadPoolExecutor(1) as executor:
            sleeping = executor.submit(connector.execute, LONG)
            sessions.wait_for(LONG.text)
            with pytest.raises(ConnectorException, match=r"maxconn=1.*0\.5 seconds"):
                add(connector, "ann")
            assert not sleeping.done()
            sessions.cancel(LONG.text)
            with pytest.raises(ConnectorException, match="cancel"):
                sleeping.result(BOUND)
        add(connector, "bob")
        connector.close()

    def test_connections_beyond_minconn_stay_for_a_while(
        self, scratch: str, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connector = Psycopg2Connector(scratch, maxconn=4)
        connector.open()
        together(8, lambda index: connector.execute(SLOW, {"name": f"{index}"}))
        assert sessions.settle(4) == 4
        monkeypatch.setattr(psycopg2_private, "LONGEST_IDLE", 0.0)
        connector.execute(MINE)
        assert sessions.settle(1) == 1
        connector.execute(MINE)
        connector.close()
        assert sessions.settle(0) == 0

    def test_a_thread_that_connects_does_not_keep_the_others_from_working(self, scratch: str, stored: Stored) -> None:
        is_slow, go_on = False, threading.Event()

        def factory(dsn: str) -> Any:
            if is_slow:
                go_on.wait(20)
            return psycopg2.extensions.connection(dsn)

        connector = Psycopg2Connector(scratch, maxconn=2, connection_factory=factory)
        connector.open()
        is_slow = True
        held = connector.pool.getconn()
        with ThreadPoolExecutor(1) as executor:
            connecting = executor.submit(add, connector, "late")
            time.sleep(0.1)
            connector.pool.putconn(held)
            add(connector, "early")
            assert stored() == ["early"]
            go_on.set()
            connecting.result(10)
        connector.close()

    def test_closing_waits_for_calls_in_flight(self, scratch: str, stored: Stored) -> None:
        connector = Psycopg2Connector(scratch, maxconn=1)
        connector.open()
        with ThreadPoolExecutor(3) as executor:
            calls = [executor.submit(connector.execute, SLOW, {"name": name}) for name in "abc"]
            time.sleep(0.1)
            connector.close()
            for call in calls:
                assert call.result(10)
        assert stored() == ["a", "b", "c"]

    def test_closing_does_not_wait_for_ever_and_a_late_connection_is_closed_when_it_comes_back(
        self, scratch: str, sessions: Sessions
    ) -> None:
        connector = Psycopg2Connector(scratch, timeout=0.2)
        connector.open()
        with ThreadPoolExecutor(1) as executor:
            call = executor.submit(connector.execute, LONG)
            sessions.wait_for(LONG.text)
            connector.close()
            assert not call.done()
            sessions.cancel(LONG.text)
            with pytest.raises(ConnectorException, match="cancel"):
                call.result(BOUND)
        assert sessions.settle(0) == 0

    def test_closing_a_session_ends_a_wait_in_another_thread(self, scratch: str) -> None:
        session = Psycopg2Connector(scratch).session()
        session.listen("channel")
        with ThreadPoolExecutor(1) as executor:
            waiting = executor.submit(session.wait_for_notifications, 30)
            time.sleep(0.2)
            session.close()
            with pytest.raises(ConnectorException):
                waiting.result(5)


class TestOpenedOnALoop:
    """`await open_async()`."""

    async def test_tasks_beyond_the_connections_wait_without_threads(
        self, opened: AsyncPsycopg2Connector, stored: Stored
    ) -> None:
        before = threading.active_count()
        adding = [asyncio.create_task(opened.execute_async(SLOW, {"name": f"{index}"})) for index in range(6)]
        await asyncio.sleep(0.1)
        assert threading.active_count() <= before + 2
        await asyncio.gather(*adding)
        assert len(stored()) == 6

    async def test_a_thread_gets_a_session_of_its_own_in_every_state(
        self, connector: AsyncPsycopg2Connector, scratch: str
    ) -> None:
        def use_a_session() -> None:
            session = connector.get_sync_connector().session()
            assert session.execute(Statement("one", "SELECT 1 AS one")) == [{"one": 1}]
            session.close()

        use_a_session()
        await connector.open_async()
        await asyncio.to_thread(use_a_session)
        use_a_session()
        await connector.close_async()
        with own_pool(1, 1, scratch) as pool:
            beside = AsyncPsycopg2Connector("host=nowhere")
            await beside.open_async(pool)
            session = await asyncio.to_thread(beside.session)
            session.close()
            await beside.close_async()


class TestCancelledCalls:
    """Nobody waits any more."""

    async def test_a_cancelled_statement_is_cancelled_on_the_server_and_the_pool_stays_whole(
        self, opened: AsyncPsycopg2Connector, stored: Stored, sessions: Sessions
    ) -> None:
        for _ in range(4):
            with anyio.move_on_after(0.05) as scope:
                await opened.execute_async(SLOW, {"name": "never"})
            assert scope.cancelled_caught
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(opened.execute_async(SLOW, {"name": "never"}), 0.05)
        await asyncio.sleep(0.4)
        await asyncio.gather(*(add_async(opened, f"{number}") for number in range(8)))
        assert stored() == [f"{number}" for number in range(8)]
        assert sessions.count() <= 2

    async def test_a_call_cancelled_while_it_waits_for_its_turn_never_happens(
        self, opened: AsyncPsycopg2Connector, stored: Stored
    ) -> None:
        slow = [asyncio.create_task(opened.execute_async(SLOW, {"name": f"{number}"})) for number in range(2)]
        await asyncio.sleep(0.05)
        waiting = [asyncio.create_task(add_async(opened, f"never {number}")) for number in range(4)]
        await asyncio.sleep(0.05)
        for task in waiting:
            task.cancel()
        assert all(
            isinstance(each, asyncio.CancelledError) for each in await asyncio.gather(*waiting, return_exceptions=True)
        )
        await asyncio.gather(*slow)
        await add_async(opened, "last")
        assert stored() == ["0", "1", "last"]

    async def test_a_server_that_does_not_answer_keeps_nobody_for_long_who_has_given_up(
        self, opened: AsyncPsycopg2Connector, monkeypatch: pytest.MonkeyPatch, sessions: Sessions
    ) -> None:
        monkeypatch.setattr("adjourn._drivers.psycopg2.calls.answers", lambda family, address: False)
        call = asyncio.create_task(opened.execute_async(LONG))
        await asyncio.to_thread(sessions.wait_for, LONG.text)
        call.cancel()
        assert await asyncio.wait([call], timeout=BOUND) == ({call}, set())
        assert call.cancelled()
        # The server is still at it, for nobody has told it.
        sessions.wait_for(LONG.text)
        sessions.cancel(LONG.text)
        # The connection was lost over it, and is replaced.
        await asyncio.gather(*(add_async(opened, f"{number}") for number in range(4)))

    async def test_a_cancelled_statement_on_the_callers_connection_leaves_it_to_the_caller(
        self, scratch: str, stored: Stored
    ) -> None:
        connector = AsyncPsycopg2Connector()
        with contextlib.closing(psycopg2.connect(scratch)) as connection:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connector.execute_async(SLOW, {"name": "never"}, connection=connection), 0.05)
            connection.rollback()
            await connector.execute_async(ADD, {"name": "ann"}, connection=connection)
            connection.commit()
        assert stored() == ["ann"]

    async def test_a_session_that_is_cancelled_can_be_closed_at_once(self, scratch: str, sessions: Sessions) -> None:
        session = await AsyncPsycopg2Connector(scratch).session_async()
        await session.listen_async("channel")
        for wait in (
            session.wait_for_notifications_async(30),
            session.execute_async(Statement("sleep", "SELECT pg_sleep(30)")),
        ):
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wait, 0.1)
            assert time.monotonic() - began < 20
        await session.close_async()
        assert sessions.settle(0) == 0


class TestConnectionsOfTheCallers:
    """`connection=`."""

    async def test_both_colours_take_one_wherever_the_caller_is_and_open_or_not(
        self, connector: AsyncPsycopg2Connector, scratch: str, stored: Stored
    ) -> None:
        with contextlib.closing(psycopg2.connect(scratch)) as connection:
            for state in ("closed", "opened"):
                twin = connector.get_sync_connector()
                for name in ("blocking", "awaited"):
                    for end in (connection.rollback, connection.commit):
                        if name == "blocking":
                            twin.execute(ADD, {"name": f"{name}, {state}"}, connection=connection)
                        else:
                            await connector.execute_async(ADD, {"name": f"{name}, {state}"}, connection=connection)
                        end()
                await connector.open_async()
            await connector.close_async()
        assert stored() == ["awaited, closed", "awaited, opened", "blocking, closed", "blocking, opened"]

    async def test_one_in_asynchronous_mode_is_refused(self, connector: AsyncPsycopg2Connector, scratch: str) -> None:
        with contextlib.closing(psycopg2.connect(scratch, async_=True)) as connection:
            with pytest.raises(InvalidConnection, match="async_"):
                await connector.execute_async(ADD, {"name": "ann"}, connection=connection)
            with pytest.raises(InvalidConnection, match="async_"):
                connector.execute(ADD, {"name": "ann"}, connection=connection)


class TestJobs:
    """An app on the connectors."""

    def test_a_job_is_committed_and_rolled_back_with_the_callers_transaction(self, database: str) -> None:
        app = adjourn.App(connector=Psycopg2Connector(database))

        @app.task(name="job")
        def job(number: int) -> None:
            """Do nothing."""

        with app.open(), contextlib.closing(psycopg2.connect(database)) as connection:
            job.configure(connection=connection).defer(number=1)
            connection.rollback()
            kept = job.configure(connection=connection).defer(number=2)
            assert [each.id for each in app.job_manager.list_jobs()] == []
            connection.commit()
            assert [each.id for each in app.job_manager.list_jobs()] == [kept]
            assert app.job_manager.cancel_job_by_id(kept, connection=connection)
            connection.rollback()
            assert app.job_manager.get_job_status(kept).value == "todo"

    def test_managing_works_in_both_colours(self, database: str) -> None:
        app = adjourn.App(connector=AsyncPsycopg2Connector(database))

        @app.task(name="job", lock="lock", queueing_lock=None)
        def job(number: int) -> None:
            """Do nothing."""

        with app.open():
            ids = job.batch_defer(*({"number": number} for number in range(3)))
            assert [each.task_kwargs for each in app.job_manager.list_jobs()] == [{"number": n} for n in range(3)]
            assert next(iter(app.job_manager.list_jobs(id=ids[0]))).scheduled_at is None
            assert app.job_manager.cancel_job_by_id(ids[0])

        async def main() -> None:
            async with app.open_async():
                assert (await app.job_manager.get_job_status_async(ids[0])).value == "cancelled"
                assert await app.job_manager.cancel_job_by_id_async(ids[1], delete_job=True)
                assert [lock["name"] for lock in await app.job_manager.list_locks_async()] == ["lock"]
                assert await app.check_connection_async()
                assert await app.schema_manager.get_version_async() > 0

        asyncio.run(main())
