"""The rule, cell by cell: the table of states, callers and operations."""

from __future__ import annotations

import attrs
import pytest

from adjourn._dispatch.rule import (
    Action,
    Caller,
    Do,
    Life,
    LoopState,
    Operation,
    Owner,
    Reason,
    Refuse,
    View,
    is_on_loop,
    select,
)

HERE = 1
OWNER = Owner("owner", 10, LoopState.RUNNING)
IDLE = Owner("owner", 10, LoopState.IDLE)
DEAD = Owner("owner", 10, LoopState.CLOSED)

CLOSED = View(Life.CLOSED, HERE)
SYNC = View(Life.SYNC, HERE)
ASYNC = View(Life.ASYNC, HERE, OWNER)
EXTERNAL = View(Life.ASYNC, HERE, OWNER, is_external=True)
BORROWED = View(Life.ASYNC, HERE, OWNER, borrowed=1)
CLOSING = View(Life.CLOSING, HERE, OWNER, is_changing=True)
CLOSING_IN_A_THREAD = View(Life.CLOSING, HERE, is_changing=True)
OPENING = View(Life.CLOSED, HERE, OWNER, is_changing=True)
SWITCHING = View(Life.SYNC, HERE, OWNER, is_changing=True)
LOOP_IDLE = View(Life.ASYNC, HERE, IDLE)
LOOP_DEAD = View(Life.ASYNC, HERE, DEAD)
FORKED_SYNC = View(Life.SYNC, HERE + 1)
FORKED_SYNC_EXTERNAL = View(Life.SYNC, HERE + 1, is_external=True)
FORKED_ASYNC = View(Life.ASYNC, HERE + 1, OWNER)
FORKED_OPENING = View(Life.CLOSED, HERE + 1, OWNER, is_changing=True)

THREAD = Caller(HERE, 20)
ON_LOOP = Caller(HERE, 10, "owner")
OTHER_LOOP = Caller(HERE, 30, "other")
OWNERS_THREAD = Caller(HERE, 10)
"""The owner's thread when its loop does not run."""
NEXT_LOOP = Caller(HERE, 10, "next")
"""Another loop, in the owner's thread."""


@pytest.mark.parametrize(
    ("view", "is_itself"),
    [
        (CLOSED, False),
        (OPENING, False),
        (SYNC, False),
        (SWITCHING, False),
        (ASYNC, True),
        (EXTERNAL, True),
        (BORROWED, True),
        (CLOSING, False),
        (CLOSING_IN_A_THREAD, False),
        (LOOP_IDLE, True),
        (LOOP_DEAD, False),
        (FORKED_SYNC, False),
        (FORKED_ASYNC, False),
    ],
)
def test_the_synchronous_connector_is_the_connector_itself_where_a_loop_serves_and_otherwise_its_twin(
    view: View, is_itself: bool
) -> None:
    assert is_on_loop(view, lambda: HERE) == is_itself


@pytest.mark.parametrize(
    ("view", "caller", "plan"),
    [
        (CLOSED, THREAD, Refuse(Reason.NOT_OPEN)),
        (CLOSED, ON_LOOP, Refuse(Reason.NOT_OPEN)),
        (OPENING, THREAD, Refuse(Reason.NOT_OPEN)),
        (SYNC, THREAD, Do(Action.USE_TWIN)),
        (SYNC, ON_LOOP, Do(Action.USE_TWIN)),
        (SWITCHING, THREAD, Do(Action.USE_TWIN)),
        (ASYNC, THREAD, Do(Action.BRIDGE)),
        (ASYNC, OTHER_LOOP, Do(Action.BRIDGE)),
        (ASYNC, ON_LOOP, Refuse(Reason.ON_LOOP)),
        (ASYNC, OWNERS_THREAD, Refuse(Reason.ON_LOOP)),
        (EXTERNAL, THREAD, Do(Action.BRIDGE)),
        (CLOSING, THREAD, Refuse(Reason.NOT_OPEN)),
        (LOOP_IDLE, THREAD, Refuse(Reason.LOOP_IDLE)),
        (LOOP_IDLE, OWNERS_THREAD, Do(Action.DRIVE)),
        (LOOP_IDLE, NEXT_LOOP, Refuse(Reason.LOOP_IDLE)),
        (LOOP_DEAD, THREAD, Refuse(Reason.LOOP_GONE)),
        (FORKED_SYNC, THREAD, Do(Action.REBUILD_TWIN)),
        (FORKED_SYNC_EXTERNAL, THREAD, Refuse(Reason.FORKED)),
        (FORKED_ASYNC, THREAD, Refuse(Reason.FORKED)),
        (FORKED_OPENING, THREAD, Refuse(Reason.NOT_OPEN)),
    ],
)
def test_what_serves_a_blocking_call(view: View, caller: Caller, plan: Do | Refuse) -> None:
    assert select(view, caller, Operation.CALL) == plan


