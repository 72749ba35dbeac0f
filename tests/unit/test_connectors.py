"""Which connector serves whom, on a real Postgres: every place a call can come from, in every state of the app."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from psycopg_pool import AsyncConnectionPool, AsyncNullConnectionPool, ConnectionPool, NullConnectionPool

from adjourn._sync.psycopg import SyncPsycopgSession
from adjourn.connector_state import State
from adjourn.connectors import BaseConnector, PsycopgConnector, SyncPsycopgConnector
from adjourn.exceptions import (
    AppNotOpen,
    ConnectorException,
    InvalidConnection,
    InvalidOption,
    NoResult,
    SyncConnectorConfigurationError,
    UniqueViolation,
    WrongCaller,
)
from adjourn.selection import Action, Operation
from adjourn.types import Statement
from conftest import Sessions

ADD = Statement("add", "INSERT INTO scratch (name) VALUES (%(name)s) RETURNING id")
SLOW = Statement("slow", "INSERT INTO scratch (name) SELECT %(name)s FROM pg_sleep(0.3) RETURNING id")


@pytest.fixture
def scratch(dsn: str, observer: psycopg.Connection) -> str:
    """A table to play with; the address of the database."""
    observer.execute("DROP TABLE IF EXISTS scratch")
    observer.execute("CREATE TABLE scratch (id integer GENERATED ALWAYS AS IDENTITY, name text UNIQUE)")
    return dsn


@pytest.fixture
def connector(scratch: str, sessions: Sessions) -> Iterator[PsycopgConnector]:
    """A connector that is closed, and has given back every connection when the test is over."""
    yield PsycopgConnector(scratch, min_size=1, max_size=2, timeout=10)
    assert sessions.settle(0) == 0


@pytest.fixture
async def opened(connector: PsycopgConnector) -> AsyncIterator[PsycopgConnector]:
    """A connector that is open on this event loop."""
    await connector.open_async()
    yield connector
    await connector.close_async()


@pytest.fixture
def stored(observer: psycopg.Connection) -> Callable[[], list[str]]:
    """What is in the table, in alphabetical order."""

    def read() -> list[str]:
        return [name for (name,) in observer.execute("SELECT name FROM scratch ORDER BY name").fetchall()]

    return read


def add(connector: BaseConnector, name: str) -> None:
    """What a manager does in synchronous code."""
    connector.get_sync_connector().execute(ADD, {"name": name})


async def add_async(connector: BaseConnector, name: str) -> None:
    """What a manager does in asynchronous code."""
    await connector.get_async_connector().execute_async(ADD, {"name": name})


def in_threads(number: int, call: Callable[[int], Any]) -> list[Any]:
    """Call something in so many threads that begin together, and return the results."""
    start = threading.Barrier(number)

    def run(index: int) -> Any:
        start.wait(10)
        return call(index)

    with ThreadPoolExecutor(number) as executor:
        return list(executor.map(run, range(number), timeout=60))


def on_another_loop(call: Callable[[], Any]) -> Any:
    """Run a coroutine function on a new event loop in another thread."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(lambda: asyncio.run(call())).result(60)


