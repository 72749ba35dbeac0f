"""What becomes of the arguments and results of tasks of the framework, whatever they are."""

from __future__ import annotations

import datetime
import json
import os
from typing import Any

import psycopg
from hypothesis import given, settings
from hypothesis import strategies as st

import support.site  # noqa: F401 - sets Django up
from adjourn.contrib.django.tasks.compat import InvalidTask, TaskResultStatus
from adjourn.contrib.django.tasks.envelopes import Envelope, as_stored
from adjourn.contrib.django.tasks.results import result_of
from adjourn.jobs import Job
from support.shop import framework

IS_THOROUGH = bool(os.environ.get("ADJOURN_TEST_THOROUGH"))

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
keys = st.text(max_size=3) | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False)
values = st.recursive(
    scalars | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=8,
)
times = st.none() | st.datetimes() | st.datetimes(timezones=st.timezones())


def stored_or_none(value: Any) -> list[Any] | None:
    try:
        return [as_stored(value)]
    except ValueError:  # bytes, NUL, ...
        return None


@given(values)
@settings(max_examples=500 if IS_THOROUGH else 50, deadline=None)
def test_what_is_enqueued_is_what_the_database_has(observer: psycopg.Connection, value: Any) -> None:
    stored = stored_or_none(value)
    if stored is None:
        return
    row = observer.execute("SELECT %s::text::jsonb::text", [json.dumps(stored[0])]).fetchone()
    assert row is not None
    assert json.loads(row[0]) == stored[0]
    # The types, too, as far as JSON has them.
    assert repr(json.loads(row[0], object_hook=_sorted)) == repr(json.loads(json.dumps(stored[0]), object_hook=_sorted))


def _sorted(value: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted(value.items(), key=lambda item: item[0])


@given(values)
def test_what_was_stored_once_is_stored_again_as_it_is(value: Any) -> None:
    stored = stored_or_none(value)
    if stored is not None:
        assert as_stored(stored[0]) == stored[0]


@given(st.lists(values, max_size=3), st.dictionaries(st.text(max_size=5), values, max_size=3), times)
def test_an_envelope_is_opened_as_it_was_sealed(
    args: list[Any], kwargs: dict[str, Any], run_after: datetime.datetime | None
) -> None:
    try:
        envelope = Envelope.sealed(args, kwargs, "default", run_after)
    except InvalidTask:
        assert stored_or_none([args, kwargs, list(kwargs)]) is None
        return
    opened = Envelope.opened("t", json.loads(json.dumps(envelope.as_arguments())))
    assert opened == envelope
    if run_after is None or run_after.utcoffset() is None:
        assert opened.due == run_after
    else:
        assert opened.due is not None
        assert opened.due.utcoffset() == run_after.utcoffset()
        assert opened.due.replace(tzinfo=None) == run_after.replace(tzinfo=None)


@given(values)
def test_what_is_no_envelope_is_told_from_one(value: Any) -> None:
    for arguments in ({"args": value}, {"args": [], "kwargs": value, "backend": "default", "run_after": None}):
        try:
            assert Envelope.opened("t", arguments).kwargs == value
        except InvalidTask:
            assert "args" in arguments and (len(arguments) == 1 or not isinstance(value, dict))  # noqa: PT018


START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
statuses = st.sampled_from(["todo", "doing", "succeeded", "failed", "cancelled", "aborted"])


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    """A job whose attempts have left errors, or not, because their worker was lost, or there were many."""
    status = draw(statuses)
    attempts = draw(st.integers(0 if status in ("todo", "doing", "cancelled") else 1, 30))
    ended = range(1, attempts + (status not in ("succeeded", "aborted")))
    kept = sorted(draw(st.sets(st.sampled_from(list(ended)), max_size=10))) if ended else []
    errors = tuple(
        {
            "exception": "builtins.ValueError",
            "message": "",
            "traceback": "ValueError\n",
            "attempt": number,
            "worker_id": draw(st.none() | st.integers(1, 3)),
            "started_at": (START + datetime.timedelta(minutes=number)).isoformat(),
        }
        for number in kept
    )
    has_worker = status not in ("todo", "cancelled")
    return Job(
        id=draw(st.integers(1, 2**63 - 1)),
        status=status,
        queue="default",
        priority=draw(st.integers(-100, 100)),
        task_name="django:support.shop.framework.note",
        enqueued_at=START,
        started_at=START + datetime.timedelta(minutes=attempts + 1) if has_worker else None,
        finished_at=START + datetime.timedelta(hours=1) if status not in ("todo", "doing") else None,
        attempts=attempts,
        worker_id=draw(st.integers(1, 3)) if has_worker else None,
        errors=errors,
        result=5 if status == "succeeded" else None,
    )


@given(jobs())
def test_a_result_says_what_the_job_says(job: Job) -> None:
    result = result_of(job, framework.note, Envelope([1], {"a": 2}, "patient", None))
    assert (result.id, result.args, result.kwargs, result.backend) == (str(job.id), [1], {"a": 2}, "patient")
    assert (result.task.priority, result.task.backend, result.task.func) == (
        job.priority,
        "patient",
        framework.note.func,
    )
    assert result.attempts == job.attempts + (job.status == "doing")
    assert all(isinstance(each, str) and len(each) < 64 for each in (result.id, *result.worker_ids))
    assert result.is_finished is (job.finished_at is not None)
    assert (result.status == TaskResultStatus.SUCCESSFUL) is (job.status == "succeeded")
    assert (result.status == TaskResultStatus.RUNNING) is (job.status == "doing")
    added = job.status in ("cancelled", "aborted")
    assert len(result.errors) == len(job.errors) + added
    assert (not added) or result.errors[-1].exception_class_path == "adjourn.exceptions.JobAborted"
    if job.worker_id is not None:
        assert result.worker_ids[-1] == str(job.worker_id)
    if result.started_at is not None:
        assert result.last_attempted_at is not None
        assert result.started_at <= result.last_attempted_at
    assert (result.started_at is None) is (job.started_at is None and not job.errors)
