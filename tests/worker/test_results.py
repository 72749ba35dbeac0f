"""Workers store what tasks return, where that is wanted."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import adjourn
from adjourn import exceptions
from adjourn._domain.outcomes import Attempt, Ended, Outcome, Result
from adjourn.events import ResultDropped
from adjourn.jobs import Job
from adjourn.testing import InMemoryConnector
from adjourn.worker import outbox
from support.bench import Bench

pytestmark = pytest.mark.anyio
ATTEMPT = Attempt(1, 1, "one", datetime.datetime.min, datetime.datetime.min)


@pytest.fixture
def app(app_in_both: adjourn.App) -> adjourn.App:
    return app_in_both


async def result(app: adjourn.App, job_id: int) -> Any:
    return await app.job_manager.get_result_async(job_id)


async def test_what_a_task_returns_is_stored_if_it_says_so(app: adjourn.App, bench: Bench) -> None:
    @app.task(store_result=True)
    def sync(a: int, b: int) -> int:
        return a + b

    @app.task(store_result=True, result_ttl=60, pass_context=True)
    async def on_loop(context: adjourn.JobContext, word: str) -> dict[str, Any]:
        return {"word": word, "nothing": None}

    @app.task
    def silent() -> int:
        return 1

    ids = [await sync.defer_async(a=1, b=2), await on_loop.defer_async(word="w"), await silent.defer_async()]
    await bench.drain(delete_jobs="successful")
    assert await result(app, ids[0]) == 3
    assert await result(app, ids[1]) == {"word": "w", "nothing": None}
    with pytest.raises(exceptions.NoResult):
        await result(app, ids[2])
    for job_id, ttl in ((ids[0], 86_400), (ids[1], 60)):
        job = await bench.job(job_id)
        assert job.finished_at is not None
        assert job.result_expires_at == job.finished_at + datetime.timedelta(seconds=ttl)


async def test_an_app_may_store_the_results_of_all_tasks_but_those_that_do_not_want_it(
    app: adjourn.App, bench: Bench
) -> None:
    other = adjourn.App(connector=app.connector, store_results=True, result_ttl=math.inf)

    @other.task
    def stored() -> None: ...

    @other.task(store_result=False)
    def silent() -> int:
        return 1

    ids = [await stored.defer_async(), await silent.defer_async()]
    await Bench(other).drain()
    assert await result(app, ids[0]) is None
    assert (await bench.job(ids[0])).result_expires_at is None
    with pytest.raises(exceptions.ResultNotStored):
        await result(app, ids[1])


async def test_what_the_outermost_middleware_returns_is_stored(app: adjourn.App, bench: Bench) -> None:
    async def doubled(call_next: Callable[[], Awaitable[int]], context: Any, worker: Any) -> int:
        return 2 * await call_next()

    @app.task(store_result=True)
    def one() -> int:
        return 1

    job_id = await one.defer_async()
    await bench.drain(worker_middleware=[doubled])
    assert await result(app, job_id) == 2


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({1, 2}, "of type set, cannot be stored as JSON"),
        (object(), "of type object, cannot be stored as JSON"),
        (math.nan, "NaN is not JSON compliant"),
        ("\ud800", "a lone surrogate"),
        ("nul \0", "NUL"),
        ("x" * (2**20 - 1), "has 1048577 bytes as JSON, and 1048576 at most are stored"),
    ],
)
async def test_a_job_whose_result_cannot_be_stored_fails_and_is_not_retried(
    app: adjourn.App, bench: Bench, value: Any, why: str
) -> None:
    @app.task(store_result=True, retry=5)
    async def odd() -> Any:
        return value

    job_id = await odd.defer_async()
    await bench.drain()
    job = await bench.job(job_id)
    assert (job.status, job.attempts) == ("failed", 1)
    assert job.errors[-1]["exception"] == "adjourn.exceptions.InvalidResult"
    assert why in job.errors[-1]["message"]
    with pytest.raises(exceptions.JobFailed, match="InvalidResult"):
        await result(app, job_id)


async def test_results_go_through_the_functions_of_the_connector(database: str) -> None:
    def dumps(value: Any) -> bytes:
        if value == "exit":
            raise SystemExit(1)
        return b"{" if value == "broken" else json.dumps(value, default=lambda each: {"set": sorted(each)}).encode()

    def loads(text: str) -> Any:
        return json.loads(text, object_hook=lambda found: set(found["set"]) if "set" in found else found)

    connector = adjourn.PsycopgConnector(database, max_size=4, json_dumps=dumps, json_loads=loads)
    app = adjourn.App(connector=connector, store_results=True)
    dropped: list[ResultDropped] = []
    app.events.subscribe(ResultDropped, dropped.append)

    @app.task
    def give(what: str) -> Any:
        return {"set": {3, 1}, "nested": [{"set": [2]}]}[what] if what in ("set", "nested") else what

    async with app.open_async():
        ids = await give.batch_defer_async(*({"what": what} for what in ("set", "nested", "broken", "exit", "word")))
        await Bench(app).drain()
        jobs = {job.id: job for job in await app.job_manager.list_jobs_async()}
        assert [jobs[job_id].status for job_id in ids] == ["succeeded", "succeeded", "failed", "failed", "succeeded"]
        assert [jobs[job_id].result for job_id in (ids[0], ids[1], ids[4])] == [{1, 3}, [{2}], "word"]
    errors = [jobs[job_id].errors[-1] for job_id in ids[2:4]]
    assert [error["exception"] for error in errors] == ["adjourn.exceptions.InvalidResult", "builtins.SystemExit"]
    assert errors[0]["message"].startswith("The database does not accept the result: ")
    assert (errors[0]["attempt"], errors[0]["worker_name"]) == (1, "worker")
    assert [event.job_id for event in dropped] == [ids[2]]


async def test_a_task_may_allow_larger_results_which_are_sent_in_several_batches(
    app: adjourn.App, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST_OF_RESULTS", 5_000_000)

    @app.task(store_result=True, max_result_size=2**23)
    async def large(n: int) -> str:
        return str(n) * 3_000_000

    ids = await large.batch_defer_async(*({"n": n} for n in range(4)))
    await bench.drain(concurrency=4)
    assert [await result(app, job_id) for job_id in ids] == [str(n) * 3_000_000 for n in range(4)]


def test_a_batch_has_one_result_at_least_and_no_more_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MOST_OF_RESULTS", 10)
    waiting = outbox.Outbox(adjourn.App(connector=InMemoryConnector()).events)
    sizes = [20, 6, 6, 0, 4, 1]
    outcomes: list[Outcome] = [
        Ended(number, 1, "succeeded", None, Result("1" * size, None, lambda: ATTEMPT) if size else None)
        for number, size in enumerate(sizes)
    ]
    for each in outcomes:
        waiting.add(each)
    batches = []
    while batch := waiting.next_batch():
        batches.append([each.id for each in batch])
        waiting.stored(batch)
    assert batches == [[0], [1], [2, 3, 4], [5]]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"store_result": "yes"}, "store_result='yes': pass True or False"),
        ({"store_result": True, "result_ttl": 0}, "result_ttl=0: pass a number of seconds above zero"),
        ({"store_result": True, "result_ttl": math.nan}, "result_ttl=nan"),
        ({"result_ttl": 5}, "result_ttl=5: pass it together with store_result=True"),
        ({"store_result": False, "result_ttl": 5}, "result_ttl=5: pass it together with store_result=True"),
        ({"max_result_size": -1}, "max_result_size=-1"),
        ({"max_result_size": 2**30}, "max_result_size=1073741824: pass 67108864 bytes at most"),
    ],
)
def test_options_of_results_are_checked(options: dict[str, Any], why: str) -> None:
    app = adjourn.App(connector=InMemoryConnector())
    with pytest.raises(exceptions.InvalidOption) as caught:
        app.task(**options)(len)
    assert why in str(caught.value)


@pytest.mark.parametrize("options", [{"store_results": 1}, {"result_ttl": None}, {"result_ttl": "1"}])
def test_options_of_an_apps_results_are_checked(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(exceptions.InvalidOption, match=f"^{name}="):
        adjourn.App(connector=InMemoryConnector(), **options)


def test_the_fields_that_only_lists_have_are_not_logged() -> None:
    job = Job(queue="q", task_name="t", result="secret", has_result=True)
    assert "secret" not in str(job.log_context())


async def test_an_error_names_the_worker_and_the_times_of_its_attempt(app: adjourn.App, bench: Bench) -> None:
    @app.task(retry=1)
    def fail() -> None:
        raise KeyError("no")

    job_id = await fail.defer_async()
    await bench.drain(name="first")
    job = await bench.job(job_id)
    assert job.worker_id is not None
    assert [(error["worker_id"], error["worker_name"], error["attempt"]) for error in job.errors] == [
        (job.worker_id, "first", 1),
        (job.worker_id, "first", 2),
    ]
    first, second = [
        (datetime.datetime.fromisoformat(error["started_at"]), datetime.datetime.fromisoformat(error["ended_at"]))
        for error in job.errors
    ]
    assert first[0] <= first[1] <= second[0] <= second[1]