@pytest.mark.parametrize(
    ("view", "caller", "plan"),
    [
        (CLOSED, ON_LOOP, Refuse(Reason.NOT_OPEN)),
        (SYNC, ON_LOOP, Refuse(Reason.NOT_OPEN_ASYNC)),
        (ASYNC, ON_LOOP, Do(Action.AWAIT)),
        (ASYNC, OTHER_LOOP, Do(Action.HOP)),
        (ASYNC, NEXT_LOOP, Refuse(Reason.OTHER_LOOP)),
        (ASYNC, THREAD, Refuse(Reason.NO_LOOP)),
        (CLOSING, ON_LOOP, Refuse(Reason.NOT_OPEN)),
        (LOOP_IDLE, OTHER_LOOP, Refuse(Reason.OTHER_LOOP)),
        (LOOP_DEAD, OTHER_LOOP, Refuse(Reason.LOOP_GONE)),
        (FORKED_ASYNC, ON_LOOP, Refuse(Reason.FORKED)),
    ],
)
def test_what_serves_an_awaited_call(view: View, caller: Caller, plan: Do | Refuse) -> None:
    assert select(view, caller, Operation.CALL_ASYNC) == plan


@pytest.mark.parametrize(
    ("view", "caller", "plan"),
    [
        (CLOSED, THREAD, Do(Action.OPEN_TWIN)),
        (CLOSED, ON_LOOP, Do(Action.OPEN_TWIN)),
        (OPENING, THREAD, Do(Action.WAIT)),
        (OPENING, ON_LOOP, Refuse(Reason.ON_LOOP_OPEN)),
        (SYNC, THREAD, Do(Action.NOTHING)),
        (SWITCHING, ON_LOOP, Do(Action.NOTHING)),
        (ASYNC, THREAD, Do(Action.BORROW)),
        (ASYNC, ON_LOOP, Do(Action.BORROW)),
        (CLOSING, THREAD, Do(Action.WAIT)),
        (CLOSING, OTHER_LOOP, Do(Action.WAIT)),
        (CLOSING, ON_LOOP, Refuse(Reason.ON_LOOP_OPEN)),
        (CLOSING_IN_A_THREAD, ON_LOOP, Do(Action.WAIT)),
        (LOOP_IDLE, THREAD, Do(Action.BORROW)),
        (LOOP_DEAD, THREAD, Do(Action.DISCARD)),
        (FORKED_SYNC, THREAD, Do(Action.DISCARD)),
        (FORKED_OPENING, THREAD, Do(Action.DISCARD)),
    ],
)
def test_what_opening_does(view: View, caller: Caller, plan: Do | Refuse) -> None:
    assert select(view, caller, Operation.OPEN) == plan


@pytest.mark.parametrize(
    ("view", "caller", "plan"),
    [
        (CLOSED, THREAD, Do(Action.NOTHING)),
        (SYNC, THREAD, Do(Action.CLOSE_TWIN)),
        (SWITCHING, THREAD, Do(Action.WAIT)),
        (SWITCHING, ON_LOOP, Refuse(Reason.ON_LOOP_CLOSE)),
        (ASYNC, THREAD, Do(Action.BRIDGE)),
        (ASYNC, OTHER_LOOP, Do(Action.BRIDGE)),
        (ASYNC, ON_LOOP, Refuse(Reason.ON_LOOP_CLOSE)),
        (BORROWED, THREAD, Do(Action.RETURN)),
        (BORROWED, ON_LOOP, Do(Action.RETURN)),
        (CLOSING, THREAD, Do(Action.WAIT)),
        (CLOSING, ON_LOOP, Refuse(Reason.ON_LOOP_CLOSE)),
        (LOOP_IDLE, THREAD, Refuse(Reason.LOOP_IDLE)),
        (LOOP_IDLE, OWNERS_THREAD, Do(Action.DRIVE)),
        (LOOP_DEAD, THREAD, Do(Action.DISCARD)),
        (FORKED_SYNC, THREAD, Do(Action.DISCARD)),
        (FORKED_ASYNC, THREAD, Do(Action.DISCARD)),
    ],
)
def test_what_closing_does(view: View, caller: Caller, plan: Do | Refuse) -> None:
    assert select(view, caller, Operation.CLOSE) == plan


