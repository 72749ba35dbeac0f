"""Results of jobs: how they become JSON, for how long they are kept, and what there is instead of one."""

from __future__ import annotations

import math
import reprlib
from typing import Any

import attrs

from adjourn import exceptions
from adjourn._domain.arguments import check_storable, dumped_text
from adjourn._domain.checks import check_count, check_flag
from adjourn._domain.jobs import Job, Status
from adjourn._domain.json_text import dumped
from adjourn._domain.time_checks import check_seconds
from adjourn.types import JSONDumps

DEFAULT_TTL = 86_400.0
"""Seconds after which a result lapses."""
LARGEST_RESULT = 2**20
"""Bytes of JSON that a result may have, unless its task says more or less."""
MOST_BYTES = 2**26
"""What a task may say at most: all that one exchange sends is one message, and the server takes a gigabyte."""


@attrs.frozen
class ResultRule:
    """Whether and how the results of a task's jobs are stored.

    Attributes
    ----------
    store
        Whether they are; None takes the app's ``store_results``.
    ttl
        Seconds until a result lapses, infinity for never; None takes the app's ``result_ttl``.
    max_size
        Bytes of JSON that a result may have.
    """

    store: bool | None = None
    ttl: float | None = None
    max_size: int = LARGEST_RESULT

    @classmethod
    def checked(cls, store: Any, ttl: Any, max_size: Any) -> ResultRule:
        """Make a rule of the options of a task.

        Raises
        ------
        InvalidOption
            If one is not valid; the message names it.
        """
        if store is not None:
            check_flag("store_result", store)
        if ttl is not None:
            check_ttl(ttl)
            if not store:
                raise exceptions.InvalidOption(f"result_ttl={ttl!r}: pass it together with store_result=True.")
        check_count("max_result_size", max_size)
        if max_size > MOST_BYTES:
            raise exceptions.InvalidOption(f"max_result_size={max_size!r}: pass {MOST_BYTES} bytes at most.")
        return cls(store, ttl, max_size)

    def of_app(self, store: bool, ttl: float) -> ResultRule:
        """Return the rule with what the app says where the task says nothing."""
        return ResultRule(
            store if self.store is None else self.store, ttl if self.ttl is None else self.ttl, self.max_size
        )

    @property
    def seconds(self) -> float | None:
        """Seconds until a result lapses, None for never."""
        return seconds_of(self.ttl)

    def dump(self, result: Any, json_dumps: JSONDumps, what: str = "the result", instead: str = "return") -> str:
        """Turn what a task returned, or another value that is kept like it, into JSON.

        Parameters
        ----------
        what, instead
            For the messages: what it is, and what the caller does with such values.

        Raises
        ------
        InvalidResult
            If it cannot be stored.
        """
        try:
            text = dumped_text(dumped(result, json_dumps))
            if isinstance(text, str):
                check_storable(text)
        except Exception as error:  # the encoder may be the user's own
            raise exceptions.InvalidResult(
                f"{_begin(what)}, of type {type(result).__name__}, cannot be stored as JSON ({error}). {_begin(instead)} plain values, or "
                "give the connector a json_dumps that knows the type."
            ) from error
        if not isinstance(text, str):
            raise exceptions.InvalidResult(
                f"json_dumps made {reprlib.repr(text)} of {what}: have it return str, or bytes of UTF-8."
            )
        size = len(text) if text.isascii() else len(text.encode())
        if size > self.max_size:
            raise exceptions.InvalidResult(
                f"{_begin(what)} has {size} bytes as JSON, and {self.max_size} at most are stored: keep it elsewhere, and {instead} where it is."
            )
        return text


def _begin(text: str) -> str:
    return text[:1].upper() + text[1:]


def seconds_of(ttl: float | None) -> float | None:
    """Return the seconds of a ``result_ttl``, None for never."""
    return None if ttl is None or math.isinf(ttl) else float(ttl)


def check_ttl(value: Any) -> None:
    """Refuse anything that is not a ``result_ttl``: a number of seconds above zero, or infinity.

    Raises
    ------
    InvalidOption
        If it is something else.
    """
    if value != math.inf:
        check_seconds("result_ttl", value, above_zero=True)


def result_of(job: Job) -> Any:
    """Return the result of a job that a list has returned.

    Raises
    ------
    JobNotFinished
        If it has not ended.
    JobFailed, JobCancelled
        If it has not succeeded.
    ResultExpired, ResultNotStored
        If there is no result.
    """
    name = f"Job {job.id} of task {job.task_name}"
    if job.status == Status.FAILED:
        raise exceptions.JobFailed(f"{name} has failed{_last_error(job)}".removesuffix(".") + ".", job)
    if job.status in (Status.CANCELLED, Status.ABORTED):
        raise exceptions.JobCancelled(f"{name} was {job.status}{f' because {job.reason}' if job.reason else ''}.", job)
    if job.status != Status.SUCCEEDED:
        state = "waits" if job.status == Status.TODO else "runs"
        raise exceptions.JobNotFinished(f"{name} has not ended yet: it {state}.")
    if job.has_result:
        return job.result
    if job.result_expires_at is not None:
        raise exceptions.ResultExpired(
            f"The result of {name[0].lower()}{name[1:]} has lapsed at {job.result_expires_at}."
        )
    raise exceptions.ResultNotStored(
        f"{name} has succeeded, and its result is not stored: declare the task with store_result=True."
    )


def _last_error(job: Job) -> str:
    if not job.errors:
        return ""
    error = job.errors[-1]
    return f": {error.get('exception')}: {error.get('message')}"
