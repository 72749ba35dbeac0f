"""Opening, closing and deferring in any order and from anywhere, against a model, on a real Postgres.

The machine is run for each pair of connectors in `dispatch.pairs.PAIRS`: another pair is one more entry there. It
needs to say how its two connectors are made and, where its driver has them, how a user's own pools are; the model is
the same for all. A pair without a database says how its jobs are read instead.

Every wait is bounded, so a deadlock is a failure and not a hang. After every step the jobs are compared with what was
acknowledged, and in the end nobody may be connected any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from adjourn.exceptions import AlreadyEnqueued, AppNotOpen, InvalidConnection, WrongCaller
from dispatch.pairs import PAIRS, Pair
from support.apps import add, add_async, make_app
from support.places import BESIDE_THE_LOOP, ON_THE_LOOP, LoopThread, Place, in_child, in_coroutine, in_plain_thread
from support.sessions import Sessions
from support.waiting import BOUND

EXAMPLES = int(os.environ.get("ADJOURN_TEST_EXAMPLES", "20" if "ADJOURN_TEST_THOROUGH" in os.environ else "12"))
"""How many sequences of steps are tried."""

LOOPS = st.sampled_from(["loop a", "loop b"])
PLACES = st.sampled_from([*BESIDE_THE_LOOP, *ON_THE_LOOP])

Refusal = type[Exception] | None


async def nothing() -> None:
    """Show that the loop has got to what came before."""


class Connectors(RuleBasedStateMachine):
    """What an app does, and what the model says that it should do.

    The model's `state` is "closed", "sync", "dead" (open on a loop that has died), or the name of the loop that the app
    is open on.
    """

    pair: Pair
    dsn: str
    observer: psycopg.Connection
    sessions: Sessions

    def __init__(self) -> None:
        super().__init__()
        self.observer.execute("DELETE FROM adjourn.adjourn_jobs")
        self.app = make_app(self.pair.connector(self.dsn, 2, 10))
        self.twin = self.app.connector.get_sync_connector()
        self.by_twin = make_app(self.twin)
        self.executor = ThreadPoolExecutor(16)
        self.loops: dict[str, LoopThread] = {}
        self.pools = contextlib.ExitStack()
        self.pool: Any = None
        self.pools_async: dict[str, tuple[contextlib.AsyncExitStack, Any]] = {}
        self.names = (f"{number:04}" for number in itertools.count())
        self.acknowledged: set[str] = set()
        self.unknown: set[str] = set()
        self.state = "closed"
        self.is_external = False
        self.borrowed = 0
        self.deadline = time.monotonic() + 3 * BOUND

    @initialize()
    def begin(self) -> None:
        """Run two event loops."""
        self.loops = {"loop a": LoopThread(), "loop b": LoopThread()}

    # Where calls come from

    def at(self, place: Place, loop: str, call: Callable[[], Any]) -> Any:
        """Make a blocking call at a place. Where a loop pauses, its thread can still call, and no worker of it can."""
        thread = self.loops[loop]
        if not thread.is_idle:
            return place(thread, call)
        return thread.do(call) if place in ON_THE_LOOP else in_plain_thread(thread, call)

    def owner(self) -> LoopThread | None:
        """The loop that the app is open on."""
        return self.loops.get(self.state)

    def is_owners_thread(self, place: Place, loop: str) -> bool:
        """Whether a place is on the thread of the loop that the app is open on."""
        return place in ON_THE_LOOP and loop == self.state

    @property
    def not_open(self) -> Refusal:
        """What is said where nobody serves a call because the app is not open."""
        return AppNotOpen if self.pair.needs_opening else None

    def check(self, refusal: Refusal, call: Callable[[], Any]) -> bool:
        """Do something that is to be refused, or not, and say whether it was done."""
        if refusal is None:
            call()
            return True
        with pytest.raises(refusal):
            call()
        return False

    # Calls

    def refusal(self, place: Place, loop: str) -> Refusal:
        """What the model says of a blocking call."""
        owner = self.owner()
        if owner is None:
            return {"closed": self.not_open, "dead": WrongCaller}.get(self.state)
        # On its own thread a loop serves nobody while it runs, and nobody else while it pauses.
        return WrongCaller if owner.is_idle != self.is_owners_thread(place, loop) else None

    def refusal_async(self) -> Refusal:
        """What the model says of an awaited call."""
        owner = self.owner()
        if owner is None:
            return {"closed": self.not_open, "sync": self.not_open, "dead": WrongCaller}[self.state]
        return WrongCaller if owner.is_idle else None

    @rule(place=PLACES, loop=LOOPS, held=st.booleans(), number=st.integers(1, 3))
    def defer(self, place: Place, loop: str, held: bool, number: int) -> None:
        """Defer from synchronous code, by the app or by a twin that is held since before it was first opened."""
        app = self.by_twin if held else self.app
        names = list(itertools.islice(self.names, number))
        jobs = [{"name": name} for name in names]
        if self.check(
            self.refusal(place, loop), lambda: self.at(place, loop, lambda: app.tasks["add"].batch_defer(*jobs))
        ):
            self.acknowledged.update(names)

    @rule(loop=LOOPS, number=st.integers(1, 3))
    def defer_async(self, loop: str, number: int) -> None:
        """Defer from asynchronous code."""
        names = list(itertools.islice(self.names, number))

        async def call() -> None:
            outcomes = await asyncio.gather(*(add_async(self.app, name) for name in names), return_exceptions=True)
            errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
            if errors:
                raise errors[0]

        if not self.loops[loop].is_idle and self.check(self.refusal_async(), lambda: self.loops[loop].wait(call)):
            self.acknowledged.update(names)

    @rule(place=PLACES, loop=LOOPS, is_awaited=st.booleans(), task=st.sampled_from(["add", "declared nowhere"]))
    def configure_task(self, place: Place, loop: str, is_awaited: bool, task: str) -> None:
        """Defer by a task's name, from code of either colour."""
        name = next(self.names)

        async def call() -> None:
            await self.app.configure_task(task, queue="other").defer_async(name=name)

        if not is_awaited:
            blocking = partial(self.app.configure_task(task, priority=3).defer, name=name)
            if self.check(self.refusal(place, loop), lambda: self.at(place, loop, blocking)):
                self.acknowledged.add(name)
        elif not self.loops[loop].is_idle and self.check(self.refusal_async(), lambda: self.loops[loop].wait(call)):
            self.acknowledged.add(name)

    @rule(place=PLACES, loop=LOOPS, is_awaited=st.booleans(), number=st.integers(1, 3))
    def batch_with_a_queueing_lock(self, place: Place, loop: str, is_awaited: bool, number: int) -> None:
        """Defer a batch of which no two jobs may wait: one alone is stored, and of several none."""
        names = list(itertools.islice(self.names, number))
        deferrer = self.app.tasks["add"].configure(queueing_lock=f"of {names[0]}")
        jobs = [{"name": name} for name in names]
        if is_awaited and self.loops[loop].is_idle:
            return
        refusal = self.refusal_async() if is_awaited else self.refusal(place, loop)

        async def call_async() -> None:
            await deferrer.batch_defer_async(*jobs)

        def call() -> None:
            if is_awaited:
                self.loops[loop].wait(call_async)
            else:
                self.at(place, loop, lambda: deferrer.batch_defer(*jobs))

        if self.check(refusal or (AlreadyEnqueued if number > 1 else None), call):
            self.acknowledged.update(names)
            self.check(AlreadyEnqueued, call)

    @rule(place=PLACES, loop=LOOPS, commits=st.booleans())
    def defer_on_a_connection_of_the_callers(self, place: Place, loop: str, commits: bool) -> None:
        """Defer in a transaction of the caller's, which works wherever the call is made, and open or not."""
        name = next(self.names)
        connect = self.pair.connect

        def call() -> None:
            assert connect is not None
            with connect(self.dsn) as connection:
                self.app.tasks["add"].configure(connection=connection).defer(name=name)
                connection.commit() if commits else connection.rollback()

        def refused() -> None:
            with pytest.raises(InvalidConnection):
                self.app.tasks["add"].configure(connection=object()).defer(name=name)

        self.at(place, loop, refused if connect is None else call)
        if commits and connect is not None:
            self.acknowledged.add(name)

    @rule(loop=LOOPS, commits=st.booleans())
    def defer_on_a_connection_of_the_callers_async(self, loop: str, commits: bool) -> None:
        """Do the same on an event loop."""
        name = next(self.names)
        connect = self.pair.connect_async
        if self.loops[loop].is_idle or connect is None:
            return

        async def call() -> None:
            async with connect(self.dsn) as connection:
                await self.app.tasks["add"].configure(connection=connection).defer_async(name=name)
                ended = connection.commit() if commits else connection.rollback()
                if inspect.isawaitable(ended):
                    await ended

        self.loops[loop].wait(call)
        if commits:
            self.acknowledged.add(name)

    @rule(place=PLACES, loop=LOOPS)
    def get_sync_connector(self, place: Place, loop: str) -> None:
        """Ask who serves synchronous calls."""
        found = self.at(place, loop, self.app.connector.get_sync_connector)
        assert found is (self.app.connector if self.state in self.loops else self.twin)

    # Opening and closing

    @rule(place=PLACES, loop=LOOPS, external=st.booleans())
    def open(self, place: Place, loop: str, external: bool) -> None:
        """Open in synchronous code."""
        pool = None
        if external and self.pair.pool is not None and self.state not in self.loops:
            pool = self.pool = self.pool or self.pools.enter_context(self.pair.pool(self.dsn))
        self.at(place, loop, lambda: self.app.open(pool))
        if self.state in self.loops:
            self.borrowed += 1
        elif self.state != "sync":
            self.state, self.is_external = "sync", pool is not None

    @rule(place=PLACES, loop=LOOPS)
    def close(self, place: Place, loop: str) -> None:
        """Close in synchronous code."""
        refusal: Refusal = None
        if (owner := self.owner()) is not None and not self.borrowed:
            refusal = WrongCaller if owner.is_idle != self.is_owners_thread(place, loop) else None
        if not self.check(refusal, lambda: self.at(place, loop, self.app.close)):
            return
        if self.borrowed:
            self.borrowed -= 1
        else:
            self.state = "closed"

    @rule(loop=LOOPS, external=st.booleans())
    def open_async(self, loop: str, external: bool) -> None:
        """Open on an event loop."""
        thread = self.loops[loop]
        if thread.is_idle:
            return

        async def call() -> None:
            pool = None
            if external and self.pair.pool_async is not None:
                if loop not in self.pools_async:
                    own = contextlib.AsyncExitStack()
                    self.pools_async[loop] = own, await own.enter_async_context(self.pair.pool_async(self.dsn))
                _, pool = self.pools_async[loop]
            await self.app.open_async(pool)

        is_elsewhere = self.state in self.loops and self.state != loop
        was_open = self.state == loop
        if self.check(WrongCaller if is_elsewhere else None, lambda: thread.wait(call)) and not was_open:
            # Who has opened it in synchronous code closes it there, too, and takes nothing away from the loop.
            self.state, self.borrowed = loop, int(self.state == "sync")

    @rule(loop=LOOPS, seconds=st.sampled_from([0.0, 0.001, 0.002, 0.004, 0.008, 0.016]))
    def open_async_with_little_time(self, loop: str, seconds: float) -> None:
        """Open on an event loop, and give it up when it takes too long."""
        thread = self.loops[loop]
        is_done = False
        if thread.is_idle:
            return

        async def call() -> None:
            nonlocal is_done
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.app.open_async()
                    is_done = True

        is_elsewhere = self.state in self.loops and self.state != loop
        if not self.check(WrongCaller if is_elsewhere else None, lambda: thread.wait(call)) or self.state == loop:
            return
        if self.app.connector.get_sync_connector() is self.app.connector:
            # Whoever had opened it in synchronous code has it in hand if the loop has.
            self.state, self.borrowed = loop, int(self.state == "sync" and is_done)
        else:
            assert not is_done
            # What a dead loop has left is gone in any case.
            self.state = "sync" if self.state == "sync" else "closed"

    @rule(loop=LOOPS)
    def close_async(self, loop: str) -> None:
        """Close in asynchronous code."""
        thread, owner = self.loops[loop], self.owner()
        if thread.is_idle:
            return
        refusal = WrongCaller if owner is not None and owner.is_idle else None
        if self.check(refusal, lambda: thread.wait(self.app.close_async)):
            self.state, self.borrowed = "closed", 0

    # What becomes of loops and processes

    @rule(loop=LOOPS)
    def pause_or_resume(self, loop: str) -> None:
        """Let a loop become idle, or run again."""
        thread = self.loops[loop]
        if thread.is_idle:
            thread.resume()
        else:
            thread.pause()

    @rule(loop=LOOPS)
    def end_the_loop(self, loop: str) -> None:
        """Let an event loop end, and begin another."""
        self.let_go_of_pool(loop)
        self.loops[loop].end()
        if self.state == loop:
            self.state, self.borrowed = "dead", 0
        self.loops[loop] = LoopThread()

    def let_go_of_pool(self, loop: str) -> None:
        """Close the user's own pool on a loop, which lives as long as its loop."""
        if found := self.pools_async.pop(loop, None):
            if self.loops[loop].is_idle:
                self.loops[loop].resume()
            if self.state == loop:
                self.loops[loop].wait(self.app.close_async)
                self.state, self.borrowed = "closed", 0
            own, _ = found
            self.loops[loop].wait(own.aclose)

    @rule(loop=LOOPS, closes=st.booleans())
    def run_another_loop_in_the_thread_of_one_that_pauses(self, loop: str, closes: bool) -> None:
        """Run a loop where another one pauses, use the app there as far as the model allows, and let it end."""
        thread, owner = self.loops[loop], self.owner()
        if not thread.is_idle:
            return
        blocking, awaited, last = itertools.islice(self.names, 3)
        can_open = owner is None or owner is thread
        refusal = self.refusal(in_plain_thread, loop)
        refusal_async = self.refusal_async()

        async def main() -> None:
            if self.check(refusal, lambda: add(self.app, blocking)):
                self.acknowledged.add(blocking)
            if refusal_async is None:
                await add_async(self.app, awaited)
                self.acknowledged.add(awaited)
            else:
                with pytest.raises(refusal_async):
                    await add_async(self.app, awaited)
            if not can_open:
                with pytest.raises(WrongCaller):
                    await self.app.open_async()
                return
            await self.app.open_async()
            await asyncio.to_thread(add, self.app, last)
            self.acknowledged.add(last)
            if closes:
                await self.app.close_async()

        thread.do(lambda: asyncio.run(main()))
        if can_open:
            self.state, self.borrowed = "closed" if closes else "dead", 0

    @rule(place=st.sampled_from([in_plain_thread, in_coroutine]), loop=LOOPS)
    def fork(self, place: Place, loop: str) -> None:
        """Use the app in a forked child: as it is, opened anew, and on a loop of the child's own."""
        as_it_is, opened, awaited = itertools.islice(self.names, 3)
        refusal: Refusal = None if self.state == "sync" and not self.is_external else self.not_open

        async def main() -> None:
            async with self.app.open_async():
                await add_async(self.app, awaited)

        def child() -> str:
            # Not every Python forgets by itself that a loop was running at the fork.
            asyncio._set_running_loop(None)
            self.check(refusal, lambda: add(self.app, as_it_is))
            with self.app.open():
                add(self.app, opened)
            asyncio.run(main())
            return "done"

        assert self.at(place, loop, lambda: in_child(child)) == "done"
        if not self.pair.is_in_memory:
            self.acknowledged.update([opened, awaited] if refusal else [as_it_is, opened, awaited])

    @rule(
        loop=LOOPS,
        change=st.sampled_from(["open", "close", "open_async", "close_async", "pause_or_resume", "end_the_loop"]),
    )
    def change_amid_calls(self, loop: str, change: str) -> None:
        """Change something while threads and loops are at work; each of their calls is done or refused."""
        names = list(itertools.islice(self.names, 24))
        calls: list[tuple[Future[Any], LoopThread | None]] = [
            (self.executor.submit(add, self.app, name), None) for name in names[:16]
        ]
        for name, thread in zip(names[16:], itertools.cycle(self.loops.values()), strict=False):
            calls.append((thread.submit(partial(add_async, self.app, name)), thread))
        for thread in self.loops.values():
            if not thread.is_idle:
                # What asyncio begins when a loop has begun to end it destroys in the end, and complains.
                thread.wait(nothing)
        match change:
            case "open" | "close":
                getattr(self, change)(in_plain_thread, loop, **({"external": False} if change == "open" else {}))
            case "open_async":
                self.open_async(loop, external=False)
            case "pause_or_resume":
                self.pause_or_resume(loop)
                self.pause_or_resume(loop)
            case _:
                getattr(self, change)(loop)
        for thread in self.loops.values():
            if thread.is_idle:
                thread.resume()
        for name, (call, where) in zip(names, calls, strict=True):
            if where is not None and where.loop.is_closed() and not call.done():
                self.unknown.add(name)  # what such a loop has not done it never does
                continue
            try:
                call.result(BOUND)
            except CancelledError:
                self.unknown.add(name)
            except (AppNotOpen, WrongCaller) as error:
                if "not known" in str(error):
                    self.unknown.add(name)
            else:
                self.acknowledged.add(name)

    # What must be true

    @invariant()
    def every_acknowledged_job_is_there_once_and_every_refused_one_is_not(self) -> None:
        """Compare the jobs with what was acknowledged."""
        if self.pair.names is not None:
            found = self.pair.names(self.app.connector)
        else:
            rows = self.observer.execute("SELECT args->>'name' FROM adjourn.adjourn_jobs").fetchall()
            found = [name for (name,) in rows]
        assert sorted(found) == sorted(self.acknowledged | (self.unknown & set(found)))

    @invariant()
    def nothing_hangs(self) -> None:
        """Bound the whole sequence."""
        assert time.monotonic() < self.deadline

    def teardown(self) -> None:
        """Close everything: no connection may be left."""
        try:
            for thread in self.loops.values():
                if thread.is_idle:
                    thread.resume()
            for loop in self.loops:
                self.close_async(loop)
                self.let_go_of_pool(loop)
            if self.pool is not None and isinstance(getattr(self.pool, "closed", None), bool):
                assert not self.pool.closed
            self.pools.close()
            if not self.pair.is_in_memory:
                assert self.sessions.settle(0) == 0
        finally:
            self.executor.shutdown()
            for thread in self.loops.values():
                thread.end()


@pytest.mark.timeout(max(120, 4 * EXAMPLES))
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_s20_b40_an_app_does_what_the_model_says(
    pair: Pair, database: str, observer: psycopg.Connection, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What psycopg's pools log pytest would keep, with the errors and the connections that they refer to.
    monkeypatch.setattr(logging.getLogger("psycopg.pool"), "disabled", True)
    members = {"pair": pair, "dsn": database, "observer": observer, "sessions": sessions}
    run_state_machine_as_test(
        type("Machine", (Connectors,), members),
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
