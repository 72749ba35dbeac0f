"""How a tracer observes an app: around each call that defers jobs, around each run, and around what a worker does for itself.

Events (`adjourn.events`) tell what has happened. An observer is there while it happens: it can make a span current where a task
runs, and give a new job headers that its run finds. `adjourn.contrib.opentelemetry` and `adjourn.contrib.sentry` are observers.

Derive a class from `Observer`, write the methods that you need, and pass an instance to `observe`. Observers are those of the
process: they observe every app. Without one, a call costs one look at an empty tuple; so does a run without one that has the method `run`.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Literal, Self, TypeAlias

import attrs

from adjourn._domain.batches import AlikeJobs
from adjourn._domain.jobs import Job
from adjourn.exceptions import InvalidOption

__all__ = ["Deferral", "Observer", "Outcome", "RunObservation", "RunOfJob", "observe"]

logger: logging.Logger = logging.getLogger("adjourn.telemetry")

Outcome: TypeAlias = Literal["succeeded", "failed", "retried", "aborted", "returned", "lost"]
"""How a run ended. ``returned``: its worker stopped, and the job goes back to its queue; ``lost``: the job is no longer the
worker's, so that the outcome of the run is not stored."""


@attrs.define(kw_only=True)
class Deferral:
    """One call that stores jobs.

    Attributes
    ----------
    jobs
        The jobs. Before they are stored, an observer may replace them with copies that have headers; afterwards they have ids.
    is_batch
        Whether the call stores a batch, of any number of jobs.
    in_transaction
        Whether they are stored in the caller's own transaction, which can still be rolled back.
    is_periodic
        Whether this is the job of a periodic task, which a worker defers.
    periodic_id, cron, timezone
        The schedule of a periodic task; None for other jobs.
    """

    jobs: Sequence[Job]
    is_batch: bool = False
    in_transaction: bool = False
    is_periodic: bool = False
    periodic_id: str | None = None
    cron: str | None = None
    timezone: str | None = None

    def add_headers(self, headers: Mapping[str, str]) -> None:
        """Give all of the jobs these headers. Those that a job has already stay as they are."""
        given, jobs = dict(headers) or None, self.jobs
        if isinstance(jobs, AlikeJobs):
            self.jobs = AlikeJobs(_with_headers(jobs.common, given), jobs.arguments)
        else:
            self.jobs = [_with_headers(job, given) for job in jobs]


def _with_headers(job: Job, headers: dict[str, str] | None) -> Job:
    # Jobs without any share one dictionary, so that a batch sends it once.
    return job.evolve(headers={**(headers or {}), **job.headers} if job.headers else headers)


@attrs.frozen(kw_only=True)
class RunOfJob:
    """One run of a job that is about to begin.

    Attributes
    ----------
    job
        The job as it was claimed.
    worker_name
        The name of the worker that runs it.
    function
        The path of the task's function; None if this worker does not know the task.
    """

    job: Job
    worker_name: str
    function: str | None = None

    @property
    def wait_seconds(self) -> float | None:
        """For how long the job could have run before a worker claimed it, by the database's clock; None if that is not known."""
        job = self.job
        if job.started_at is None or job.enqueued_at is None:
            return None
        ready_at = max(at for at in (job.enqueued_at, job.scheduled_at, job.ready_at) if at is not None)
        return max((job.started_at - ready_at).total_seconds(), 0.0)


class RunObservation:
    """What an observer makes of one run. Derive a class from it."""

    def around_body(self) -> contextlib.AbstractContextManager[object]:
        """Return a context manager that is entered where the run's outermost middleware or function runs, just before it.

        That is a task of the worker's event loop, or a thread: what it sets in context variables is current in the body. It is
        entered a second time if a blocking function has returned an awaitable, which is awaited elsewhere. A run that never
        began, because its task is unknown or the worker was stopped before, does not enter it.
        """
        return contextlib.nullcontext()

    def around_end(self, outcome: Outcome, error: BaseException | None) -> contextlib.AbstractContextManager[object]:
        """Return a context manager that is entered once, on the worker's event loop, after the run has ended.

        The events of the outcome are told inside it, so that log records can name what is current.

        Parameters
        ----------
        outcome
            How the run ended.
        error
            What was raised; None if nothing was, or if that is no error.
        """
        return contextlib.nullcontext()


