"""A worker whose looks for ready jobs have floors misses nothing for long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import psycopg
import pytest

import adjourn
from support.bench import Bench
from support.breaks import changed_function

pytestmark = pytest.mark.anyio


@pytest.fixture
def slow_looks(observer: psycopg.Connection, database: str) -> Iterator[None]:
    """Each look for ready jobs counts as slow, and as having taken as long as delays the next whole look most."""
    took = "extract(epoch from clock_timestamp() - v_began)"
    with changed_function(observer, "exchange", ("'@slow_look'", "'-1 s'"), (took, "0.05")):
        yield


@pytest.mark.usefixtures("slow_looks")
@pytest.mark.parametrize("queues", [None, ["q", "other"]])
async def test_a_worker_with_floors_finds_what_has_become_ready_below(
    app: adjourn.App, bench: Bench, database: str, queues: list[str] | None
) -> None:
    ran: list[int] = []

    @app.task(name="note", queue="q", retry=adjourn.RetryStrategy(max_attempts=2))
    async def note(number: int) -> None:
        ran.append(number)
        if number == 3 and ran.count(3) == 1:
            raise ValueError

    async with contextlib.AsyncExitStack() as stack:
        late = await stack.enter_async_context(await psycopg.AsyncConnection.connect(database))
        await note.configure(connection=late).defer_async(number=0)  # the lowest id, and committed last
        await note.batch_defer_async(*({"number": number} for number in range(1, 200)))
        await stack.enter_async_context(bench.working(concurrency=3, queues=queues))

        async def rest_has_run() -> bool:
            return len(ran) >= 200  # one of them twice

        await bench.until(rest_has_run)
        assert 0 not in ran
        await late.commit()

        async def all_has_run() -> bool:
            return 0 in ran

        await bench.until(all_has_run)
    assert sorted(ran) == sorted([*range(200), 3])


@pytest.mark.usefixtures("slow_looks")
async def test_a_worker_that_does_not_wait_leaves_nothing_below_its_floors(app: adjourn.App) -> None:
    ran: list[int] = []

    @app.task(name="note", retry=True)
    async def note(number: int) -> None:
        ran.append(number)
        await asyncio.sleep(0)
        if number % 50 == 0 and ran.count(number) == 1:
            raise ValueError

    await note.batch_defer_async(*({"number": number} for number in range(150)))
    await note.configure(lock="l").batch_defer_async(*({"number": number} for number in range(150, 200)))
    await app.run_worker_async(wait=False, concurrency=5, install_signal_handlers=False)
    assert sorted(ran) == sorted([*range(200), 0, 50, 100, 150])
