"""Waiting without a worker: for time, for events, and for other jobs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import Any

from adjourn._domain.checks import check_id, checked_list
from adjourn._domain.jobs import Job
from adjourn._domain.runs import Step, StepKind
from adjourn._domain.time_checks import check_seconds
from adjourn._domain.waits import timed_out
from adjourn._durable.hand import Hand
from adjourn._durable.steps import begin_step, check_open, known_steps, known_steps_async
from adjourn.exceptions import EventTimeout, JobSuspended

__all__ = ["Waits"]

SHORTEST = 1.0
"""Seconds: a shorter sleep stays in the worker, because to suspend a job costs more."""


class Waits:
    """The part of a context that waits."""

    def _hand(self) -> Hand:
        raise NotImplementedError

    def sleep(self, seconds: float, name: str | None = None) -> None:
        """Sleep without holding a worker: this run ends, and a later one begins the task anew and passes this call.

        Until then the job waits like a scheduled one, and other jobs of its lock run. Nothing counts as an attempt. What the task has done
        before runs again, unless it is in a `step`. Sleeps of less than a second stay in the worker.

        Parameters
        ----------
        seconds
            How long, from the first call on. Later runs ignore it.
        name
            Tells the sleeps of a run apart; None numbers them in the order in which they begin.

        Raises
        ------
        JobSuspended
            To end this run. It is not an `Exception`; do not catch it.
        DuplicateStep
            If this run has a sleep of that name already.
        JobLost
            If the job is no longer this run's.
        WrongCaller
            If the job was completed before (`complete`), or an event loop runs in this thread.
        InvalidOption
            If ``seconds`` is not a number from zero.
        """
        hand = self._hand()
        name = _begun_sleep(hand, seconds, name)
        remembered = known_steps(hand).get((StepKind.SLEEP, name))
        if remembered is None and seconds >= SHORTEST and hand.run.is_stored:
            remembered = hand.runs.store_step(hand.job, StepKind.SLEEP, name, seconds=seconds)
        time.sleep(_left(hand, remembered, seconds))

    async def sleep_async(self, seconds: float, name: str | None = None) -> None:
        """Sleep without holding a worker. See `sleep`."""
        hand = self._hand()
        name = _begun_sleep(hand, seconds, name)
        remembered = (await known_steps_async(hand)).get((StepKind.SLEEP, name))
        if remembered is None and seconds >= SHORTEST and hand.run.is_stored:
            remembered = await hand.runs.store_step_async(hand.job, StepKind.SLEEP, name, seconds=seconds)
        await asyncio.sleep(_left(hand, remembered, seconds))

    def wait_for_event(self, name: str, timeout: float | None = None) -> Any:
        """Wait for an event without holding a worker, and return its payload.

        If the event is there (`App.send_event`), this returns at once. Otherwise this run ends as with `sleep`, and a later one gets the
        payload here. All jobs that wait for an event get it, and those that begin to wait for it within its ``ttl``. What a run has got is
        remembered.

        Parameters
        ----------
        name
            The event's name, which is the whole application's. Put into it what it is about: ``order:7:paid``.
        timeout
            Seconds from the first call on after which `EventTimeout` is raised; None for never.

        Raises
        ------
        EventTimeout
            If it was not sent in time; later runs get the same.
        JobSuspended
            To end this run. It is not an `Exception`; do not catch it.
        DuplicateStep
            If this run has waited for the event already.
        JobLost
            If the job is no longer this run's.
        WrongCaller
            If the job was completed before (`complete`), or an event loop runs in this thread.
        InvalidOption
            If the name or the timeout is not valid.
        """
        hand = self._hand()
        _check_wait(hand, name, timeout)
        if not hand.run.is_stored:
            return _received(hand, name, "timed_out", hand.runs.get_event(name), None)
        return _received(hand, name, *hand.runs.look_for_event(hand.job, name, timeout))

    async def wait_for_event_async(self, name: str, timeout: float | None = None) -> Any:
        """Wait for an event without holding a worker, and return its payload. See `wait_for_event`."""
        hand = self._hand()
        _check_wait(hand, name, timeout)
        if not hand.run.is_stored:
            return _received(hand, name, "timed_out", await hand.runs.get_event_async(name), None)
        return _received(hand, name, *await hand.runs.look_for_event_async(hand.job, name, timeout))

    def wait_for_jobs(self, job_ids: Iterable[int]) -> list[Job]:
        """Wait until other jobs have ended, without holding a worker, and return them in the order given.

        If all have ended, this returns at once. Otherwise this run ends as with `sleep`, and a later one gets the jobs here, whatever has
        become of each: look at their ``status``, ``result`` and ``errors``. Until then the job is in lists as one that waits for jobs.

        Parameters
        ----------
        job_ids
            The jobs. Each run has to pass the same, so defer them in a `step`, whose result are their ids.

        Raises
        ------
        JobSuspended
            To end this run. It is not an `Exception`; do not catch it.
        NoResult
            If one of them does not exist, perhaps because it was deleted.
        JobLost
            If the job is no longer this run's.
        WrongCaller
            If the job was completed before (`complete`), or an event loop runs in this thread.
        InvalidOption
            If ``job_ids`` is not a list of integers, or one of them is this job, or waits for it.
        WaitTimeout
            If they have not all ended, and no worker runs this job (`perform`).
        """
        hand = self._hand()
        ids = _checked_ids(hand, job_ids)
        if hand.run.is_stored:
            with _suspending(hand):
                return hand.runs.wait_for_jobs(hand.job, ids)
        return _all_of(hand.runs.find_ended(ids), ids)

    async def wait_for_jobs_async(self, job_ids: Iterable[int]) -> list[Job]:
        """Wait until other jobs have ended, without holding a worker, and return them. See `wait_for_jobs`."""
        hand = self._hand()
        ids = _checked_ids(hand, job_ids)
        if hand.run.is_stored:
            with _suspending(hand):
                return await hand.runs.wait_for_jobs_async(hand.job, ids)
        return _all_of(await hand.runs.find_ended_async(ids), ids)


@contextlib.contextmanager
def _suspending(hand: Hand) -> Iterator[None]:
    """Note what the run is to end with, if the block raises that."""
    try:
        yield
    except JobSuspended as why:
        hand.durable.suspend(why)
        raise


def _checked_ids(hand: Hand, job_ids: Any) -> list[int]:
    """Return the ids of other jobs to wait for."""
    ids = list(checked_list("job_ids", job_ids, "ids of jobs"))
    for number, id_ in enumerate(ids):
        check_id(f"job_ids[{number}]", id_)
    check_open(hand)
    return ids


def _all_of(found: dict[int, Job], ids: list[int]) -> list[Job]:
    """Return these jobs, all of which should have ended."""
    if left := sorted(set(ids).difference(found)):
        raise timed_out(left, len(ids), 0.0)
    return [found[id_] for id_ in ids]


def _begun_sleep(hand: Hand, seconds: Any, name: str | None) -> str:
    """Check a sleep, and return its name."""
    check_seconds("seconds", seconds)
    if name is None:
        hand.durable.sleeps += 1
        name = f"#{hand.durable.sleeps}"
    begin_step(hand, StepKind.SLEEP, name)
    return name


def _left(hand: Hand, remembered: Step | None, seconds: float) -> float:
    """Return the seconds to sleep here.

    Raises
    ------
    JobSuspended
        If they are too many.
    """
    if not hand.run.is_stored:
        return 0.0
    left = seconds
    if remembered is not None:
        left = max(0.0, (remembered.ends_at or 0.0) - time.monotonic())
    if left >= SHORTEST:
        raise hand.durable.suspend(JobSuspended(left))
    return left


def _check_wait(hand: Hand, name: Any, timeout: Any) -> None:
    check_seconds("timeout", timeout, optional=True)
    begin_step(hand, StepKind.EVENT, name)


def _received(hand: Hand, name: str, outcome: str, payload: str | None, left: float | None) -> Any:
    """Return the payload of an event that was received.

    Raises
    ------
    JobSuspended, EventTimeout
        If it was not.
    """
    if payload is not None:
        return hand.json_loads(payload)
    if outcome == "waits":
        raise hand.durable.suspend(JobSuspended(None if left is None else max(left, 0.0), name))
    raise EventTimeout(f"The event {name!r} was not sent in time.")
