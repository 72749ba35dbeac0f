"""A program's event loop goes on turning while a large batch is deferred."""

from __future__ import annotations

import asyncio

import pytest

import adjourn
from adjourn._runtime import aio
from adjourn.testing import InMemoryConnector

COUNT = 2000


async def test_the_loop_turns_while_a_large_batch_is_checked_written_and_returned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As if each step were long.
    monkeypatch.setattr(aio, "LONGEST_STEP", 0.0)
    app = adjourn.App(connector=InMemoryConnector())
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    turning = asyncio.create_task(turn())
    ids = await app.configure_task("work").batch_defer_async(*({"n": n} for n in range(COUNT)))
    turning.cancel()
    assert len(ids) == COUNT
    # Jobs are made, checked, written and returned in slices, with a turn after each.
    assert turns >= COUNT // 32