@pytest.mark.parametrize(
    ("view", "caller", "plan"),
    [
        (CLOSED, ON_LOOP, Do(Action.OPEN_POOL)),
        (OPENING, ON_LOOP, Do(Action.WAIT)),
        (SYNC, ON_LOOP, Do(Action.SWITCH)),
        (ASYNC, ON_LOOP, Do(Action.NOTHING)),
        (ASYNC, OTHER_LOOP, Refuse(Reason.OTHER_LOOP)),
        (CLOSING, ON_LOOP, Do(Action.WAIT)),
        (LOOP_IDLE, OTHER_LOOP, Refuse(Reason.OTHER_LOOP)),
        (LOOP_IDLE, NEXT_LOOP, Do(Action.DISCARD)),
        (LOOP_DEAD, OTHER_LOOP, Do(Action.DISCARD)),
        (FORKED_ASYNC, OTHER_LOOP, Do(Action.DISCARD)),
    ],
)
def test_what_opening_on_a_loop_does(view: View, caller: Caller, plan: Do | Refuse) -> None:
    assert select(view, caller, Operation.OPEN_ASYNC) == plan


@pytest.mark.parametrize(
    ("view", "caller", "plan"),
    [
        (CLOSED, ON_LOOP, Do(Action.NOTHING)),
        (SYNC, ON_LOOP, Do(Action.CLOSE_TWIN)),
        (ASYNC, ON_LOOP, Do(Action.CLOSE_POOL)),
        (BORROWED, ON_LOOP, Do(Action.CLOSE_POOL)),
        (ASYNC, OTHER_LOOP, Do(Action.HOP)),
        (ASYNC, NEXT_LOOP, Refuse(Reason.OTHER_LOOP)),
        (CLOSING, ON_LOOP, Do(Action.WAIT)),
        (LOOP_IDLE, OTHER_LOOP, Refuse(Reason.LOOP_IDLE)),
        (LOOP_IDLE, NEXT_LOOP, Do(Action.DISCARD)),
        (LOOP_DEAD, OTHER_LOOP, Do(Action.DISCARD)),
        (FORKED_SYNC, OTHER_LOOP, Do(Action.DISCARD)),
    ],
)
def test_what_closing_on_a_loop_does(view: View, caller: Caller, plan: Do | Refuse) -> None:
    assert select(view, caller, Operation.CLOSE_ASYNC) == plan


def test_a_refusal_on_the_loop_says_to_await_or_to_use_a_thread() -> None:
    message = str(Reason.ON_LOOP.error())
    assert "_async" in message
    assert "thread" in message


def test_a_refusal_to_close_on_the_loop_names_the_awaited_form() -> None:
    assert "close_async" in str(Reason.ON_LOOP_CLOSE.error())


def test_an_awaited_call_on_an_app_that_is_open_for_synchronous_calls_names_open_async() -> None:
    assert "open_async" in str(Reason.NOT_OPEN_ASYNC.error())


@pytest.mark.parametrize("view", [CLOSED, SYNC, CLOSING, OPENING, FORKED_SYNC_EXTERNAL, FORKED_ASYNC])
def test_where_nothing_needs_to_be_opened_a_call_is_served_where_others_refuse_it_as_not_open(view: View) -> None:
    view = attrs.evolve(view, needs_opening=False)
    assert select(view, THREAD, Operation.CALL) == Do(Action.USE_TWIN)
    assert select(view, OTHER_LOOP, Operation.CALL_ASYNC) == Do(Action.AWAIT)


@pytest.mark.parametrize("view", [ASYNC, EXTERNAL, BORROWED, LOOP_IDLE, LOOP_DEAD, FORKED_SYNC])
def test_on_a_loop_it_does_not_matter_whether_anything_needs_to_be_opened(view: View) -> None:
    for caller in (THREAD, ON_LOOP, OTHER_LOOP, OWNERS_THREAD, NEXT_LOOP):
        relaxed = attrs.evolve(view, needs_opening=False)
        assert select(relaxed, caller, Operation.CALL) == select(view, caller, Operation.CALL)
