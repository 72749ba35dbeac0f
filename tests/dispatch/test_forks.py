"""Forked children of programs that have the app open."""

from __future__ import annotations

import os

import pytest

from dispatch.conftest import Program, Stored
from support.program import ASYNCHRONOUS, KINDS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

EACH = pytest.mark.parametrize("kind", KINDS)
EACH_ASYNCHRONOUS = pytest.mark.parametrize("kind", ASYNCHRONOUS)


@EACH
def test_b32_a_forked_child_works_on_connections_of_its_own(program: Program, kind: str, stored: Stored) -> None:
    program(
        f"""
        app = app_on({kind!r})
        app.open()
        inherited = backends(app)

        def child():
            assert backend(app) not in inherited
            together(8, lambda: add(app, "child"))

        in_child(child)
        in_child(lambda: None)
        assert backends(app) <= inherited
        add(app, "parent")
        app.close()
        """
    )
    assert stored() == ["child"] * 8 + ["parent"]


@EACH
def test_b32_a_session_that_a_forked_child_closes_goes_on_in_the_parent(program: Program, kind: str) -> None:
    program(
        f"""
        app = app_on({kind!r})
        session = app.connector.get_sync_connector().session()
        alone = session.execute(PID)
        # At once: psycopg itself warns at the end of a program of a connection that was not closed.
        in_child(session.close, at_once=True)
        assert session.execute(PID) == alone
        session.close()
        """
    )


@EACH
def test_b32_a_forked_child_can_close_and_open_and_the_parent_does_not_notice(program: Program, kind: str) -> None:
    program(
        f"""
        app = app_on({kind!r})
        app.open()
        inherited = backends(app)

        def child():
            app.close()
            with refused(AppNotOpen, "Open it first"):
                add(app, "never")
            with app.open():
                assert backend(app) not in inherited

        in_child(child)
        in_child(app.close)
        assert backends(app) <= inherited
        app.close()
        """
    )


@EACH_ASYNCHRONOUS
def test_b32_the_child_of_a_child_has_connections_of_its_own_too(program: Program, kind: str, stored: Stored) -> None:
    program(
        f"""
        app = app_on({kind!r})
        app.open()
        inherited = backends(app)

        def child():
            own = backends(app)

            def grandchild():
                assert not backends(app) & (own | inherited)
                add(app, "grandchild")

            in_child(grandchild)
            assert backends(app) <= own

        in_child(child)
        assert backends(app) <= inherited
        app.close()
        """
    )
    assert stored() == ["grandchild"]


@EACH_ASYNCHRONOUS
def test_b32_a_child_can_open_what_its_parent_had_open_on_a_loop_of_its_own(program: Program, kind: str) -> None:
    program(
        f"""
        app = app_on({kind!r})
        app.open()
        inherited = backends(app)

        async def main():
            async with app.open_async():
                assert await backend_async(app) not in inherited
                assert await asyncio.to_thread(backend, app) not in inherited

        in_child(lambda: asyncio.run(main()))
        assert backends(app) <= inherited
        app.close()
        """
    )


@EACH
def test_b32_a_pool_of_the_users_stays_with_the_process_that_made_it(program: Program, kind: str) -> None:
    program(
        f"""
        app = app_on({kind!r})
        with own_pool({kind!r}) as pool:
            app.open(pool)
            inherited = backends(app)

            def child():
                with refused(AppNotOpen, "another process"):
                    add(app, "never")
                app.close()
                with app.open():
                    assert backend(app) not in inherited

            in_child(child, at_once=True)
            assert backends(app) <= inherited
            app.close()
        """
    )


@EACH_ASYNCHRONOUS
def test_b32_a_fork_while_the_pool_is_busy_does_not_hang_the_child(program: Program, kind: str, stored: Stored) -> None:
    program(
        f"""
        app = app_on({kind!r}, min_size=1)
        app.open()
        is_over = threading.Event()

        def work():
            while not is_over.is_set():
                backend(app)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads: thread.start()
        for number in range(4):
            in_child(lambda: add(app, f"{{number}}"))
        is_over.set()
        for thread in threads: thread.join()
        app.close()
        """
    )
    assert stored() == list("0123")


