"""Jobs as workers claim them."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

import pytest

import adjourn
from adjourn import exceptions, sql
from adjourn._domain.jobs import CLAIMED, Job
from adjourn.sql.history import own_folder
from adjourn.testing import InMemoryConnector
from support.claims import claimed_job


def test_the_columns_are_those_of_an_exchange_in_its_order() -> None:
    text = own_folder().joinpath("functions", "exchange_v1.sql").read_text(encoding="utf-8")
    found = re.search(r"returns table \((.*?)\)", text, re.DOTALL)
    assert found is not None
    assert tuple(column.split()[0] for column in found[1].split(",")) == CLAIMED
    assert sql.statements()["exchange"].takes_tuples


def test_the_job_has_what_the_row_has_and_is_made_once() -> None:
    columns: dict[str, Any] = {
        "queue": "other",
        "task_name": "work",
        "priority": 3,
        "lock": "l",
        "queueing_lock": "ql",
        "args": '{"a": 1}',
        "scheduled_at": "2026-01-01T00:00:00+00:00",
        "attempts": 2,
        "claim": 4,
        "abort_requested": True,
        "enqueued_at": "2026-01-02T00:00:00+00:00",
        "started_at": "2026-01-03T00:00:00+00:00",
        "headers": '{"trace": "1"}',
    }
    claimed = claimed_job(7, **columns)
    days = [datetime.datetime(2026, 1, day, tzinfo=datetime.UTC) for day in (1, 2, 3)]
    assert claimed.job == Job(
        id=7,
        status="doing",
        queue="other",
        task_name="work",
        task_kwargs={"a": 1},
        priority=3,
        lock="l",
        queueing_lock="ql",
        scheduled_at=days[0],
        attempts=2,
        abort_requested=True,
        worker_id=1,
        claim=4,
        enqueued_at=days[1],
        started_at=days[2],
        headers={"trace": "1"},
    )
    # Each attribute has a value: a copy reads all.
    assert claimed.job.evolve(priority=4).asdict() == claimed.job.asdict() | {"priority": 4}
    assert claimed.job is claimed.job
    assert claimed.job.task_kwargs is claimed.task_kwargs
    facts = (claimed.id, claimed.claim, claimed.task_name, claimed.lock, claimed.attempts, claimed.worker_id)
    assert (facts, claimed.abort_requested, claimed.error) == ((7, 4, "work", "l", 2, 1), True, None)


def test_a_context_makes_the_job_when_it_is_asked_for_it() -> None:
    claimed = claimed_job(7, task_name="work")
    context = adjourn.App(connector=InMemoryConnector()).make_context(claimed, start_timestamp=1.0)
    changed = context.evolve(additional_context={"a": 1})
    assert claimed._job is None, "it was made although nobody has asked"
    assert (context.job, changed.job) == (claimed.job, claimed.job)


def test_a_function_of_the_user_reads_also_arguments_that_are_empty() -> None:
    read: list[str] = []

    def loads(text: str) -> Any:
        read.append(text)
        return json.loads(text)

    assert [claimed_job(1, loads).task_kwargs, read] == [{}, ["{}"]]


@pytest.mark.parametrize(("text", "kind"), [("[]", "list"), ("null", "NoneType"), ("1", "int")])
def test_arguments_that_are_no_dictionary_are_an_error_of_this_job(text: str, kind: str) -> None:
    claimed = claimed_job(1, args=text)
    assert isinstance(claimed.error, exceptions.InvalidTaskArguments)
    assert (kind in str(claimed.error), claimed.task_kwargs, claimed.job.task_kwargs) == (True, {}, {})


def test_what_reading_raises_is_an_error_of_this_job_unless_somebody_interrupts_the_worker() -> None:
    def loads(text: str) -> Any:
        raise SystemExit("unreadable")

    def interrupted(text: str) -> Any:
        raise KeyboardInterrupt

    assert isinstance(claimed_job(1, loads).error, SystemExit)
    with pytest.raises(KeyboardInterrupt):
        claimed_job(1, interrupted)
