"""A worker's loop looks names up in threads of their own, and in few of them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from adjourn._runtime import lookups
from support.waiting import until_async


def asyncio_loop() -> asyncio.BaseEventLoop:
    """Return the event loop of the test, or skip it."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, asyncio.BaseEventLoop):
        pytest.skip("another loop than asyncio's looks names up in threads of its own")
    return loop


async def test_a_name_is_looked_up_while_tasks_hold_all_threads_of_the_loop() -> None:
    loop = asyncio.get_running_loop()
    done = threading.Event()
    held = [asyncio.create_task(asyncio.to_thread(done.wait, 30)) for _ in range(64)]
    await asyncio.sleep(0)
    with lookups.own_lookups(loop):
        async with asyncio.timeout(20):
            assert await loop.getaddrinfo("127.0.0.1", 5432)
    done.set()
    await asyncio.gather(*held)


async def test_no_more_threads_than_those_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio_loop()
    going = threading.Event()
    threads: set[str] = set()

    def look_up(*place: object) -> list[object]:
        threads.add(f"{threading.current_thread().name} {threading.get_ident()}")
        going.wait(30)
        return [place[:2]]

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    with lookups.own_lookups(loop):
        calls = [asyncio.create_task(loop.getaddrinfo(f"host-{number}", 1)) for number in range(3 * lookups.MOST)]
        await until_async(lambda: len(threads) >= lookups.MOST)
        await asyncio.sleep(0.1)
        assert sum(name.startswith("adjourn") for name in threads) == lookups.MOST
        going.set()
        assert [found[0][0] for found in await asyncio.gather(*calls)] == [  # type: ignore[comparison-overlap]
            f"host-{number}" for number in range(3 * lookups.MOST)
        ]


async def test_the_loop_is_as_before_when_the_last_worker_has_ended() -> None:
    loop = asyncio_loop()
    with lookups.own_lookups(loop):
        with lookups.own_lookups(loop):
            assert "getaddrinfo" in vars(loop)
        assert "getaddrinfo" in vars(loop)
    assert "getaddrinfo" not in vars(loop)
