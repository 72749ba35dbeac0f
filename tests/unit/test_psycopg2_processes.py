"""The psycopg2 connectors and the end of their process, or the beginning of another."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import psycopg
import pytest

from conftest import Sessions
from unit.test_processes import PREAMBLE, Program

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

CONNECTORS = ["Psycopg2Connector", "AsyncPsycopg2Connector"]


@pytest.fixture
def program(dsn: str, observer: psycopg.Connection, sessions: Sessions) -> Program:
    """Run a program, which must end soon, with code 0, in silence, and leave no connection."""
    observer.execute("DROP TABLE IF EXISTS scratch")
    observer.execute("CREATE TABLE scratch (id integer GENERATED ALWAYS AS IDENTITY, name text UNIQUE)")
    imports = "from adjourn.contrib.psycopg2 import AsyncPsycopg2Connector, Psycopg2Connector\n"

    def run(text: str) -> None:
        source = PREAMBLE + imports + textwrap.dedent(text)
        result = subprocess.run(
            [sys.executable, "-X", "dev", "-c", source, dsn], capture_output=True, text=True, timeout=60, check=False
        )
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        assert sessions.settle(0) == 0

    return run


@pytest.mark.parametrize("connector", CONNECTORS)
@pytest.mark.parametrize("scope", ["global", "local"])
def test_a_program_that_never_closes_what_it_opened_ends_promptly_and_silently(
    program: Program, connector: str, scope: str
) -> None:
    program(
        f"""
        def main():
            connector = {connector}(DSN, minconn=2)
            connector.open()
            connector.execute(ADD, {{"name": "ann"}})
            return connector, connector.session()

        kept = main()
        if {scope!r} == "local":
            del kept
        """
    )


def test_a_program_whose_threads_still_wait_for_a_connection_ends_silently(program: Program) -> None:
    program(
        """
        connector = Psycopg2Connector(DSN, maxconn=1)
        connector.open()
        for _ in range(4):
            threading.Thread(target=connector.execute_query, args=("SELECT pg_sleep(0.2)",), daemon=True).start()
        time.sleep(0.05)
        """
    )


def test_a_program_that_never_closes_on_its_loop_ends_promptly_and_silently(program: Program) -> None:
    program(
        """
        connector = AsyncPsycopg2Connector(DSN, minconn=2)

        async def main():
            await connector.open_async()
            await connector.execute_async(ADD, {"name": "ann"})
            await asyncio.to_thread(connector.execute, ADD, {"name": "bob"})
            sleeping = asyncio.create_task(connector.execute_query_async("SELECT pg_sleep(50)"))
            await asyncio.sleep(0.1)

        asyncio.run(main())
        """
    )


@pytest.mark.parametrize("connector", CONNECTORS)
def test_a_forked_child_works_on_connections_of_its_own(program: Program, connector: str) -> None:
    program(
        f"""
        connector = {connector}(DSN, minconn=2, maxconn=2)
        connector.open()
        pids = {{connector.execute(PID)[0]["pid"] for _ in range(4)}}
        session = connector.session()

        def child():
            assert connector.execute(PID)[0]["pid"] not in pids
            found = []
            threads = [threading.Thread(target=lambda: found.append(connector.execute(PID))) for _ in range(8)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            assert len(found) == 8
            session.close()

        in_child(child)
        in_child(lambda: None)
        assert connector.execute(PID)[0]["pid"] in pids
        assert {{connector.execute(PID)[0]["pid"] for _ in range(4)}} <= pids
        assert session.execute(PID)
        connector.close()
        """
    )


@pytest.mark.parametrize("connector", CONNECTORS)
def test_a_forked_child_can_close_and_open_and_the_parent_does_not_notice(program: Program, connector: str) -> None:
    program(
        f"""
        connector = {connector}(DSN, minconn=2, maxconn=2)
        connector.open()
        pids = {{connector.execute(PID)[0]["pid"] for _ in range(4)}}

        def child():
            connector.close()
            try:
                connector.execute(PID)
            except AppNotOpen:
                pass
            else:
                raise AssertionError
            connector.open()
            assert connector.execute(PID)[0]["pid"] not in pids
            connector.close()

        in_child(child)
        in_child(connector.close)
        assert {{connector.execute(PID)[0]["pid"] for _ in range(4)}} <= pids
        connector.close()
        """
    )


def test_a_pool_of_the_users_stays_with_the_process_that_made_it(program: Program) -> None:
    program(
        """
        from psycopg2.pool import ThreadedConnectionPool

        pool = ThreadedConnectionPool(1, 2, DSN)
        for connector in Psycopg2Connector(), AsyncPsycopg2Connector():
            connector.open(pool)

            def child():
                try:
                    connector.execute(PID)
                except AppNotOpen as error:
                    assert "another process" in str(error)
                else:
                    raise AssertionError
                connector.close()

            in_child(child)
            connector.execute(PID)
            connector.close()
        pool.closeall()
        """
    )


def test_a_fork_while_the_pool_is_busy_does_not_hang_the_child(program: Program) -> None:
    program(
        """
        connector = AsyncPsycopg2Connector(DSN, maxconn=2)
        connector.open()
        goes_on = True

        def work():
            while goes_on:
                connector.get_sync_connector().execute(PID)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads: thread.start()
        for number in range(10):
            in_child(lambda: connector.execute(ADD, {"name": f"{number}"}))
        goes_on = False
        for thread in threads: thread.join()
        connector.close()
        """
    )


def test_a_fork_of_a_program_that_is_opening_and_closing_does_not_hang_the_child(program: Program) -> None:
    program(
        """
        connector = AsyncPsycopg2Connector(DSN, maxconn=2)
        goes_on = True

        def open_and_close():
            while goes_on:
                connector.open()
                connector.close()

        def child():
            connector.open()
            connector.execute(PID)
            connector.close()

        threads = [threading.Thread(target=open_and_close) for _ in range(2)]
        for thread in threads: thread.start()
        for number in range(10):
            in_child(child)
        goes_on = False
        for thread in threads: thread.join()
        connector.close()
        """
    )


@pytest.mark.parametrize("place", ["on the loop", "beside the loop"])
def test_a_child_forked_from_an_app_that_is_open_on_a_loop_is_refused_until_it_opens(
    program: Program, place: str
) -> None:
    program(
        f"""
        connector = AsyncPsycopg2Connector(DSN, maxconn=2)

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
            asyncio.get_running_loop().slow_callback_duration = 100
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