class TestSyncPsycopgConnector:
    """A connector that is synchronous and nothing else."""

    def test_it_returns_itself_as_the_synchronous_connector(self) -> None:
        connector = SyncPsycopgConnector()
        assert connector.get_sync_connector() is connector

    @pytest.mark.parametrize(
        "name",
        [name for name, _ in inspect.getmembers(SyncPsycopgConnector, inspect.isfunction) if name.endswith("_async")],
    )
    async def test_every_awaited_operation_is_refused_even_before_opening(self, name: str) -> None:
        arguments: dict[str, tuple[Any, ...]] = {"execute_async": (ADD,), "execute_batch_async": ([],)}
        arguments |= {f"execute_query{form}_async": ("SELECT 1",) for form in ("", "_one", "_all")}
        with pytest.raises(SyncConnectorConfigurationError, match="async connector"):
            await getattr(SyncPsycopgConnector(), name)(*arguments.get(name, ()))

    def test_asking_it_for_the_asynchronous_connector_is_refused(self) -> None:
        with pytest.raises(SyncConnectorConfigurationError, match="async connector"):
            SyncPsycopgConnector().get_async_connector()

    def test_queries_of_the_users_own(self, scratch: str) -> None:
        connector = SyncPsycopgConnector(scratch, min_size=1)
        connector.open()
        connector.execute_query("INSERT INTO scratch (name) VALUES (%(name)s)", name="ann")
        assert connector.execute_query_all("SELECT name FROM scratch WHERE name LIKE 'a%'") == [{"name": "ann"}]
        assert connector.execute_query_one("SELECT %(number)s::int AS number", number=3) == {"number": 3}
        with pytest.raises(NoResult):
            connector.execute_query_one("SELECT 1 WHERE false")
        connector.close()

    def test_twelve_threads_that_open_make_one_pool_and_can_all_work_at_once(
        self, scratch: str, sessions: Sessions, stored: Callable[[], list[str]]
    ) -> None:
        connector = SyncPsycopgConnector(scratch, min_size=2, max_size=2)

        def open_and_add(index: int) -> None:
            connector.open()
            add(connector, f"{index:02}")

        in_threads(12, open_and_add)
        assert sessions.settle(2) == 2
        connector.close()
        assert sessions.settle(0) == 0
        assert stored() == [f"{index:02}" for index in range(12)]

    def test_closing_waits_for_calls_in_flight(self, scratch: str, stored: Callable[[], list[str]]) -> None:
        connector = SyncPsycopgConnector(scratch, min_size=1, max_size=1)
        connector.open()
        with ThreadPoolExecutor(3) as executor:
            calls = [executor.submit(connector.execute, SLOW, {"name": name}) for name in "abc"]
            time.sleep(0.1)
            connector.close()
            for call in calls:
                assert call.result(10)
        assert stored() == ["a", "b", "c"]


class TestBeforeOpening:
    """Nothing has been opened yet."""

    def test_the_synchronous_connector_is_a_twin_and_always_the_same(self, connector: PsycopgConnector) -> None:
        twin = connector.get_sync_connector()
        assert isinstance(twin, SyncPsycopgConnector)
        assert twin is connector.get_sync_connector()
        assert twin.get_sync_connector() is twin

    def test_the_first_use_by_sixteen_threads_makes_one_twin(self, connector: PsycopgConnector) -> None:
        assert len(set(in_threads(16, lambda _: id(connector.get_sync_connector())))) == 1

    async def test_calls_of_either_colour_say_that_the_app_is_not_open(self, connector: PsycopgConnector) -> None:
        for _ in range(2):
            with pytest.raises(AppNotOpen, match="Open it first"):
                add(connector, "ann")
            with pytest.raises(AppNotOpen, match="Open it first"):
                await add_async(connector, "ann")
            with pytest.raises(AppNotOpen):
                connector.pool  # noqa: B018
            await connector.open_async()
            await connector.close_async()

    def test_an_awaited_call_without_asyncio_is_refused(self, connector: PsycopgConnector) -> None:
        coroutine = connector.execute_async(ADD, {"name": "ann"})
        with pytest.raises(WrongCaller, match="asyncio"):
            coroutine.send(None)

    def test_the_twin_is_made_after_the_original(self, scratch: str) -> None:
        def dumps(value: Any) -> str:
            return json.dumps(value)

        async def configure_async(connection: psycopg.AsyncConnection[Any]) -> None:
            async with connection.cursor() as cursor:
                await cursor.execute("SET application_name = 'configured'")
            if not connection.autocommit:
                await connection.commit()

        connector = PsycopgConnector(
            scratch,
            json_dumps=dumps,
            pool_factory=AsyncNullConnectionPool,
            max_size=3,
            configure=configure_async,
            kwargs={"cursor_factory": psycopg.AsyncClientCursor},
        )
        twin = connector.get_sync_connector()
        assert twin.json_dumps is dumps
        connector.open()
        assert isinstance(connector.pool, NullConnectionPool)
        assert connector.pool.max_size == 3
        (row,) = connector.execute_query_all("SELECT current_setting('application_name') AS name")
        assert row == {"name": "configured"}
        connector.close()

    def test_what_has_no_synchronous_counterpart_is_refused_by_name(self, scratch: str) -> None:
        class OwnPool(AsyncConnectionPool[Any]):
            pass

        with pytest.raises(InvalidOption, match="pool_factory"):
            PsycopgConnector(scratch, pool_factory=OwnPool).open()

    def test_a_configure_that_needs_an_event_loop_is_refused(self, scratch: str, sessions: Sessions) -> None:
        async def configure_async(connection: psycopg.AsyncConnection[Any]) -> None:
            await asyncio.sleep(0.01)

        connector = PsycopgConnector(scratch, configure=configure_async, timeout=2)
        with pytest.raises(InvalidOption, match="configure"):
            connector.open()
        with pytest.raises(AppNotOpen):
            add(connector, "ann")
        assert sessions.settle(0) == 0


