"""A process that can start no more threads for a while: what has failed then works again later."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

import adjourn
from adjourn._drivers.watchdog import Watchdog
from adjourn.manager.ends import EndsListener
from adjourn.monitor.exports import Exports
from adjourn.web.bulk import Bulk, Bulks
from adjourn.web.collector import Collector
from adjourn.worker.runners.threads import ThreadPool
from support.waiting import until


@pytest.fixture
def shortage(monkeypatch: pytest.MonkeyPatch) -> contextlib.AbstractContextManager[None]:
    """Let no thread start within this context."""

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    @contextlib.contextmanager
    def failing() -> Iterator[None]:
        with monkeypatch.context() as none_left:
            none_left.setattr(threading.Thread, "start", fail)
            yield

    return failing()


class Broken:
    """A connector that cannot connect."""

    def get_sync_connector(self) -> Any:
        raise OSError


def finish(done: asyncio.Event, result: Any, error: BaseException | None) -> None:
    done.set()


async def test_threads_for_tasks_are_started_later(shortage: contextlib.AbstractContextManager[None]) -> None:
    pool = ThreadPool(2, asyncio.get_running_loop())
    with shortage:
        for _ in range(3):
            with pytest.raises(RuntimeError, match="thread"):
                pool.submit(int, functools.partial(finish, asyncio.Event()))
    done = asyncio.Event()
    pool.submit(int, functools.partial(finish, done))
    async with asyncio.timeout(10):
        await done.wait()
    pool.close()


def test_calls_that_begin_later_are_watched(shortage: contextlib.AbstractContextManager[None]) -> None:
    watchdog = Watchdog()
    with shortage:
        watchdog.begin(0.1).end()
    wait = watchdog.begin(0.1)
    until(lambda: wait.deadline is not None)
    wait.end()


def test_those_who_wait_for_jobs_later_are_told(shortage: contextlib.AbstractContextManager[None]) -> None:
    ends = EndsListener(cast(Any, Broken()), "adjourn")
    with shortage, pytest.raises(RuntimeError, match="thread"):
        ends.attend()
    ends.attend()
    assert "adjourn-waits" in {thread.name for thread in threading.enumerate()}
    until(ends.dismiss)


def test_figures_are_read_later(
    shortage: contextlib.AbstractContextManager[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Exports, "_collect", lambda exports: [])
    exports = Exports(adjourn.App(connector=adjourn.SyncPsycopgConnector()))
    with shortage, pytest.raises(RuntimeError, match="thread"):
        exports.families()
    assert exports.families() == []


def test_the_dashboard_looks_later(
    shortage: contextlib.AbstractContextManager[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()
    monkeypatch.setattr(Collector, "_run", lambda collector: looked.set())
    collector: Any = Collector(None, None)  # type: ignore[arg-type]
    with shortage, pytest.raises(RuntimeError, match="thread"):
        collector.want(["queues"])
    collector.want(["queues"])
    assert looked.wait(10)


def test_a_change_of_many_jobs_that_could_not_begin_does_not_count(
    shortage: contextlib.AbstractContextManager[None],
) -> None:
    bulks = Bulks(None, None)  # type: ignore[arg-type]
    with shortage, pytest.raises(RuntimeError, match="thread"):
        bulks.start(Bulk("1", "cancel", {}, "", author=None, expected=1, is_capped=False))  # type: ignore[arg-type]
    assert bulks.all() == []