@EACH_ASYNCHRONOUS
def test_b32_a_fork_of_a_program_that_is_opening_and_closing_does_not_hang_the_child(
    program: Program, kind: str
) -> None:
    program(
        f"""
        app = app_on({kind!r}, min_size=1)
        is_over = threading.Event()

        def open_and_close():
            while not is_over.is_set():
                app.open()
                app.close()

        def child():
            with app.open():
                backend(app)

        threads = [threading.Thread(target=open_and_close) for _ in range(2)]
        for thread in threads: thread.start()
        for number in range(4):
            in_child(child)
        is_over.set()
        for thread in threads: thread.join()
        app.close()
        """
    )


@EACH_ASYNCHRONOUS
@pytest.mark.parametrize("place", ["on the loop", "beside the loop"])
def test_b33_a_child_of_an_app_that_is_open_on_a_loop_is_refused_until_it_opens(
    program: Program, kind: str, place: str
) -> None:
    program(
        f"""
        app = app_on({kind!r})
        inherited = set()

        def child():
            asyncio._set_running_loop(None)
            with refused(AppNotOpen, "another process"):
                add(app, "never")

            async def main():
                with refused(AppNotOpen, "another process"):
                    await backend_async(app)
                async with app.open_async():
                    assert await backend_async(app) not in inherited
                    assert await asyncio.to_thread(backend, app) not in inherited

            asyncio.run(main())
            with app.open():
                assert backend(app) not in inherited

        async def main():
            async with app.open_async():
                inherited.update([await backend_async(app) for _ in range(4)])
                # The parent's loop is in the middle of a callback here, which Python cannot end: so at once.
                if {place!r} == "on the loop":
                    in_child(child, at_once=True)
                else:
                    await asyncio.to_thread(in_child, child, at_once=True)
                assert await backend_async(app) in inherited

        asyncio.run(main())
        """
    )


@EACH_ASYNCHRONOUS
def test_b33_a_child_whose_own_loop_dies_leaves_the_parents_connections_alone(program: Program, kind: str) -> None:
    program(
        f"""
        app = app_on({kind!r})
        inherited = set()

        def child():
            asyncio._set_running_loop(None)
            asyncio.run(app.connector.open_async())
            app.open()
            app.close()

        async def main():
            async with app.open_async():
                inherited.update([await backend_async(app) for _ in range(4)])
                await asyncio.to_thread(in_child, child, at_once=True)
                for _ in range(4):
                    assert await backend_async(app) in inherited

        asyncio.run(main())
        """
    )


@EACH_ASYNCHRONOUS
def test_b33_a_fork_amid_bridged_calls_and_awaited_ones_does_not_hang_the_child(
    program: Program, kind: str, stored: Stored
) -> None:
    program(
        f"""
        app = app_on({kind!r})

        def child(name):
            asyncio._set_running_loop(None)
            with app.open():
                add(app, name)

            async def main():
                async with app.open_async():
                    await app.tasks["add"].defer_async(name=name)

            asyncio.run(main())

        async def main():
            async with app.open_async():
                is_over = threading.Event()

                def work():
                    while not is_over.is_set():
                        backend(app)

                async def await_work():
                    while not is_over.is_set():
                        await backend_async(app)

                working = [asyncio.create_task(asyncio.to_thread(work)) for _ in range(4)]
                working += [asyncio.create_task(await_work()) for _ in range(4)]
                for number in range(8):
                    await asyncio.sleep(0.01)
                    in_child(lambda: child(f"{{number}}"), at_once=True)
                is_over.set()
                await asyncio.gather(*working)

        asyncio.run(main())
        """
    )
    assert stored() == sorted([*"01234567", *"01234567"])