class TestOpenedSynchronously:
    """`open()`, in a thread or wherever."""

    def test_opening_calling_and_closing_is_all_it_takes(
        self, connector: PsycopgConnector, stored: Callable[[], list[str]]
    ) -> None:
        connector.open()
        connector.open()
        assert isinstance(connector.pool, ConnectionPool)
        add(connector, "ann")
        connector.execute_batch([(ADD, {"name": "bob"})])
        connector.close()
        connector.close()
        assert stored() == ["ann", "bob"]

    def test_twelve_threads_that_open_make_one_pool(self, connector: PsycopgConnector, sessions: Sessions) -> None:
        in_threads(12, lambda _: connector.open())
        assert sessions.settle(1) == 1
        connector.close()

    async def test_blocking_calls_work_on_an_event_loops_thread_too(
        self, connector: PsycopgConnector, stored: Callable[[], list[str]]
    ) -> None:
        connector.open()
        add(connector, "ann")
        connector.close()
        assert stored() == ["ann"]

    async def test_an_awaited_call_is_refused_and_names_open_async(self, connector: PsycopgConnector) -> None:
        connector.open()
        with pytest.raises(AppNotOpen, match="open_async"):
            await add_async(connector, "ann")
        await connector.close_async()
        with pytest.raises(AppNotOpen):
            add(connector, "ann")

    async def test_opening_on_a_loop_takes_over_without_dropping_work_in_flight(
        self, connector: PsycopgConnector, sessions: Sessions, stored: Callable[[], list[str]]
    ) -> None:
        connector.open()
        twin = connector.get_sync_connector()
        goes_on = True
        added: list[str] = []

        def keep_adding(index: int) -> None:
            number = 0
            while goes_on:
                name = f"{index}-{number:04}"
                (twin if number % 2 else connector.get_sync_connector()).execute(ADD, {"name": name})
                added.append(name)
                number += 1

        adding = asyncio.create_task(asyncio.to_thread(in_threads, 8, keep_adding))
        await asyncio.sleep(0.3)
        await connector.open_async()
        await asyncio.sleep(0.3)
        goes_on = False
        await adding
        assert sessions.settle(2) == 2
        await connector.close_async()
        assert stored() == sorted(added)

    async def test_a_call_planned_for_the_twin_just_before_a_loop_takes_over_is_served_by_that_loop(
        self, connector: PsycopgConnector, monkeypatch: pytest.MonkeyPatch, stored: Callable[[], list[str]]
    ) -> None:
        connector.open()
        loop, plan = asyncio.get_running_loop(), connector._keeper.plan

        def plan_and_be_overtaken(state: State, operation: Operation) -> Action:
            action = plan(state, operation)
            if action is Action.USE_TWIN:
                monkeypatch.undo()
                asyncio.run_coroutine_threadsafe(connector.open_async(), loop).result(30)
            return action

        monkeypatch.setattr(connector._keeper, "plan", plan_and_be_overtaken)
        await asyncio.to_thread(connector.execute, ADD, {"name": "ann"})
        assert connector.get_sync_connector() is connector
        await connector.close_async()
        assert stored() == ["ann"]

    def test_a_twin_held_since_before_opening_obeys_the_rule(
        self, connector: PsycopgConnector, stored: Callable[[], list[str]]
    ) -> None:
        twin = connector.get_sync_connector()

        async def main() -> None:
            await connector.open_async()
            await asyncio.to_thread(twin.execute, ADD, {"name": "ann"})
            with pytest.raises(WrongCaller, match="_async"):
                twin.execute(ADD, {"name": "bob"})
            await connector.close_async()

        asyncio.run(main())
        with pytest.raises(AppNotOpen):
            twin.execute(ADD, {"name": "bob"})
        twin.open()
        twin.execute(ADD, {"name": "cy"})
        connector.close()
        assert stored() == ["ann", "cy"]

    def test_a_pool_of_the_users_is_used_and_let_go(self, scratch: str, sessions: Sessions) -> None:
        connector = PsycopgConnector(scratch, min_size=1)
        with ConnectionPool(scratch, min_size=1, max_size=1, open=False) as pool:
            pool.wait()
            connector.open(pool)
            assert connector.pool is pool
            add(connector, "ann")
            assert sessions.settle(1) == 1
            connector.close()
            assert not pool.closed
            with pytest.raises(AppNotOpen):
                add(connector, "bob")
        connector.open()
        assert sessions.settle(1) == 1
        connector.close()
        assert sessions.settle(0) == 0

    async def test_a_pool_of_the_other_colour_is_refused_and_nothing_is_opened(
        self, connector: PsycopgConnector, scratch: str
    ) -> None:
        async with AsyncConnectionPool(scratch, min_size=1, open=False) as pool:
            with pytest.raises(InvalidOption, match=r"psycopg_pool\.ConnectionPool"):
                connector.open(pool)
        with ConnectionPool(scratch, min_size=1, open=True) as blocking, pytest.raises(InvalidOption, match="Async"):
            await connector.open_async(blocking)
        with pytest.raises(AppNotOpen):
            add(connector, "ann")


