"""A connector and the end of its process, or the beginning of another: exits and forks, each in a program of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable

import psycopg
import pytest

from conftest import Sessions

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

PREAMBLE = """
import asyncio, os, sys, threading, time
from adjourn.connectors import PsycopgConnector, SyncPsycopgConnector
from adjourn.exceptions import AppNotOpen
from adjourn.types import Statement

DSN = sys.argv[1]
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
"""

Program = Callable[[str], None]


@pytest.fixture
def program(dsn: str, observer: psycopg.Connection, sessions: Sessions) -> Program:
    """Run a program, which must end soon, with code 0, in silence, and leave no connection."""
    observer.execute("DROP TABLE IF EXISTS scratch")
    observer.execute("CREATE TABLE scratch (id integer GENERATED ALWAYS AS IDENTITY, name text UNIQUE)")

    def run(text: str) -> None:
        source = PREAMBLE + textwrap.dedent(text)
        result = subprocess.run(
            [sys.executable, "-X", "dev", "-c", source, dsn], capture_output=True, text=True, timeout=60, check=False
        )
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        assert sessions.settle(0) == 0

    return run


@pytest.mark.parametrize("connector", ["SyncPsycopgConnector", "PsycopgConnector"])
@pytest.mark.parametrize("scope", ["global", "local"])
def test_a_program_that_never_closes_what_it_opened_ends_promptly_and_silently(
    program: Program, connector: str, scope: str
) -> None:
    program(
        f"""
        def main():
            connector = {connector}(DSN, min_size=2)
            connector.open()
            connector.execute(ADD, {{"name": "ann"}})
            return connector

        kept = main()
        if {scope!r} == "local":
            del kept
        """
    )


def test_a_program_whose_threads_still_wait_for_a_connection_ends_silently(program: Program) -> None:
    program(
        """
        connector = SyncPsycopgConnector(DSN, min_size=1, max_size=1)
        connector.open()
        for _ in range(4):
            threading.Thread(target=connector.execute_query, args=("SELECT pg_sleep(0.2)",), daemon=True).start()
        time.sleep(0.05)
        """
    )


def test_a_program_that_never_closes_on_its_loop_ends_promptly_and_silently(program: Program) -> None:
    program(
        """
        connector = PsycopgConnector(DSN, min_size=2)

        async def main():
            await connector.open_async()
            await connector.execute_async(ADD, {"name": "ann"})
            await asyncio.to_thread(connector.execute, ADD, {"name": "bob"})

        asyncio.run(main())
        """
    )


def test_a_program_whose_loop_ends_while_the_pool_connects_ends_too(program: Program) -> None:
    program(
        """
        import logging
        logging.disable()

        async def configure(connection):
            await asyncio.sleep(20 * connecting)

        async def main():
            global connecting
            await connector.open_async()
            connecting = True
            waiting = [asyncio.create_task(connector.execute_query_async("SELECT pg_sleep(0.5)")) for _ in range(2)]
            await asyncio.sleep(0.2)

        connecting = False
        connector = PsycopgConnector(DSN, min_size=1, max_size=2, configure=configure, kwargs={"autocommit": True})
        asyncio.run(main())
        """
    )


def test_an_interrupt_reaches_a_thread_that_waits_for_a_loop_at_once_and_nothing_is_stored(program: Program) -> None:
    program(
        """
        import signal
        connector = PsycopgConnector(DSN, min_size=1, timeout=50)
        loop = asyncio.new_event_loop()
        loop.slow_callback_duration = 100
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        asyncio.run_coroutine_threadsafe(connector.open_async(), loop).result(20)
        go_on = threading.Event()
        loop.call_soon_threadsafe(go_on.wait, 40)
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        began = time.monotonic()
        try:
            connector.execute(ADD, {"name": "never"})
        except KeyboardInterrupt:
            assert time.monotonic() - began < 20
        else:
            raise AssertionError
        finally:
            go_on.set()
        assert connector.execute_query_all("SELECT * FROM scratch") == []
        connector.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        """
    )


@pytest.mark.parametrize("connector", ["SyncPsycopgConnector", "PsycopgConnector"])
def test_a_forked_child_works_on_connections_of_its_own(program: Program, connector: str) -> None:
    program(
        f"""
        connector = {connector}(DSN, min_size=2, max_size=2)
        connector.open()
        pids = {{connector.execute(PID)[0]["pid"] for _ in range(4)}}

        def child():
            assert connector.execute(PID)[0]["pid"] not in pids
            found = []
            threads = [threading.Thread(target=lambda: found.append(connector.execute(PID))) for _ in range(8)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            assert len(found) == 8

        in_child(child)
        in_child(lambda: None)
        assert connector.execute(PID)[0]["pid"] in pids
        assert {{connector.execute(PID)[0]["pid"] for _ in range(4)}} <= pids
        connector.close()
        """
    )


@pytest.mark.parametrize("connector", ["SyncPsycopgConnector", "PsycopgConnector"])
def test_a_forked_child_can_close_and_open_and_the_parent_does_not_notice(program: Program, connector: str) -> None:
    program(
        f"""
        connector = {connector}(DSN, min_size=2, max_size=2)
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
        from psycopg_pool import ConnectionPool

        with ConnectionPool(DSN, min_size=1, open=True) as pool:
            for connector in SyncPsycopgConnector(), PsycopgConnector():
                connector.open(pool)

                def child():
                    try:
                        connector.execute(PID)
                    except AppNotOpen as error:
                        assert "another process" in str(error)
                    else:
                        raise AssertionError
                    connector.close()
                    os._exit(0)

                in_child(child)
                connector.execute(PID)
                connector.close()
        """
    )


def test_a_fork_while_the_pool_is_busy_does_not_hang_the_child(program: Program) -> None:
    program(
        """
        connector = PsycopgConnector(DSN, min_size=1, max_size=2)
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
        connector = PsycopgConnector(DSN, min_size=1, max_size=2)
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
        connector = PsycopgConnector(DSN, min_size=1, max_size=2)

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
