"""What a workflow refuses before anything is stored."""

from __future__ import annotations

from typing import Any

import pytest

import adjourn
from adjourn import exceptions
from adjourn.testing import InMemoryConnector


@pytest.fixture
def app() -> adjourn.App:
    app = adjourn.App(connector=InMemoryConnector())

    @app.task(name="run")
    def run(n: int) -> None: ...

    return app


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"run_if": "often"}, r"^run_if='often': pass one of 'all_succeeded', 'all_done', 'any_failed'\.$"),
        ({"run_if": "all_done"}, r"^run_if='all_done': pass it together with depends_on\.$"),
        ({"depends_on": "7"}, r"^depends_on='7': "),
        ({"depends_on": [7, 7]}, r"^depends_on=7: it is there twice\.$"),
        ({"depends_on": {"": 7}}, r"^depends_on=''"),
        ({"task_kwargs": {"m": 1}}, r"m"),
    ],
)
def test_an_option_that_is_not_valid_is_refused_where_it_is_said(
    app: adjourn.App, options: dict[str, Any], said: str
) -> None:
    flow = app.workflow()
    with pytest.raises((exceptions.InvalidOption, exceptions.InvalidTaskArguments), match=said):
        flow.add(app.tasks["run"], **{"task_kwargs": {"n": 1}, **options})
    stored = flow.defer()
    assert repr(stored) == f"<workflow {stored.id}, 0 jobs stored>"
    assert app.job_manager.list_jobs() == []


def test_what_is_no_task_and_what_a_job_of_a_workflow_cannot_have_are_refused(app: adjourn.App) -> None:
    task = app.tasks["run"]
    for given, said in (
        (len, r"^task=<built-in function len>: pass a task, or what task\.configure\(\.\.\.\) returns\.$"),
        (task.configure(queueing_lock="q"), r"^queueing_lock='q': a job of a workflow cannot have one"),
        (
            task.configure(unique=adjourn.Unique(args=["n"])),
            r"^unique=Unique\(.*: a job of a workflow cannot be unique",
        ),
        (task.configure(connection=object()), r"^connection: pass it to the workflow's defer"),
    ):
        with pytest.raises(exceptions.InvalidOption, match=said):
            app.workflow().add(given, task_kwargs={"n": 1})  # type: ignore[arg-type]
    with pytest.raises(exceptions.InvalidOption, match=r"^tasks=\(\): pass at least one task\.$"):
        app.workflow().chain()
    with pytest.raises(exceptions.InvalidTaskArguments):
        app.workflow().map(task, [{"n": 1}, {"m": 1}])
    with pytest.raises(exceptions.InvalidOption, match=r"^name='x': leave it out with extends"):
        app.workflow("x", extends=1)


def test_nodes_belong_to_their_workflow_which_is_stored_once(app: adjourn.App) -> None:
    one, other = app.workflow(), app.workflow()
    foreign = other.add(app.tasks["run"], task_kwargs={"n": 1})
    assert repr(foreign) == "<a job of task run>"
    with pytest.raises(exceptions.InvalidOption, match=r"it is a node of another workflow"):
        one.add(app.tasks["run"], depends_on=foreign, task_kwargs={"n": 1})
    group = one.map(app.tasks["run"], [{"n": 1}, {"n": 2}])
    stored = one.defer()
    assert repr(group) == "<2 jobs of task run>"
    for call in (stored.job_id, stored.job_ids):
        with pytest.raises(exceptions.InvalidOption, match=r"it is not of this workflow"):
            call(foreign)
    with pytest.raises(exceptions.InvalidOption, match=r"it is a group; job_ids"):
        stored.job_id(group)
    assert stored.job_ids(group) == [stored.id + 1, stored.id + 2]
    for again in (one.defer, lambda: one.add(app.tasks["run"], task_kwargs={"n": 1})):
        with pytest.raises(exceptions.InvalidOption, match=r"^This workflow is stored already"):
            again()
