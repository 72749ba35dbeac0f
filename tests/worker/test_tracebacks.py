"""Tracebacks of tasks begin in the code of their programs, in what is stored and in what is logged."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
import traceback
from collections.abc import AsyncIterator
from typing import Any

import pytest

import adjourn
from adjourn._domain.tracebacks import begin_in_user_code
from adjourn.testing import InMemoryConnector

pytestmark = pytest.mark.anyio


@pytest.fixture
async def app() -> AsyncIterator[adjourn.App]:
    async with adjourn.App(connector=InMemoryConnector()).open_async() as app:
        yield app


async def files_of(app: adjourn.App, task: Any, caplog: pytest.LogCaptureFixture, **options: Any) -> list[str]:
    """The files of the frames that are stored of a job that fails, from the outermost on; they are logged as well."""
    job_id = await task.defer_async()
    with caplog.at_level(logging.ERROR):
        await app.run_worker_async(wait=False, install_signal_handlers=False, **options)
    (job,) = await app.job_manager.list_jobs_async(id=job_id)
    lines = job.errors[-1]["traceback"].splitlines()
    stored = [line.split('"')[1] for line in lines if line.startswith('  File "')]
    (record,) = [each for each in caplog.records if each.exc_info]
    assert record.exc_info is not None
    assert [each.filename for each in traceback.extract_tb(record.exc_info[2])] == stored
    return stored


async def fail_later() -> None:
    await asyncio.sleep(0)
    raise ValueError("later")


@pytest.mark.parametrize("middleware", [False, True])
@pytest.mark.parametrize("kind", ["async", "sync", "sync that returns an awaitable"])
async def test_the_traceback_of_a_task_has_no_frame_of_what_calls_it(
    app: adjourn.App, caplog: pytest.LogCaptureFixture, kind: str, middleware: bool
) -> None:
    async def around(call: Any, context: Any, worker: Any) -> Any:
        return await call()

    if kind == "async":

        @app.task(name="work")
        async def work() -> None:
            await fail_later()

    elif kind == "sync":

        @app.task(name="work")
        def work() -> None:
            raise ValueError("now")

    else:

        @app.task(name="work")
        def work() -> Any:
            return fail_later()

    options = {"worker_middleware": [around]} if middleware else {}
    files = await files_of(app, app.tasks["work"], caplog, **options)
    assert set(files) == {__file__}


async def test_a_wrong_call_of_adjourn_is_shown_from_the_task_down_to_where_it_is_refused(
    app: adjourn.App, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task(pass_context=True)
    def work(context: adjourn.JobContext) -> None:
        context.sleep("long")  # type: ignore[arg-type]

    files = await files_of(app, work, caplog)
    assert files[0] == __file__
    assert files[-1].endswith("checks.py")


async def test_an_error_of_what_calls_a_task_is_shown_whole(app: adjourn.App, caplog: pytest.LogCaptureFixture) -> None:
    @app.task(name="work")
    def work() -> None: ...

    app.tasks["work"].func = 5  # type: ignore[assignment]
    files = await files_of(app, app.tasks["work"], caplog)
    assert files
    assert all("adjourn" in file for file in files)


def test_a_deep_recursion_does_not_hold_up_the_worker() -> None:
    def fall(depth: int) -> None:
        if not depth:
            raise ValueError("deep")
        fall(depth - 1)

    machinery: dict[str, Any] = {"__name__": "adjourn.worker.calls", "fall": fall}
    exec("def call(depth): fall(depth)", machinery)  # a frame of that module
    former = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)
    try:
        machinery["call"](30_000)
    except ValueError as error:
        began = time.process_time()
        begin_in_user_code(error)
        assert time.process_time() - began < 1.0
        frames = list(traceback.walk_tb(error.__traceback__))
        assert [frame.f_code.co_name for frame, _ in frames[1:]] == ["fall"] * 30_001
    finally:
        sys.setrecursionlimit(former)