class Observer:
    """Observes what happens in this process. Derive a class from it, and pass an instance to `observe`.

    What a method raises is reported in the log, and does no harm to a job.

    Attributes
    ----------
    makes_traces
        Whether it makes spans, so that another tracer need not make them as well; False by default.
    """

    makes_traces: bool = False

    def around_defer(self, deferral: Deferral) -> contextlib.AbstractContextManager[object]:
        """Return a context manager that is entered around a call that stores jobs; if it fails, its error passes through."""
        return contextlib.nullcontext()

    def around_group(self, jobs: Sequence[Job]) -> contextlib.AbstractContextManager[object]:
        """Return a context manager that is entered around one commit that several calls of ``defer_async`` share."""
        return contextlib.nullcontext()

    def run(self, run: RunOfJob) -> RunObservation | None:
        """Return what observes a run; None for nothing. It is called on the worker's event loop, before the run begins."""
        return None

    def around_worker(self) -> contextlib.AbstractContextManager[object]:
        """Return a context manager that is entered around what a worker does for itself, in each of its threads.

        Jobs are started inside it, and copy its context variables.
        """
        return contextlib.nullcontext()


class Observers(tuple[Observer, ...]):
    """Some observers.

    Attributes
    ----------
    of_runs
        Those that observe runs. For others no run is described, which would cost more than a job does.
    """

    of_runs: tuple[Observer, ...]

    def __new__(cls, observers: Iterable[Observer] = ()) -> Self:
        """Look once which of them observe runs."""
        made = super().__new__(cls, observers)
        # One may have the method as an attribute of its own.
        made.of_runs = tuple(each for each in made if getattr(each.run, "__func__", None) is not Observer.run)
        return made


OBSERVERS: Observers = Observers()
"""The observers of this process. Look at it by way of its module, because it is replaced when one is added."""


def observe(observer: Observer) -> Callable[[], None]:
    """Have an observer observe every app of this process, from now on.

    Parameters
    ----------
    observer
        The observer.

    Returns
    -------
    callable
        Ends that. Calling it twice does nothing.

    Raises
    ------
    InvalidOption
        If it is none.
    """
    global OBSERVERS
    if not isinstance(observer, Observer):
        raise InvalidOption(f"observer={observer!r}: pass an instance of a class derived from telemetry.Observer.")
    OBSERVERS = Observers((*OBSERVERS, observer))

    def end() -> None:
        global OBSERVERS
        OBSERVERS = Observers(each for each in OBSERVERS if each is not observer)

    return end


def around_defer(deferral: Deferral) -> Together:
    """Return the context managers of all observers around a call that stores jobs."""
    return Together([functools.partial(each.around_defer, deferral) for each in OBSERVERS])


def around_group(jobs: Sequence[Job]) -> Together:
    """Return the context managers of all observers around one commit of several calls."""
    return Together([functools.partial(each.around_group, jobs) for each in OBSERVERS])


def around_worker() -> Together:
    """Return the context managers of all observers around what a worker does for itself."""
    return Together([each.around_worker for each in OBSERVERS])


class Together:
    """Several context managers as one. What they raise is reported, and neither replaces nor swallows an error of the body.

    Parameters
    ----------
    makers
        Each returns one of them. They are entered in this order, and left in the reverse order.
    """

    def __init__(self, makers: Sequence[Callable[[], contextlib.AbstractContextManager[object]]]) -> None:
        self._makers = makers
        self._entered: list[contextlib.AbstractContextManager[object]] = []

    def __enter__(self) -> None:
        for make in self._makers:
            try:
                manager = make()
                manager.__enter__()
            except Exception as error:  # observers are other people's code
                report(error)
            else:
                self._entered.append(manager)

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        while self._entered:
            try:
                self._entered.pop().__exit__(kind, raised, traceback)
            except Exception as error:
                if error is not raised:
                    report(error)
        return False


def report(error: BaseException) -> None:
    """Report what an observer raised."""
    logger.error("An observer raised %s", type(error).__name__, exc_info=error, extra={"action": "observer_failed"})


class RunObservations:
    """What all observers make of one run.

    Parameters
    ----------
    run
        The run.
    """

    def __init__(self, run: RunOfJob) -> None:
        self._observations: list[RunObservation] = []
        self._has_ended = False
        for each in OBSERVERS.of_runs:
            try:
                observation = each.run(run)
            except Exception as error:
                report(error)
            else:
                if observation is not None:
                    self._observations.append(observation)

    def around_body(self) -> Together:
        """Return the context managers of all of them around the body."""
        return Together([each.around_body for each in self._observations])

    def around_end(self, outcome: Outcome, error: BaseException | None) -> Together:
        """Return the context managers of all of them around the end; none if there was an end before."""
        observations = [] if self._has_ended else self._observations
        self._has_ended = True
        return Together([functools.partial(each.around_end, outcome, error) for each in observations])
