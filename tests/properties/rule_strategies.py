"""Every situation that a connector can be asked in: enumerated, and as hypothesis strategies.

Processes, threads and loops are small numbers and words here; the rule only compares them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from hypothesis import strategies as st

from adjourn._dispatch.rule import Caller, Life, LoopState, Operation, Owner, View

HERE, ELSEWHERE = 1, 2
OWNER_THREAD, OTHER_THREAD = 10, 20
OWNER_LOOP, OTHER_LOOP = "owner's loop", "other loop"


def owners() -> Iterator[Owner | None]:
    """Nobody, or a loop in each of its states."""
    yield None
    for state in LoopState:
        yield Owner(OWNER_LOOP, OWNER_THREAD, state)


def is_reachable_view(view: View) -> bool:
    """Whether the executor ever publishes such a view."""
    is_sound = {
        Life.CLOSED: not view.is_external and (view.owner is None or view.is_changing),
        Life.SYNC: view.owner is None or view.is_changing,
        Life.ASYNC: view.owner is not None and not view.is_changing,
        Life.CLOSING: view.is_changing,
    }
    return is_sound[view.life] and (not view.borrowed or view.life in (Life.ASYNC, Life.CLOSING))


def is_possible_caller(view: View, caller: Caller) -> bool:
    """Whether somebody can be there, given what the owner's loop does."""
    if view.owner is None or view.process != caller.process:
        return True
    if view.owner.state is LoopState.RUNNING:
        # It runs in one thread, and in that thread nothing runs beside it, unless another loop runs within.
        return (caller.loop == OWNER_LOOP) <= (caller.thread == OWNER_THREAD)
    return caller.loop != OWNER_LOOP


def views() -> Iterator[View]:
    """Every view that the executor publishes, as seen from this process."""
    for life, process, owner, is_external, borrowed, is_changing in product(
        Life, (HERE, ELSEWHERE), owners(), (False, True), (0, 1, 2), (False, True)
    ):
        view = View(life, process, owner, is_external, borrowed, is_changing)
        if is_reachable_view(view):
            yield view


def callers() -> Iterator[Caller]:
    """Every place of this process from which a call can be made."""
    for thread, loop in product((OWNER_THREAD, OTHER_THREAD), (None, OWNER_LOOP, OTHER_LOOP)):
        yield Caller(HERE, thread, loop)


def cells() -> Iterator[tuple[View, Caller, Operation]]:
    """Every cell of the table."""
    for view, caller, operation in product(views(), callers(), Operation):
        if is_possible_caller(view, caller):
            yield view, caller, operation


def questions() -> st.SearchStrategy[tuple[View, Caller, Operation]]:
    """Any cell at all, with any numbers of processes and threads, reachable or not."""
    numbers = st.integers(min_value=1, max_value=3)
    loops = st.sampled_from(["a", "b", "c"])
    owner = st.none() | st.builds(Owner, loops, numbers, st.sampled_from(LoopState))
    view = st.builds(View, st.sampled_from(Life), numbers, owner, st.booleans(), st.integers(0, 3), st.booleans())
    caller = st.builds(Caller, numbers, numbers, st.none() | loops)
    return st.tuples(view, caller, st.sampled_from(Operation))
