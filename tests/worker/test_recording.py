"""What counts runs many at a time harms no job, whatever becomes of it, and a forked child begins with nothing."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

import pytest

import adjourn
from adjourn.events import JobSucceeded
from adjourn.testing import InMemoryConnector
from adjourn.worker import exposition, tally
from adjourn.worker.recording import Recorder, record
from support.bench import Bench


def refuse(began: Sequence[Any], ended: Sequence[Any]) -> None:
    raise OSError("No space left on device")


@pytest.mark.parametrize("block", [1, 1024], ids=["at each end", "in time"])
async def test_what_counts_runs_and_fails_keeps_no_outcome_from_being_stored(
    app: adjourn.App, bench: Bench, monkeypatch: pytest.MonkeyPatch, block: int, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tally, "BLOCK", block)
    counted: list[int] = []
    ends = [record(app, refuse)[1], record(app, lambda _, ended: counted.extend(each.jobs for each in ended))[1]]

    @app.task(name="work")
    async def work() -> None: ...

    @app.task(name="in_thread")
    def in_thread() -> None: ...

    ids = [*await work.batch_defer_async({}, {}, {}), await in_thread.defer_async()]
    await bench.drain(concurrency=2)
    assert [(await bench.job(each)).attempts for each in ids] == [1] * 4
    assert {await bench.status(each) for each in ids} == {"succeeded"}
    assert sum(counted) == 4, "who counts as well is told, too"
    assert "No space left on device" in caplog.text
    for end in ends:
        end()  # this tells of the rest, and does not raise either


class _Claimed:
    queue, task_name, wait_seconds = "q", "t", 0.0


def tally_of(recorder: Recorder) -> tally.RunTally:
    """What a worker has counted of one run."""
    recorder._is_awaited = True  # by a timer of its loop
    made = tally.RunTally([recorder])
    made.add(_Claimed(), JobSucceeded, 0.1)  # type: ignore[arg-type]
    return made


def test_a_scrape_is_told_of_what_fails_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    recorder, stored = Recorder(refuse), list[str]()
    counted = tally_of(recorder)
    recorder.tell()
    assert "No space left on device" in caplog.text
    counted.store(stored.append)
    assert len(stored) == 1, "the statistics have it all the same"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_tells_of_no_run_of_its_parent_and_waits_for_none_of_its_locks() -> None:
    told: list[int] = []
    recorder = Recorder(lambda began, ended: told.append(len(ended)))
    counted = tally_of(recorder)
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with recorder._telling:
            held.set()
            go.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    child = os.fork()
    if not child:
        is_free = recorder._telling.acquire(timeout=2)
        if is_free:
            recorder._telling.release()
            recorder.tell()
        os._exit(0 if is_free and not told and not recorder._is_awaited else 1)
    go.set()
    holder.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    recorder.tell()
    assert told == [1], "the parent tells of its own"
    counted.count()
    assert told == [1], "once"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_show_the_workers_of_its_parent() -> None:
    remove = exposition.add(adjourn.App(connector=InMemoryConnector()), dict)
    try:
        assert {} in exposition.numbers()
        with exposition._adding:  # as if another thread held it
            child = os.fork()
            if not child:
                is_free = exposition._adding.acquire(timeout=2)
                os._exit(0 if is_free and not exposition.numbers() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        with exposition._adding:
            exposition._workers = tuple(each for each in exposition._workers if each is not dict)
    assert callable(remove)


def test_a_scrape_while_workers_begin_meets_no_set_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(lambda began, ended: None)
    monkeypatch.setattr(recorder, "_is_awaited", True)  # there is no loop here
    kept = [tally.RunTally((recorder,)) for _ in range(300)]
    for each in kept:
        recorder.expect(each)
    failed: list[Exception] = []
    is_over = threading.Event()

    def scrape() -> None:
        while not is_over.is_set():
            try:
                recorder.tell()
            except Exception as error:
                failed.append(error)
                return

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread = threading.Thread(target=scrape)
        thread.start()
        for _ in range(3000):
            kept.append(tally.RunTally((recorder,)))
            recorder.expect(kept[-1])
        is_over.set()
        thread.join()
    finally:
        is_over.set()
        sys.setswitchinterval(interval)
    assert failed == []


@pytest.mark.parametrize("statistics", [True, False])
async def test_who_begins_to_record_while_a_worker_runs_is_told_of_no_earlier_run(
    bench: Bench, app: adjourn.App, statistics: bool
) -> None:
    began_in_all: list[Any] = []
    ended_in_all: list[int] = []

    def note(began: Sequence[Any], ended: Sequence[Any]) -> None:
        began_in_all.extend(began)
        ended_in_all.extend(each.jobs for each in ended)

    @app.task(name="t")
    async def task() -> None: ...

    async with bench.working(statistics=statistics):
        await bench.ended(await task.defer_async())
        _, end = record(app, note)
        for job_id in await task.batch_defer_async({}, {}):
            await bench.ended(job_id)
        end()
        await bench.ended(await task.defer_async())
    assert (len(began_in_all), sum(ended_in_all)) == (2, 2)
