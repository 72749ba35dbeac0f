"""SQLAlchemy's engines and the end of their process, or the beginning of another: each in a program of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable

import psycopg
import pytest

from conftest import Sessions
from sqlalchemy_addresses import address

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

PREAMBLE = """
import asyncio, logging, os, sys, threading, time, warnings
from sqlalchemy import create_engine
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector, SQLAlchemyPsycopgConnector, SQLAlchemyPsycopg2Connector
from adjourn.exceptions import AppNotOpen
from adjourn.types import Statement

PSYCOPG, PSYCOPG2, ASYNCPG = sys.argv[1:4]
# What takes long on an event loop is of no interest here.
logging.getLogger("asyncio").setLevel(logging.ERROR)
ADD = Statement("add", "INSERT INTO scratch (name) VALUES (%(name)s)")
PID = Statement("pid", "SELECT pg_backend_pid() AS pid")

def in_child(function):
    pid = os.fork()
    if pid == 0:
        try:
            function()
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
            code = 1
        # As a program ends, with everything that Python does then.
        sys.exit(code)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            assert os.waitstatus_to_exitcode(status) == 0, status
            return
        time.sleep(0.01)
    os.kill(pid, 9)
    raise AssertionError("the child hangs")

def backends(connector):
    found = []
    threads = [threading.Thread(target=lambda: found.append(connector.execute(PID)[0]["pid"])) for _ in range(6)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert len(found) == 6
    return set(found)
"""

SYNCHRONOUS = [
    "SQLAlchemyPsycopgConnector(dsn=PSYCOPG, {})",
    "SQLAlchemyPsycopg2Connector(dsn=PSYCOPG2, {})",
    "SQLAlchemyConnector(dsn=PSYCOPG, {})",
    "SQLAlchemyConnector(dsn=ASYNCPG, {})",
]
ASYNCHRONOUS = SYNCHRONOUS[2:]
SMALL = "pool_size=2, max_overflow=0"

Program = Callable[[str], None]


@pytest.fixture
def program(dsn: str, observer: psycopg.Connection, sessions: Sessions) -> Program:
    """Run a program, which must end soon, with code 0, in silence, and leave no connection."""
    observer.execute("DROP TABLE IF EXISTS scratch")
    observer.execute("CREATE TABLE scratch (id integer GENERATED ALWAYS AS IDENTITY, name text UNIQUE)")
    urls = [address(dsn, driver).render_as_string(hide_password=False) for driver in ("psycopg", "psycopg2", "asyncpg")]

    def run(text: str) -> None:
        source = PREAMBLE + textwrap.dedent(text)
        result = subprocess.run(
            [sys.executable, "-X", "dev", "-c", source, *urls], capture_output=True, text=True, timeout=60, check=False
        )
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        assert sessions.settle(0) == 0

    return run


@pytest.mark.parametrize("connector", SYNCHRONOUS)
@pytest.mark.parametrize("scope", ["global", "local"])
def test_a_program_that_never_closes_what_it_opened_ends_promptly_and_silently(
    program: Program, connector: str, scope: str
) -> None:
    program(
        f"""
        def main():
            connector = {connector.format(SMALL)}
            connector.open()
            connector.execute(ADD, {{"name": "ann"}})
            return connector

        kept = main()
        if {scope!r} == "local":
            del kept
        """
    )


@pytest.mark.parametrize("connector", SYNCHRONOUS[:2])
def test_a_program_whose_threads_still_wait_for_a_connection_ends_silently(program: Program, connector: str) -> None:
    program(
        f"""
        connector = {connector.format("pool_size=1, max_overflow=0")}
        connector.open()
        for _ in range(4):
            threading.Thread(target=connector.execute_query, args=("SELECT pg_sleep(0.2)",), daemon=True).start()
        time.sleep(0.05)
        """
    )


@pytest.mark.parametrize("connector", ASYNCHRONOUS)
@pytest.mark.parametrize("scope", ["global", "local"])
def test_a_program_that_never_closes_on_its_loop_ends_promptly_and_silently(
    program: Program, connector: str, scope: str
) -> None:
    program(
        f"""
        async def main():
            connector = {connector.format(SMALL)}
            await connector.open_async()
            await connector.execute_async(ADD, {{"name": "ann"}})
            await asyncio.gather(connector.execute_async(PID), connector.execute_async(PID))
            await asyncio.to_thread(connector.execute, ADD, {{"name": "bob"}})
            return connector

        kept = asyncio.run(main())
        if {scope!r} == "local":
            del kept
        """
    )


@pytest.mark.parametrize("connector", SYNCHRONOUS)
def test_a_forked_child_works_on_connections_of_its_own(program: Program, connector: str) -> None:
    program(
        f"""
        connector = {connector.format(SMALL)}
        connector.open()
        pids = backends(connector)

        def child():
            assert not backends(connector) & pids

        def leave_it_open():
            connector.execute(PID)

        in_child(child)
        in_child(leave_it_open)
        in_child(lambda: None)
        assert backends(connector) & pids
        connector.close()
        """
    )


@pytest.mark.parametrize("connector", SYNCHRONOUS)
def test_a_forked_child_can_close_and_open_and_the_parent_does_not_notice(program: Program, connector: str) -> None:
    program(
        f"""
        connector = {connector.format(SMALL)}
        connector.open()
        pids = backends(connector)

        def child():
            connector.close()
            try:
                connector.execute(PID)
            except AppNotOpen:
                pass
            else:
                raise AssertionError
            connector.open()
            assert not backends(connector) & pids
            connector.close()

        in_child(child)
        in_child(connector.close)
        assert backends(connector) & pids
        connector.close()
        """
    )


def test_an_engine_of_the_applications_stays_with_the_process_that_opened_with_it(program: Program) -> None:
    program(
        """
        for connector, url in (
            (SQLAlchemyPsycopgConnector(), PSYCOPG), (SQLAlchemyPsycopg2Connector(), PSYCOPG2)
        ):
            engine = create_engine(url, pool_size=1)
            connector.open(engine)

            def child():
                try:
                    connector.execute(PID)
                except AppNotOpen as error:
                    assert "another process" in str(error)
                else:
                    raise AssertionError
                connector.close()
                # As SQLAlchemy wants it after a fork.
                engine.dispose(close=False)
                connector.open(engine)
                connector.execute(PID)
                connector.close()
                engine.dispose()

            (before,) = connector.execute(PID)
            # The parent's connection is not even closed when the child ends.
            in_child(lambda: (child(), os._exit(0)))
            assert connector.execute(PID) == [before]
            connector.close()
            engine.dispose()
        """
    )


@pytest.mark.parametrize("connector", SYNCHRONOUS[:3])
def test_a_fork_while_the_engine_is_busy_does_not_hang_the_child(program: Program, connector: str) -> None:
    program(
        f"""
        connector = {connector.format(SMALL)}
        connector.open()
        goes_on = True

        def work():
            while goes_on:
                connector.get_sync_connector().execute(PID)
                # A thread that wants all of a processor would leave too little of it to the children.
                time.sleep(0.001)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads: thread.start()
        for number in range(5):
            in_child(lambda: connector.execute(ADD, {{"name": f"{{number}}"}}))
        goes_on = False
        for thread in threads: thread.join()
        connector.close()
        """
    )


@pytest.mark.parametrize("connector", ASYNCHRONOUS)
@pytest.mark.parametrize("place", ["on the loop", "beside the loop"])
def test_a_child_forked_from_an_app_that_is_open_on_a_loop_is_refused_until_it_opens(
    program: Program, connector: str, place: str
) -> None:
    program(
        f"""
        connector = {connector.format(SMALL)}

        def child():
            asyncio._set_running_loop(None)
            try:
                connector.get_sync_connector().execute(PID)
            except AppNotOpen as error:
                assert "another process" in str(error)
            else:
                raise AssertionError

            async def main():
                try:
                    await connector.execute_async(PID)
                except AppNotOpen as error:
                    assert "another process" in str(error)
                else:
                    raise AssertionError
                await connector.open_async()
                assert (await connector.execute_async(PID))[0]["pid"] not in pids
                await connector.close_async()

            asyncio.run(main())
            connector.open()
            assert connector.execute(PID)[0]["pid"] not in pids
            connector.close()
            # The parent's loop is in the middle of a callback here, which Python cannot end.
            os._exit(0)

        async def main():
            await connector.open_async()
            pids.update([(await connector.execute_async(PID))[0]["pid"] for _ in range(4)])
            if {place!r} == "on the loop":
                in_child(child)
            else:
                await asyncio.to_thread(in_child, child)
            assert (await connector.execute_async(PID))[0]["pid"] in pids
            await connector.close_async()

        pids = set()
        asyncio.run(main())
        """
    )


@pytest.mark.parametrize("connector", ASYNCHRONOUS)
def test_a_child_that_ends_after_its_parents_loop_was_left_does_not_reach_into_the_parent(
    program: Program, connector: str
) -> None:
    program(
        f"""
        connector = {connector.format(SMALL)}
        loop = asyncio.new_event_loop()
        loop.run_until_complete(connector.open_async())
        (before,) = connector.execute(PID)
        # The loop that the child inherits is nobody's to close.
        warnings.filterwarnings("ignore", "unclosed event loop", ResourceWarning)

        def child():
            connector.open()
            connector.execute(PID)
            connector.close()

        in_child(child)
        in_child(connector.close)
        in_child(lambda: None)
        assert connector.execute(PID) == [before]
        connector.close()
        loop.close()
        """
    )
