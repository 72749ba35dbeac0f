"""Calls of a driver that somebody else wrote: nothing waits for them for ever, and nothing that they make is left behind."""

from __future__ import annotations

import asyncio

import pytest

from adjourn._dispatch.limits import within
from adjourn.exceptions import ConnectorException
from support.waiting import until_async

pytestmark = pytest.mark.anyio


async def make_late() -> str:
    """Return, like a driver that has connected just when it is told to give up."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return "made"
    return "never"


async def test_what_is_made_too_late_is_discarded() -> None:
    discarded: list[str] = []
    with pytest.raises(ConnectorException, match="did not answer"):
        await within(0.01, make_late, discard=discarded.append)
    await until_async(lambda: discarded == ["made"])


async def test_what_is_made_for_a_caller_that_was_cancelled_is_discarded() -> None:
    discarded: list[str] = []

    async def call() -> str:
        return await within(60, make_late, discard=discarded.append)

    caller = asyncio.create_task(call())
    await asyncio.sleep(0.01)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert discarded == ["made"]
