"""Rows that lists return are dictionaries, and their values are typed attributes."""

from __future__ import annotations

import copy
import json
import pickle
import typing

import pytest

import adjourn
from adjourn.cli.tables import Screen
from adjourn.jobs import JobCounts
from adjourn.periodic import RegisteredSchedule
from adjourn.testing import InMemoryConnector
from adjourn.worker import RegisteredWorker

COUNTS = {"name": "mail", "jobs_count": 3, "todo": 2, "doing": 1, "succeeded": 0, "failed": 0}


def test_a_row_is_a_dictionary_whose_values_are_attributes() -> None:
    row = JobCounts(COUNTS)
    assert (row.name, row["name"], row.get("name"), row.todo) == ("mail", "mail", "mail", 2)
    assert row == COUNTS
    assert json.loads(json.dumps(row)) == {**row} == COUNTS
    for again in (pickle.loads(pickle.dumps(row)), copy.copy(row)):
        assert (type(again), again) == (JobCounts, row)
    assert repr(row).startswith("JobCounts(name='mail', jobs_count=3, ")


def test_a_row_has_no_other_attributes_and_none_can_be_set() -> None:
    row = JobCounts(COUNTS)
    with pytest.raises(AttributeError, match="colour"):
        row.colour  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError):
        row.name = "other"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(KeyError, match="aborted"):
        row.aborted  # noqa: B018 - the row is not complete


def test_every_list_has_rows_of_its_kind_with_all_columns() -> None:
    app = adjourn.App(connector=InMemoryConnector())
    manager = app.job_manager
    with app.open():
        app.configure_task("any", queue="q", lock="l").defer()
        manager.register_worker("one", ["q"])
        job = adjourn.jobs.Job(queue="q", task_name="any")
        manager.defer_periodic_job(job, "", int(manager.get_time().timestamp()) - 60, cron="* * * * *")
        lists: list[tuple[type[dict[str, typing.Any]], typing.Any]] = [
            (JobCounts, manager.list_queues()),
            (JobCounts, manager.list_tasks()),
            (JobCounts, manager.list_locks()),
            (RegisteredSchedule, manager.list_schedules()),
            (RegisteredWorker, manager.list_workers()),
        ]
    for kind, rows in lists:
        (row,) = rows
        assert type(row) is kind
        columns = typing.get_type_hints(kind).keys()
        assert row.keys() == columns
        assert {name: getattr(row, name) for name in columns} == row


@pytest.mark.parametrize("has_result", [False, True])
def test_the_shell_shows_the_result_of_a_job_that_has_one(has_result: bool, capsys: pytest.CaptureFixture[str]) -> None:
    job = adjourn.jobs.Job(
        id=1, status="succeeded", queue="q", task_name="t", result={"a": "\x1b[31m"}, has_result=has_result
    )
    Screen().job(job)
    printed = capsys.readouterr().out
    assert ('{"a": "\\u001b[31m"}' in printed) is has_result


def test_the_shell_says_of_a_job_that_has_expired_that_it_was_not_begun(capsys: pytest.CaptureFixture[str]) -> None:
    expired: dict[str, typing.Any] = {
        "exception": "JobExpired",
        "message": "late",
        "attempt": 1,
        "started_at": None,
        "ended_at": "2030-01-01T00:00:00+00:00",
    }
    failed = {**expired, "exception": "ValueError", "started_at": "2030-01-01T00:00:00+00:00"}
    Screen().job(adjourn.jobs.Job(id=1, status="cancelled", queue="q", task_name="t", errors=(failed, expired)))
    printed = capsys.readouterr().out
    assert "Not begun" in printed
    assert printed.count("Attempt 1") == 1
