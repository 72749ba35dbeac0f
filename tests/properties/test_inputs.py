"""Whatever people write, it is taken as it is, or refused by an error of adjourn's that names the argument."""

from __future__ import annotations

import contextlib
import datetime
import functools
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import adjourn
from adjourn._domain.checks import MAX_NAME_LENGTH, is_storable
from adjourn._domain.cron import Cron
from adjourn.cli import parse
from adjourn.cli.flags import PREFIX
from adjourn.connectors import AsyncPsycopg2Connector, Psycopg2Connector
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector, SQLAlchemyPsycopg2Connector, SQLAlchemyPsycopgConnector
from adjourn.exceptions import InvalidOption, InvalidTaskArguments
from adjourn.jobs import Job
from adjourn.manager import JobManager
from properties.test_arguments import is_same

quick = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
odd = st.sampled_from(
    ["\0", "\ud800", "é", "\u202e", "'", '"', "\\", "%", "%s", "{}", ",", " ", "\n", "@schema", "$1", "😀"]
)
texts = st.text(max_size=20) | st.lists(odd | st.text(max_size=3), max_size=6).map("".join) | st.just("a" * 256)
things: st.SearchStrategy[Any] = (
    texts | st.none() | st.integers() | st.binary(max_size=3) | st.lists(st.none(), max_size=1)
)


@pytest.fixture
def manager(database: str) -> Iterator[JobManager]:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with app.open():
        yield app.job_manager


# Names


@given(
    values=st.fixed_dictionaries({}, optional=dict.fromkeys(["queue", "task_name", "lock", "queueing_lock"], things))
)
@quick
def test_the_names_of_a_job_made_by_hand_are_kept_or_refused(manager: JobManager, values: dict[str, Any]) -> None:
    wrong = {name for name, value in values.items() if not is_name(value, optional="lock" in name)}
    job = Job(**{"queue": "q", "task_name": "t", **values})
    for store in (manager.defer_job, lambda job: manager.batch_defer_jobs([Job(queue="q", task_name="t"), job])[1]):
        if wrong:
            with pytest.raises(InvalidOption, match=rf"^job(s\[1\])?\.({'|'.join(wrong)})="):
                store(job)
            assert not manager.list_jobs()
        else:
            (found,) = manager.list_jobs(id=store(job).id)
            assert {name: getattr(found, name) for name in values} == values
            for stored in manager.list_jobs():
                manager.cancel_job_by_id(stored.id or 0, delete_job=True)


@given(name=things, queues=st.none() | st.lists(things, max_size=3))
@quick
def test_the_names_of_a_worker_and_of_its_queues_are_kept_or_refused(
    manager: JobManager, name: Any, queues: list[Any] | None
) -> None:
    if is_name(name) and all(is_name(queue) for queue in queues or ()):
        worker_id = manager.register_worker(name, queues)
        (found,) = manager.list_workers()
        assert (found.id, found.name) == (worker_id, name)
        assert found.queues == (None if queues is None else tuple(queues))
        assert manager.fetch_job(queues, worker_id) is None
        manager.unregister_worker(worker_id)
    else:
        with pytest.raises(InvalidOption, match=r"^(name|queues)="):
            manager.register_worker(name, queues)
        assert not manager.list_workers()


def is_name(value: Any, optional: bool = False) -> bool:
    if value is None:
        return optional
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_LENGTH and is_storable(value)


# Arguments


