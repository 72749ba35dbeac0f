"""How programs end: those that never close the app, and those that are interrupted."""

from __future__ import annotations

import pytest

from dispatch.conftest import Program, Stored
from support.program import ASYNCHRONOUS, KINDS, SYNCHRONOUS

EACH_ASYNCHRONOUS = pytest.mark.parametrize("kind", ASYNCHRONOUS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sys.exit(3)", "code 3"),
        ("print('said')", "said"),
        ("import atexit; atexit.register(print, 'said at the end')", "said at the end"),
        ("threading.Timer(0.05, print, ['said in a thread']).start()", "said in a thread"),
        ("kept = open(__import__('os').devnull)", "ResourceWarning: unclosed file"),
        ("async def never(): pass\nnever()", "was never awaited"),
        ("in_child(lambda: os.kill(os.getpid(), 9))", "AssertionError: 9"),
    ],
)
def test_a_program_that_does_not_end_in_silence_fails_its_test(program: Program, text: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        program(text)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scope", ["global", "local"])
def test_b34_a_program_that_never_closes_the_app_ends_promptly_and_silently(
    program: Program, kind: str, scope: str, stored: Stored
) -> None:
    program(
        f"""
        def main():
            app = app_on({kind!r})
            app.open()
            add(app, "ann")
            return app

        kept = main()
        if {scope!r} == "local":
            del kept
        """
    )
    assert stored() == ["ann"]


@EACH_ASYNCHRONOUS
@pytest.mark.parametrize("scope", ["global", "local"])
def test_b34_a_program_that_never_closes_the_app_on_its_loop_ends_promptly_and_silently(
    program: Program, kind: str, scope: str, stored: Stored
) -> None:
    program(
        f"""
        async def main():
            app = app_on({kind!r})
            await app.open_async()
            await app.tasks["add"].defer_async(name="awaited")
            await asyncio.gather(*(app.check_connection_async() for _ in range(4)))
            await asyncio.to_thread(add, app, "bridged")
            return app

        kept = asyncio.run(main())
        if {scope!r} == "local":
            del kept
        """
    )
    assert stored() == ["awaited", "bridged"]


@pytest.mark.parametrize("kind", SYNCHRONOUS)
def test_b34_a_program_whose_threads_still_wait_for_a_connection_ends_silently(program: Program, kind: str) -> None:
    program(
        f"""
        app = app_on({kind!r}, min_size=1, max_size=1)
        app.open()
        for _ in range(4):
            threading.Thread(target=app.connector.execute_query, args=("SELECT pg_sleep(0.2)",), daemon=True).start()
        time.sleep(0.05)
        """
    )


@EACH_ASYNCHRONOUS
def test_b34_a_program_whose_loop_ends_in_the_middle_of_a_call_ends_silently(program: Program, kind: str) -> None:
    program(
        f"""
        app = app_on({kind!r})

        async def main():
            await app.open_async()
            sleeping = asyncio.create_task(app.connector.execute_query_async("SELECT pg_sleep(50)"))
            await asyncio.sleep(0.1)

        asyncio.run(main())
        """
    )


@EACH_ASYNCHRONOUS
def test_b34_a_program_whose_daemon_threads_still_wait_for_a_loop_that_has_ended_ends_silently(
    program: Program,
    kind: str,
) -> None:
    program(
        f"""
        app = app_on({kind!r}, min_size=1, max_size=1)

        def wait_in_vain():
            try:
                app.connector.execute_query("SELECT pg_sleep(0.5)")
            except RuntimeError:
                pass

        async def main():
            await app.open_async()
            for _ in range(4):
                threading.Thread(target=wait_in_vain, daemon=True).start()
            await asyncio.sleep(0.1)

        asyncio.run(main())
        """
    )


def test_b34_a_program_whose_loop_ends_while_the_pool_connects_ends_too(program: Program) -> None:
    program(
        """
        import logging
        logging.disable()

        async def configure(connection):
            await asyncio.sleep(20 * is_connecting)

        async def main():
            global is_connecting
            await app.open_async()
            is_connecting = True
            query = app.connector.execute_query_async
            waiting = [asyncio.create_task(query("SELECT pg_sleep(0.5)")) for _ in range(2)]
            await asyncio.sleep(0.2)

        is_connecting = False
        app = app_on("PsycopgConnector", min_size=1, configure=configure)
        asyncio.run(main())
        """
    )


@EACH_ASYNCHRONOUS
def test_b8_an_interrupt_reaches_a_thread_that_waits_for_a_loop_at_once_and_the_job_is_not_deferred(
    program: Program, kind: str, stored: Stored
) -> None:
    program(
        f"""
        app = app_on({kind!r}, min_size=1, timeout=50)
        loop = asyncio.new_event_loop()
        loop.slow_callback_duration = 100
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        asyncio.run_coroutine_threadsafe(app.connector.open_async(), loop).result(20)
        go_on = threading.Event()
        loop.call_soon_threadsafe(go_on.wait, 40)
        # Where the tests run in the background, the shell has it ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        began = time.monotonic()
        try:
            add(app, "never")
        except KeyboardInterrupt:
            assert time.monotonic() - began < 20
        else:
            raise AssertionError
        finally:
            go_on.set()
        add(app, "later")
        app.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        """
    )
    assert stored() == ["later"]


@EACH_ASYNCHRONOUS
def test_b8_an_interrupt_in_the_middle_of_a_call_cancels_it_and_the_job_is_not_deferred(
    program: Program, kind: str, stored: Stored
) -> None:
    program(
        f"""
        import psycopg

        app = app_on({kind!r}, min_size=1, timeout=50)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        asyncio.run_coroutine_threadsafe(app.connector.open_async(), loop).result(20)
        # Where the tests run in the background, the shell has it ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with psycopg.connect(DSN) as connection:
            connection.execute("LOCK TABLE adjourn.adjourn_jobs IN EXCLUSIVE MODE")
            threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            try:
                add(app, "never")
            except KeyboardInterrupt:
                pass
            else:
                raise AssertionError
            time.sleep(0.3)  # the server is told to cancel the statement
        add(app, "later")
        app.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        """
    )
    assert stored() == ["later"]


@EACH_ASYNCHRONOUS
@pytest.mark.parametrize("end", ["loop.close()", "loop.close(); app.open(); add(app, 'ben'); app.close()"])
def test_b34_a_program_that_leaves_the_loop_without_ado_ends_silently(program: Program, kind: str, end: str) -> None:
    program(
        f"""
        app = app_on({kind!r})
        loop = asyncio.new_event_loop()
        loop.run_until_complete(app.connector.open_async())
        loop.run_until_complete(app.tasks["add"].defer_async(name="ann"))
        {end}
        """
    )


@EACH_ASYNCHRONOUS
def test_b34_a_program_whose_loop_runs_in_a_thread_of_its_own_to_the_end_ends_silently(
    program: Program, kind: str
) -> None:
    program(
        f"""
        app = app_on({kind!r})
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(app.connector.open_async(), loop).result(10)
        add(app, "ann")
        """
    )