class TestOpenedOnALoop:
    """`await open_async()`."""

    async def test_the_connector_answers_itself_as_the_synchronous_one(self, opened: PsycopgConnector) -> None:
        assert opened.get_sync_connector() is opened
        assert isinstance(opened.pool, AsyncConnectionPool)

    async def test_sixteen_threads_are_served_by_the_loops_own_pool(
        self, opened: PsycopgConnector, sessions: Sessions, stored: Callable[[], list[str]]
    ) -> None:
        def add_ten(index: int) -> None:
            for number in range(10):
                add(opened, f"{index:02}-{number}")

        await asyncio.to_thread(in_threads, 16, add_ten)
        assert sessions.count() <= 2
        assert len(stored()) == 160

    @pytest.mark.parametrize("thread_sensitive", [True, False])
    async def test_forty_calls_in_sync_to_async_at_once(
        self, opened: PsycopgConnector, stored: Callable[[], list[str]], thread_sensitive: bool
    ) -> None:
        call = sync_to_async(add, thread_sensitive=thread_sensitive)
        await asyncio.gather(*(call(opened, f"{number:02}") for number in range(40)))
        assert len(stored()) == 40

    async def test_anyio_threads_and_executors_are_served_too(
        self, opened: PsycopgConnector, stored: Callable[[], list[str]]
    ) -> None:
        await anyio.to_thread.run_sync(add, opened, "ann")
        with ThreadPoolExecutor(1) as executor:
            await asyncio.get_running_loop().run_in_executor(executor, add, opened, "bob")
        assert stored() == ["ann", "bob"]

    def test_sync_to_async_within_async_to_sync(
        self, connector: PsycopgConnector, stored: Callable[[], list[str]]
    ) -> None:
        async def main() -> None:
            await connector.open_async()
            await sync_to_async(add)(connector, "ann")
            await connector.close_async()

        async_to_sync(main)()
        assert stored() == ["ann"]

    async def test_a_blocking_call_on_the_loops_own_thread_is_refused_and_nothing_stored(
        self, opened: PsycopgConnector, stored: Callable[[], list[str]]
    ) -> None:
        with pytest.raises(WrongCaller, match="_async"):
            add(opened, "ann")
        refused = asyncio.get_running_loop().create_future()

        def callback() -> None:
            try:
                add(opened, "bob")
            except RuntimeError as error:
                refused.set_result(error)

        asyncio.get_running_loop().call_soon(callback)
        assert "thread" in str(await refused)
        await add_async(opened, "cy")
        assert stored() == ["cy"]

    async def test_another_loop_is_served_in_both_colours(
        self, opened: PsycopgConnector, stored: Callable[[], list[str]]
    ) -> None:
        async def elsewhere() -> None:
            add(opened, "blocking")
            await add_async(opened, "awaited")
            await opened.execute_batch_async([(ADD, {"name": "batch"})])

        await asyncio.to_thread(on_another_loop, elsewhere)
        assert stored() == ["awaited", "batch", "blocking"]

    async def test_errors_keep_their_type_over_the_bridge(self, opened: PsycopgConnector) -> None:
        await add_async(opened, "ann")
        with pytest.raises(UniqueViolation):
            await asyncio.to_thread(add, opened, "ann")

    async def test_a_second_loop_cannot_open_it_but_can_close_it(self, opened: PsycopgConnector) -> None:
        async def open_elsewhere() -> None:
            with pytest.raises(WrongCaller, match="loop"):
                await opened.open_async()

        await asyncio.to_thread(on_another_loop, open_elsewhere)
        await add_async(opened, "ann")
        await asyncio.to_thread(on_another_loop, opened.close_async)
        with pytest.raises(AppNotOpen):
            await add_async(opened, "bob")

    async def test_eight_tasks_that_open_make_one_pool(self, connector: PsycopgConnector, sessions: Sessions) -> None:
        await asyncio.gather(*(connector.open_async() for _ in range(8)))
        assert sessions.settle(1) == 1
        await connector.close_async()

    async def test_opening_and_closing_in_a_thread_borrows_and_gives_back(
        self, opened: PsycopgConnector, stored: Callable[[], list[str]]
    ) -> None:
        def library_code() -> None:
            opened.open()
            add(opened, "ann")
            opened.close()

        await asyncio.to_thread(library_code)
        await add_async(opened, "bob")
        assert stored() == ["ann", "bob"]

    async def test_closing_in_another_thread_closes_and_on_its_own_thread_names_close_async(
        self, opened: PsycopgConnector
    ) -> None:
        with pytest.raises(WrongCaller, match="close_async"):
            opened.close()
        await add_async(opened, "ann")
        await asyncio.to_thread(opened.close)
        with pytest.raises(AppNotOpen):
            await add_async(opened, "bob")

    async def test_closing_with_bridged_calls_in_flight_answers_every_one(
        self, connector: PsycopgConnector, stored: Callable[[], list[str]]
    ) -> None:
        await connector.open_async()

        def add_slowly(index: int) -> str | None:
            try:
                connector.execute(SLOW, {"name": f"{index:02}"})
            except AppNotOpen:
                return None
            return f"{index:02}"

        calls = asyncio.create_task(asyncio.to_thread(in_threads, 12, add_slowly))
        await asyncio.sleep(0.2)
        await connector.close_async()
        assert stored() == sorted(name for name in await calls if name is not None)
        assert stored()

    async def test_a_pool_of_the_users_serves_threads_and_is_let_go(
        self, connector: PsycopgConnector, scratch: str, sessions: Sessions, stored: Callable[[], list[str]]
    ) -> None:
        async with AsyncConnectionPool(scratch, min_size=1, max_size=1, open=False) as pool:
            await pool.wait()
            await connector.open_async(pool)
            assert connector.pool is pool
            await asyncio.to_thread(add, connector, "ann")
            assert sessions.settle(1) == 1
            await connector.close_async()
            assert not pool.closed
            with pytest.raises(AppNotOpen):
                await add_async(connector, "bob")
        await connector.open_async()
        await add_async(connector, "cy")
        await connector.close_async()
        assert stored() == ["ann", "cy"]

    async def test_a_thread_gets_a_session_of_its_own_in_every_state(
        self, connector: PsycopgConnector, scratch: str
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
        async with AsyncConnectionPool(scratch, min_size=1, open=False) as pool:
            beside = PsycopgConnector("host=nowhere")
            await beside.open_async(pool)
            session = await asyncio.to_thread(beside.session)
            session.close()
            await beside.close_async()

    async def test_a_cancel_scope_around_a_statement_leaves_the_pool_whole(
        self, opened: PsycopgConnector, stored: Callable[[], list[str]]
    ) -> None:
        for _ in range(4):
            with anyio.move_on_after(0.05) as scope:
                await opened.execute_async(SLOW, {"name": "never"})
            assert scope.cancelled_caught
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(opened.execute_async(SLOW, {"name": "never"}), 0.05)
        await asyncio.gather(*(add_async(opened, f"{number}") for number in range(8)))
        assert stored() == [f"{number}" for number in range(8)]

    async def test_opening_that_is_cancelled_leaves_nothing_behind(
        self, connector: PsycopgConnector, sessions: Sessions
    ) -> None:
        for delay in (0.0, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032):
            with anyio.move_on_after(delay):
                await connector.open_async()
            if connector._half.is_open:
                await connector.close_async()
            with pytest.raises(AppNotOpen):
                await add_async(connector, "ann")
            assert sessions.settle(0) == 0

    async def test_a_loop_that_waits_for_the_calling_thread_makes_an_error_and_not_a_deadlock(
        self, scratch: str, stored: Callable[[], list[str]]
    ) -> None:
        connector = PsycopgConnector(scratch, min_size=1, timeout=1)
        await connector.open_async()
        with ThreadPoolExecutor(1) as executor:
            call = executor.submit(add, connector, "ann")
            with pytest.raises(WrongCaller, match="blocked"):
                call.result(30)
        await asyncio.sleep(0.1)
        assert stored() == []
        await connector.close_async()


class TestConnectionsOfTheCallers:
    """`connection=`."""

    async def test_each_colour_takes_its_own_kind_wherever_the_caller_is_and_open_or_not(
        self, connector: PsycopgConnector, scratch: str, stored: Callable[[], list[str]]
    ) -> None:
        for state in ("closed", "opened"):
            with psycopg.connect(scratch) as blocking:
                connector.get_sync_connector().execute(ADD, {"name": f"blocking, {state}"}, connection=blocking)
                blocking.rollback()
                connector.execute(ADD, {"name": f"blocking, {state}"}, connection=blocking)
            async with await psycopg.AsyncConnection.connect(scratch) as connection:
                await connector.execute_async(ADD, {"name": f"awaited, {state}"}, connection=connection)
            await connector.open_async()
        await connector.close_async()
        assert stored() == ["awaited, closed", "awaited, opened", "blocking, closed", "blocking, opened"]

    async def test_the_wrong_kind_is_refused_with_the_remedy(self, connector: PsycopgConnector, scratch: str) -> None:
        with psycopg.connect(scratch) as blocking, pytest.raises(InvalidConnection, match="blocking form"):
            await connector.execute_async(ADD, {"name": "ann"}, connection=blocking)
        async with await psycopg.AsyncConnection.connect(scratch) as connection:
            with pytest.raises(InvalidConnection, match="ends in `_async`"):
                connector.execute(ADD, {"name": "ann"}, connection=connection)


class TestFailures:
    """The server, or the loop, is not there."""

    async def test_a_failed_opening_leaves_the_connector_closed_and_the_next_one_works(
        self, scratch: str, tmp_path: Path, stored: Callable[[], list[str]]
    ) -> None:
        conninfo = f"host={tmp_path}"
        connector = PsycopgConnector(lambda: conninfo, min_size=1, timeout=5)
        for _ in range(2):
            with pytest.raises(ConnectorException, match=str(tmp_path)):
                connector.open()
            with pytest.raises(ConnectorException, match=str(tmp_path)):
                await connector.open_async()
            with pytest.raises(AppNotOpen):
                add(connector, "ann")
        conninfo = scratch
        connector.open()
        add(connector, "ann")
        conninfo = f"host={tmp_path}"
        with pytest.raises(ConnectorException):
            await connector.open_async()
        add(connector, "bob")
        conninfo = scratch
        await connector.open_async()
        await add_async(connector, "cy")
        await connector.close_async()
        assert stored() == ["ann", "bob", "cy"]

    def test_a_dead_loop_is_named_and_the_next_opening_gives_its_connections_back(
        self, connector: PsycopgConnector, sessions: Sessions, stored: Callable[[], list[str]]
    ) -> None:
        def refused(_: int) -> None:
            with pytest.raises(WrongCaller, match="closed"):
                connector.execute(ADD, {"name": "ann"})

        async def next_loop() -> None:
            with pytest.raises(WrongCaller, match="closed"):
                await add_async(connector, "ann")
            await connector.open_async()
            await add_async(connector, "bob")
            assert sessions.settle(1) == 1
            await connector.close_async()

        asyncio.run(connector.open_async())
        in_threads(12, refused)
        asyncio.run(next_loop())
        asyncio.run(connector.open_async())
        connector.open()
        add(connector, "cy")
        connector.close()
        asyncio.run(connector.open_async())
        connector.close()
        assert sessions.settle(0) == 0
        assert stored() == ["bob", "cy"]

    def test_an_idle_loop_is_driven_by_its_own_thread_and_refused_elsewhere(
        self, connector: PsycopgConnector, sessions: Sessions, stored: Callable[[], list[str]]
    ) -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(connector.open_async())
        connector.execute(ADD, {"name": "ann"})

        def refused(_: int) -> None:
            with pytest.raises(WrongCaller, match="not running"):
                connector.execute(ADD, {"name": "bob"})

        in_threads(12, refused)
        loop.run_until_complete(add_async(connector, "cy"))
        connector.close()
        assert sessions.settle(0) == 0
        loop.close()
        assert stored() == ["ann", "cy"]

    def test_a_loop_that_was_left_idle_gives_way_to_the_next_one_in_its_thread(
        self, connector: PsycopgConnector, sessions: Sessions, stored: Callable[[], list[str]]
    ) -> None:
        left = asyncio.new_event_loop()
        left.run_until_complete(connector.open_async())

        async def next_loop() -> None:
            await connector.open_async()
            await add_async(connector, "ann")
            assert sessions.settle(1) == 1
            await connector.close_async()

        asyncio.run(next_loop())
        for task in asyncio.all_tasks(left):
            task.cancel()
        left.run_until_complete(asyncio.sleep(0))
        left.close()
        assert stored() == ["ann"]

    def test_a_loop_that_another_thread_runs_on_serves_the_thread_that_opened_it(
        self, connector: PsycopgConnector, stored: Callable[[], list[str]]
    ) -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(connector.open_async())
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        while not loop.is_running():
            time.sleep(0.01)
        add(connector, "ann")
        connector.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
        assert stored() == ["ann"]


@pytest.mark.parametrize(
    ("options", "sizes"),
    [({}, (1, 10)), ({"max_size": 2}, (1, 2)), ({"min_size": 20}, (20, 20)), ({"min_size": 2, "max_size": 3}, (2, 3))],
)
def test_a_pool_is_small_unless_the_user_says_otherwise(options: dict[str, Any], sizes: tuple[int, int]) -> None:
    pool = SyncPsycopgConnector(**options).options.pool
    assert (pool["min_size"], pool["max_size"]) == sizes


@pytest.mark.parametrize(
    "options", [{"min_size": 3, "max_size": 2}, {"max_size": 0}, {"min_size": -1}, {"max_size": "5"}]
)
def test_sizes_that_no_pool_can_have_are_refused_when_the_connector_is_made(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption, match=next(reversed(options))):
        SyncPsycopgConnector(**options)


def test_a_session_notices_a_lost_network_unless_the_user_says_otherwise(dsn: str) -> None:
    with_default = SyncPsycopgConnector(dsn).session()
    with_other = SyncPsycopgConnector(dsn, keepalives_idle=77).session()
    with_conninfo = SyncPsycopgConnector(psycopg.conninfo.make_conninfo(dsn, keepalives_idle=88)).session()
    sessions = (with_default, with_other, with_conninfo)
    idle = []
    for session in sessions:
        assert isinstance(session, SyncPsycopgSession)
        idle.append(session.connection.info.get_parameters().get("keepalives_idle"))
    for session in sessions:
        session.close()
    assert idle == ["10", "77", "88"]