def nested(depth: int, make: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = make(value)
    return value


UNFAITHFUL: dict[str, Any] = {
    "lists in lists, without end": nested(100_000, lambda inner: [inner]),
    "dictionaries in dictionaries, without end": nested(100_000, lambda inner: {"k": inner}),
    "a text with NUL": ["a\0b"],
    "a key with NUL": {"a\0b": 1},
    "half of a surrogate pair": {"a": "\udc00"},
    "a key with half of a surrogate pair": {"\udc00": 1},
    "not a number": [float("nan")],
    "infinite": {"a": float("-inf")},
    "an integer with more digits than Python writes": 10**5000,
    "a key that is a tuple": {(1, 2): 1},
    "bytes": b"a",
    "a set": {1},
    "an object": object(),
    "a date": datetime.date(2026, 1, 1),
}
circle: list[Any] = []
circle.append(circle)
UNFAITHFUL["itself"] = circle
FAITHFUL: dict[str, Any] = {
    "lists in lists": nested(200, lambda inner: [inner]),
    "dictionaries in dictionaries": nested(200, lambda inner: {"k": inner}),
    "a long text": "é" * 1_000_000,
    "many keys": {f"key {number}": number for number in range(20_000)},
    "a long key": {"k" * 100_000: 1},
    "integers": [2**63, -(2**64), 10**4000],
    "floats": [1.5, -0.1, 1e300, 5e-324, sys.float_info.max],
    "marks": ["\\u0000", "NaN", "Infinity", "-Infinity", "\\ud800", "%s", "@schema"],
    "pairs of surrogates": "😀\U0010ffff",
    "empty": [{}, [], "", None, {"": ""}],
}


@pytest.mark.parametrize("what", UNFAITHFUL)
def test_an_argument_that_would_not_arrive_as_it_is_is_refused(manager: JobManager, what: str) -> None:
    job = Job(queue="q", task_name="t", task_kwargs={"fine": 1, "wrong": UNFAITHFUL[what]})
    for store in (manager.defer_job, lambda job: manager.batch_defer_jobs([job])):
        with pytest.raises(InvalidTaskArguments, match=r"^Task t: argument 'wrong'"):
            store(job)
    assert not manager.list_jobs()


@pytest.mark.parametrize("what", FAITHFUL)
def test_an_argument_of_any_size_arrives(manager: JobManager, what: str) -> None:
    job = manager.defer_job(Job(queue="q", task_name="t", task_kwargs={"it": FAITHFUL[what]}))
    (found,) = manager.list_jobs(id=job.id)
    worker_id = manager.register_worker()
    claimed = manager.fetch_job(None, worker_id)
    assert claimed is not None
    assert found.task_kwargs == claimed.task_kwargs
    assert is_same({"it": FAITHFUL[what]}, found.task_kwargs)


def test_a_key_that_is_not_text_arrives_as_json_writes_it(manager: JobManager) -> None:
    job = manager.defer_job(Job(queue="q", task_name="t", task_kwargs={"it": {7: "a", True: "b", None: "c", 1.5: "d"}}))
    (found,) = manager.list_jobs(id=job.id)
    assert found.task_kwargs == {"it": {"7": "a", "true": "b", "null": "c", "1.5": "d"}}


# Addresses

CONNECTORS: list[Callable[[Any], Any]] = [
    adjourn.PsycopgConnector,
    adjourn.SyncPsycopgConnector,
    Psycopg2Connector,
    AsyncPsycopg2Connector,
    lambda dsn: SQLAlchemyConnector(dsn=dsn),
    lambda dsn: SQLAlchemyPsycopgConnector(dsn=dsn),
    lambda dsn: SQLAlchemyPsycopg2Connector(dsn=dsn),
]
pieces = st.sampled_from(
    [
        "postgresql://",
        "postgres://",
        "me",
        ":",
        "@",
        "/",
        "?",
        "&",
        "=",
        "host",
        "port",
        "5432",
        "[",
        "]",
        ",",
        "'",
        " ",
        "%",
        "%00",
        "#",
    ]
)


@given(dsn=st.lists(pieces | texts, max_size=8).map("".join))
@example(dsn="postgresql://me@host:99999999999999999999/db")
@example(dsn="postgresql://me@host:٣/db")
@example(dsn="postgresql://%aa")
@example(dsn="postgresql://me:%ff@host/db?application_name=%aa")
@settings(max_examples=150, deadline=None)
def test_an_address_is_taken_or_refused(dsn: str) -> None:
    for connector in CONNECTORS:
        with contextlib.suppress(InvalidOption):
            connector(dsn)


# Schedules

fields = st.sampled_from(
    [
        "*",
        "*/5",
        "0",
        "59",
        "60",
        "-1",
        "1-5",
        "5-1",
        "*/0",
        "L",
        "?",
        "mon",
        "sun#2",
        "H",
        "@hourly",
        "1,",
        "é",
        "\0",
        "٣",
    ]
)


@given(
    expression=st.lists(fields, max_size=8).map(" ".join) | texts | st.none() | st.integers(),
    timezone=st.sampled_from(["UTC", "Europe/Berlin"])
    | texts
    | st.none()
    | st.just("../../etc/passwd")
    | st.just("/etc"),
)
@settings(max_examples=300, deadline=None)
def test_a_schedule_is_taken_or_refused(expression: Any, timezone: Any) -> None:
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    with contextlib.suppress(InvalidOption):
        cron = Cron(expression, timezone)
        assert cron.next(now) > now


# The command line, and the environment

COMMANDS = ["worker", "defer", "schema", "healthchecks", "shell", "demo"]
words = st.sampled_from(
    [
        *COMMANDS,
        "--app",
        "--queues",
        "--concurrency",
        "-v",
        "--lock",
        "--at",
        "--in",
        "--",
        "-",
        "--help",
        "t",
        "{}",
        "--apply",
    ]
)


def ends_well(call: Callable[[], Any]) -> None:
    """The command line is read, or the program ends by a message about it."""
    messages = io.StringIO()
    code: Any = 0
    with contextlib.redirect_stderr(messages), contextlib.redirect_stdout(io.StringIO()):
        try:
            call()
        except SystemExit as end:
            code = end.code
    assert code == 0 or (code == 2 and "error: " in messages.getvalue())


@given(arguments=st.lists(words | texts, max_size=6))
@settings(max_examples=150, deadline=None)
def test_a_command_line_is_taken_or_refused(arguments: list[str]) -> None:
    ends_well(lambda: parse(arguments))


@given(data=st.data(), command=st.sampled_from(["worker", "healthchecks", "schema", "shell"]))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_an_environment_is_taken_or_refused(data: st.DataObject, command: str) -> None:
    names = variables()
    values = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=10)
    values |= st.sampled_from(["1", "-1", "nan", "inf", "1e999", "9" * 5000, "yes", "maybe", ",", "٣", "2030-01-01"])
    chosen = data.draw(st.dictionaries(st.sampled_from(names), values, max_size=3), "environment")
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(PREFIX):
                patch.delenv(name)
        for name, value in chosen.items():
            patch.setenv(name, value)
        ends_well(lambda: parse([command]))


@functools.cache
def variables() -> list[str]:
    """The names of all environment variables that a command reads."""
    text = io.StringIO()
    for command in COMMANDS:
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            parse([command, "--help"])
    return sorted(set(re.findall(rf"{PREFIX}[A-Z_]+", text.getvalue())))
