"""What holds in every cell of the table of `adjourn._dispatch.rule`."""

from __future__ import annotations

import pytest
from hypothesis import given

from adjourn._dispatch.rule import (
    Action,
    Caller,
    Do,
    Life,
    LoopState,
    Operation,
    Plan,
    Reason,
    Refuse,
    Situation,
    View,
    is_on_loop,
    select,
    situation,
)
from adjourn.exceptions import AppNotOpen
from properties.rule_strategies import HERE, cells, questions

CELLS = list(cells())
Cell = tuple[View, Caller, Operation]

CHANGES = {Operation.OPEN, Operation.CLOSE, Operation.OPEN_ASYNC, Operation.CLOSE_ASYNC}


def does(plan: Plan, *actions: Action) -> bool:
    """Whether the plan is to do one of these."""
    return isinstance(plan, Do) and plan.action in actions


def refuses(plan: Plan, *reasons: Reason) -> bool:
    """Whether the plan is to refuse for one of these reasons."""
    return isinstance(plan, Refuse) and plan.reason in reasons


def where(condition: object) -> list[Cell]:
    """The cells that fulfil a condition, of which there must be some."""
    assert callable(condition)
    found = [cell for cell in CELLS if condition(*cell)]
    assert found
    return found


def test_there_are_about_two_thousand_reachable_cells() -> None:
    assert 1500 < len(CELLS) < 6000


@given(questions())
def test_every_question_has_an_answer(question: Cell) -> None:
    assert isinstance(select(*question), (Do, Refuse))


@given(questions())
def test_the_answer_depends_on_nothing_but_the_question(question: Cell) -> None:
    assert select(*question) == select(*question)


@pytest.mark.parametrize("action", [Action.BRIDGE, Action.HOP])
def test_a_call_goes_to_another_loop_only_where_that_loop_runs_in_this_process_and_elsewhere(action: Action) -> None:
    for view, caller, _ in where(lambda *cell: does(select(*cell), action)):
        assert view.process == HERE
        assert view.owner is not None
        assert view.owner.state is LoopState.RUNNING
        assert view.owner.loop != caller.loop
        assert view.owner.thread != caller.thread


def test_an_idle_loop_is_driven_only_by_its_own_thread_where_no_other_loop_runs() -> None:
    for view, caller, _ in where(lambda *cell: does(select(*cell), Action.DRIVE)):
        assert view.process == HERE
        assert view.owner is not None
        assert view.owner.state is LoopState.IDLE
        assert view.owner.thread == caller.thread
        assert caller.loop is None


@pytest.mark.parametrize("action", [Action.AWAIT, Action.CLOSE_POOL])
def test_an_asynchronous_pool_is_touched_on_its_own_loop_only(action: Action) -> None:
    for view, caller, _ in where(lambda *cell: does(select(*cell), action)):
        assert view.process == HERE
        assert view.owner is not None
        assert view.owner.state is LoopState.RUNNING
        assert view.owner.loop == caller.loop


def test_after_a_fork_nothing_inherited_is_touched() -> None:
    harmless = {
        Action.REBUILD_TWIN,
        Action.DISCARD,
        Action.NOTHING,
        Action.OPEN_TWIN,
        Action.OPEN_POOL,
    }
    for view, caller, operation in where(lambda view, *_: view.process != HERE):
        assert not is_on_loop(view, lambda: HERE)
        plan = select(view, caller, operation)
        assert isinstance(plan, Refuse) or plan.action in harmless
        if does(plan, Action.OPEN_TWIN, Action.OPEN_POOL, Action.NOTHING):
            assert view.life is Life.CLOSED


def test_a_blocking_call_on_an_app_whose_loop_lives_succeeds_everywhere_but_on_the_loops_own_thread() -> None:
    def lives(view: View, caller: Caller, operation: Operation) -> bool:
        return situation(view, caller) is Situation.ASYNC_OPEN and operation is Operation.CALL

    for view, caller, operation in where(lives):
        assert view.owner is not None
        plan = select(view, caller, operation)
        if view.owner.thread == caller.thread:
            assert refuses(plan, Reason.ON_LOOP)
        else:
            assert does(plan, Action.BRIDGE)


def test_opening_and_closing_are_never_refused_as_not_open_or_loop_gone_or_forked() -> None:
    for cell in where(lambda _view, _caller, operation: operation in CHANGES):
        assert not refuses(select(*cell), Reason.NOT_OPEN, Reason.NOT_OPEN_ASYNC, Reason.LOOP_GONE, Reason.FORKED)


def test_a_connector_can_always_be_opened_once_what_is_unusable_is_discarded() -> None:
    for view, caller, operation in where(lambda *cell: does(select(*cell), Action.DISCARD)):
        is_twin_alive = view.process == HERE and view.life is Life.SYNC
        left = View(Life.SYNC if is_twin_alive else Life.CLOSED, HERE, is_external=view.is_external and is_twin_alive)
        assert not does(select(left, caller, operation), Action.DISCARD, Action.WAIT)
        assert isinstance(select(left, caller, operation), Do)


def test_nobody_waits_for_a_change_that_his_own_waiting_would_stop() -> None:
    for view, caller, operation in where(lambda *cell: does(select(*cell), Action.WAIT)):
        assert view.process == HERE
        assert view.is_changing
        if view.owner is not None:
            assert view.owner.state is LoopState.RUNNING
            is_his_own = view.owner.loop == caller.loop or view.owner.thread == caller.thread
            assert operation.is_awaited or not is_his_own


def test_the_synchronous_connector_is_the_connector_itself_exactly_where_a_blocking_call_is_for_its_loop() -> None:
    for view, caller, operation in where(lambda _view, _caller, operation: operation is Operation.CALL):
        plan = select(view, caller, operation)
        is_for_loop = does(plan, Action.BRIDGE, Action.DRIVE) or refuses(plan, Reason.ON_LOOP, Reason.LOOP_IDLE)
        assert is_on_loop(view, lambda: HERE) == is_for_loop


def test_the_twin_is_used_only_while_it_is_open_in_this_process() -> None:
    for view, _, _ in where(lambda *cell: does(select(*cell), Action.USE_TWIN)):
        assert view.life is Life.SYNC
        assert view.process == HERE


def test_the_twin_is_rebuilt_only_where_its_pool_was_our_own() -> None:
    for view, _, _ in where(lambda *cell: does(select(*cell), Action.REBUILD_TWIN)):
        assert not view.is_external
        assert view.life is Life.SYNC
        assert view.process != HERE


def test_what_was_borrowed_is_given_back_before_anything_is_closed() -> None:
    for view, caller, operation in where(lambda view, *_: bool(view.borrowed)):
        if operation is Operation.CLOSE and situation(view, caller) in (Situation.ASYNC_OPEN, Situation.LOOP_IDLE):
            assert does(select(view, caller, operation), Action.RETURN)


def test_every_awaited_operation_without_an_event_loop_is_refused_with_the_word_asyncio() -> None:
    for view, caller, operation in where(lambda _view, caller, operation: caller.loop is None and operation.is_awaited):
        plan = select(view, caller, operation)
        assert refuses(plan, Reason.NO_LOOP)


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_is_used_and_names_a_way_out(reason: Reason) -> None:
    assert any(select(*cell) == Refuse(reason) for cell in CELLS)
    error = reason.error()
    assert isinstance(error, RuntimeError)
    assert "`" in str(error)


def test_refusing_as_not_open_is_an_app_that_is_not_open() -> None:
    for reason in (Reason.NOT_OPEN, Reason.NOT_OPEN_ASYNC, Reason.FORKED):
        assert isinstance(reason.error(), AppNotOpen)
