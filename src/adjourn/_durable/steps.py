"""What a task remembers over its runs: the results of steps."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, overload

from adjourn._domain.checks import check_name
from adjourn._domain.results import ResultRule
from adjourn._domain.runs import Durable, Step, StepKind
from adjourn._durable.hand import Hand
from adjourn.exceptions import DuplicateStep, InvalidTaskArguments, WrongCaller

__all__ = ["RemembersSteps"]

P = ParamSpec("P")
T = TypeVar("T")


class RemembersSteps:
    """The part of a context that remembers steps."""

    def _hand(self) -> Hand:
        raise NotImplementedError

    def step(self, name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function once for this job: a later run gets what it returned, and does not call it.

        What the function returns is stored in a commit of its own before this returns. It becomes JSON and back, in the first run as well,
        so that each run gets the same. A run that dies between the function and that commit calls it again. What it raises is not
        remembered.

        Parameters
        ----------
        name
            The name of the step, of which there is one in a run. In a loop, number it.
        function
            The function. An async one goes with `step_async`.
        *args, **kwargs
            Its arguments. They are not stored: a step that is remembered ignores them.

        Raises
        ------
        DuplicateStep
            If this run has a step of that name already.
        JobLost
            If the job is no longer this run's. Let it end.
        InvalidResult
            If what the function returned cannot be stored. It has been called.
        WrongCaller
            If the job was completed before (`complete`), or an event loop runs in this thread.
        InvalidOption
            If ``name`` is not a name.
        InvalidTaskArguments
            If ``function`` cannot be called, or is async.
        """
        hand = self._hand()
        begin_step(hand, StepKind.STEP, name)
        with _giving_back(hand.durable, name):
            check_callable(name, function)
            remembered = known_steps(hand).get((StepKind.STEP, name))
            if remembered is None:
                value = function(*args, **kwargs)
                if inspect.isawaitable(value):
                    getattr(value, "close", lambda: None)()
                    raise InvalidTaskArguments(f"Step {name!r}: {function!r} is async; await context.step_async(...).")
                remembered = Step(_dumped(hand, name, value))
                if hand.run.is_stored:
                    hand.runs.store_step(hand.job, StepKind.STEP, name, value=remembered.value)
            result: T = hand.json_loads(remembered.value or "null")
            return result

    @overload
    async def step_async(
        self, name: str, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    async def step_async(self, name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    async def step_async(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function once for this job, and await it if it is async. See `step`."""
        hand = self._hand()
        begin_step(hand, StepKind.STEP, name)
        with _giving_back(hand.durable, name):
            check_callable(name, function)
            remembered = (await known_steps_async(hand)).get((StepKind.STEP, name))
            if remembered is None:
                value = function(*args, **kwargs)
                if inspect.isawaitable(value):
                    value = await value
                remembered = Step(_dumped(hand, name, value))
                if hand.run.is_stored:
                    await hand.runs.store_step_async(hand.job, StepKind.STEP, name, value=remembered.value)
            return hand.json_loads(remembered.value or "null")


def check_callable(name: str, function: Any) -> None:
    """Refuse what is not a function, such as the result of a call.

    Raises
    ------
    InvalidTaskArguments
        If it cannot be called.
    """
    if not callable(function):
        raise InvalidTaskArguments(
            f"Step {name!r}: {type(function).__name__} cannot be called. Pass the function and then its arguments, as in "
            "context.step(name, function, argument), so that it is called once."
        )


def begin_step(hand: Hand, kind: StepKind, name: str) -> None:
    """Note that a run uses a name.

    Raises
    ------
    InvalidOption, DuplicateStep, WrongCaller, JobSuspended
        If it cannot.
    """
    check_name("name", name)
    check_open(hand)
    durable = hand.durable
    if (kind, name) in durable.used:
        raise DuplicateStep(f"This run has a {kind} named {name!r} already. Number them, as in f'{{name}} {{number}}'.")
    durable.used.add((kind, name))


def check_open(hand: Hand) -> None:
    """Check that the run may still remember something.

    Raises
    ------
    JobSuspended
        If it was to end before, with such an exception.
    WrongCaller
        If it has completed its job.
    """
    hand.durable.check_goes_on()
    if hand.durable.completions:
        raise WrongCaller(
            f"Job {hand.job.id} was completed in a transaction before (context.complete), so this run remembers nothing any more. Do "
            "steps, sleeps and waits before."
        )


def known_steps(hand: Hand) -> dict[tuple[StepKind, str], Step]:
    """Return what earlier runs have done, which is read once."""
    durable = hand.durable
    if durable.steps is None:
        durable.steps = hand.runs.list_steps(hand.job) if hand.run.is_stored else {}
    return durable.steps


async def known_steps_async(hand: Hand) -> dict[tuple[StepKind, str], Step]:
    """Return what earlier runs have done, which is read once."""
    durable = hand.durable
    if durable.steps is None:
        durable.steps = await hand.runs.list_steps_async(hand.job) if hand.run.is_stored else {}
    return durable.steps


class _giving_back:  # noqa: N801 - it reads as a verb
    """Forgets that a step was used, if it fails: the run may try it again."""

    def __init__(self, durable: Durable, name: str) -> None:
        self._durable = durable
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._durable.used.discard((StepKind.STEP, self._name))


def _dumped(hand: Hand, name: str, value: Any) -> str:
    return ResultRule().dump(value, hand.json_dumps, f"the result of step {name!r}")
