"""How often the rule is asked, and what classes are called."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import os
from collections import defaultdict
from pathlib import Path

import pytest
from psycopg_pool import ConnectionPool

import adjourn
from adjourn._dispatch import rule, state
from adjourn._dispatch.rule import Caller, Life, Operation, Plan, View
from adjourn.testing import InMemoryConnector
from adjourn.types import Statement

SOURCES = Path(adjourn.__file__).parent
TWINNED = [{"_runtime/aio.py", "_runtime/threads.py"}]
"""Modules that have the same names, so that the code that uses them reads the same in both colours."""
SHARED = {
    "JobAborted",  # the exception that a task raises, and the event that tells of it
    *("JobFailed", "JobSuspended"),  # the same
    "MovedElsewhere",  # Procrastinate has it twice, so programs may import either
    # As Django wants them to be named, and as its models of Procrastinate are.
    *("Command", "Migration"),
    *("Event", "Job", "Schedule", "Worker"),
    # The dashboard is an application of its own, and its words are those of web frameworks.
    *("Action", "Database", "View"),
    "Batch",  # what users declare, and the columns of many jobs that are stored
    *("_Handler", "_Server"),  # of the standard library's HTTP servers, each within its module
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Operation]:
    """What the rule is asked from now on."""
    found: list[Operation] = []

    def select(view: View, caller: Caller, operation: Operation) -> Plan:
        found.append(operation)
        return rule.select(view, caller, operation)

    monkeypatch.setattr(state, "select", select)
    return found


@pytest.fixture
def app(database: str) -> adjourn.App:
    """An app with a task to defer."""
    app = adjourn.App(connector=adjourn.PsycopgConnector(database, min_size=1, max_size=2))
    app.task(name="any")(print)
    return app


def test_a_blocking_call_asks_the_rule_once_before_opening(app: adjourn.App, asked: list[Operation]) -> None:
    with pytest.raises(adjourn.exceptions.AppNotOpen):
        app.tasks["any"].defer()
    assert asked == [Operation.CALL]


def test_a_blocking_call_asks_the_rule_once_before_opening_where_nothing_needs_it(asked: list[Operation]) -> None:
    app = adjourn.App(connector=InMemoryConnector())
    app.task(name="any")(print)
    app.tasks["any"].defer()
    assert asked == [Operation.CALL]


def test_a_blocking_call_asks_the_rule_once_when_opened_for_synchronous_calls(
    app: adjourn.App, asked: list[Operation]
) -> None:
    with app.open():
        asked.clear()
        app.tasks["any"].defer()
        assert asked == [Operation.CALL]


async def test_a_call_of_either_colour_asks_the_rule_once_when_opened_on_a_loop(
    app: adjourn.App, asked: list[Operation]
) -> None:
    async with app.open_async():
        asked.clear()
        await asyncio.to_thread(app.tasks["any"].defer)
        assert asked == [Operation.CALL]
        asked.clear()
        await app.tasks["any"].defer_async()
        assert asked == [Operation.CALL_ASYNC]


@pytest.mark.parametrize("life", Life)
@pytest.mark.parametrize("loop", ["running", "idle", "closed"])
@pytest.mark.parametrize("is_here", [True, False])
async def test_which_connector_is_handed_out_is_as_the_rule_says_of_a_view(
    life: Life, loop: str, is_here: bool, asked: list[Operation]
) -> None:
    connector = InMemoryConnector()
    with contextlib.closing(asyncio.new_event_loop()) as other:
        if loop == "closed":
            other.close()
        owner = asyncio.get_running_loop() if loop == "running" else other
        seen = state.State(os.getpid() if is_here else 0, life, owner if life is Life.ASYNC else None)
        connector._dispatcher.keeper.state = seen
        found = connector.get_sync_connector()
        assert (found is connector) == rule.is_on_loop(seen.view(needs_opening=True), os.getpid)
        assert (found is connector) == (life is Life.ASYNC and is_here and loop != "closed")
        assert asked == []


def test_a_session_goes_where_the_users_pool_does_when_opened_for_synchronous_calls(database: str) -> None:
    connector = adjourn.PsycopgConnector("host=nowhere.invalid")
    with ConnectionPool(database, min_size=1, max_size=1, open=True) as pool:
        connector.open(pool)
        session = connector.session()
        assert session.execute(Statement("one", "SELECT 1 AS one")) == [{"one": 1}]
        session.close()
        connector.close()


def classes() -> dict[str, set[str]]:
    """Return the modules that define a class at their top, by the name of the class."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for file in SOURCES.rglob("*.py"):
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                found[node.name].add(file.relative_to(SOURCES).as_posix())
    return found


def test_a_class_name_is_used_once() -> None:
    found = classes()
    assert len(found) > 100
    several = {name: files for name, files in found.items() if len(files) > 1 and files not in TWINNED}
    assert several.keys() == SHARED
