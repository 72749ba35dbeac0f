"""A batch of jobs: its arguments and its columns as text, and its jobs once they are stored.

Storing many jobs costs the program more than the database, unless each of them costs the program next to nothing. So
arguments are encoded many at a time, and a value that all jobs of a batch have is sent once.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

import attrs

from adjourn._domain.arguments import check_job, dump_arguments, has_marks
from adjourn._domain.jobs import Job
from adjourn.types import JSONDict, JSONDumps

COLUMNS = ("queue", "task_name", "priority", "lock", "queueing_lock", "headers", "scheduled_at", "schedule_in")
"""What is stored of each job of a batch beside its arguments: the names are attributes of `Job`, and what `defer_jobs_v1.sql`
reads. A new column is a name here, a variable and a line in each insert there, and an argument of `add_job` in memory."""

_options_of: Callable[[Job], tuple[Any, ...]] = operator.attrgetter(*COLUMNS)


def check_jobs(jobs: Sequence[Any], first: int) -> None:
    """Refuse anything that is not a job, as `check_job` does. Jobs of one task often have the same options; those of each are
    looked at once.

    Parameters
    ----------
    first
        The number of the first one, for the message.

    Raises
    ------
    InvalidOption
        If one is refused; the message names it and the attribute.
    """
    checked: tuple[Any, ...] = ()
    for number, job in enumerate(jobs, first):
        if checked and isinstance(job, Job) and type(job.task_kwargs) is dict:
            options = _options_of(job)
            if all(map(operator.is_, options, checked)):
                continue
        check_job(f"jobs[{number}]", job)
        checked = _options_of(job)


def encoded(task_names: Sequence[str], arguments: Sequence[JSONDict], dumps: JSONDumps) -> str:
    """Return the arguments of some jobs as elements of a JSON array. Each is an object, or the text of one.

    Raises
    ------
    InvalidTaskArguments
        If an argument cannot be stored; the message names the task and the first such argument.
    InvalidOption
        If ``dumps`` does not return the text of a JSON object.
    """
    if dumps is json.dumps:
        try:
            text = json.dumps(arguments)
        except Exception:
            text = ""  # the loop below finds out which argument it is, and says so
        if text and not has_marks(text):
            return text[1:-1]
    # A user's encoder may write anything: as a text, it is read for itself.
    texts = [dump_arguments(name, each, dumps) for name, each in zip(task_names, arguments, strict=True)]
    return json.dumps(texts, ensure_ascii=False)[1:-1]


def encoded_values(values: Any) -> str:
    """Return values of a column, or the one that all jobs have, as JSON."""
    return json.dumps(values, ensure_ascii=False, default=str)


def encoded_columns(columns: dict[str, str]) -> str:
    """Return columns as the text of one JSON object."""
    return "{" + ",".join([f'"{name}":{text}' for name, text in columns.items()]) + "}"


@attrs.frozen
class Batch:
    """What the statement that stores a batch takes.

    Attributes
    ----------
    count
        How many jobs it has.
    args
        Their arguments, as a JSON array.
    columns
        What else they have, as a JSON object.
    """

    count: int
    args: str
    columns: str


@attrs.frozen
class EncodedJob:
    """A checked job, and its arguments as JSON."""

    job: Job
    arguments: str

    @classmethod
    def of(cls, job: Any, dumps: JSONDumps) -> EncodedJob:
        """Check a job, and encode its arguments.

        Raises
        ------
        InvalidTaskArguments
            If an argument cannot be stored.
        InvalidOption
            If it is not a job, or has a value that a task's job cannot have.
        """
        check_job("job", job)
        return cls(job, dump_arguments(job.task_name, job.task_kwargs, dumps))


class AlikeJobs(Sequence[Job]):
    """Jobs that differ in their arguments alone. Each is made when somebody looks at it.

    Parameters
    ----------
    job
        What they have in common; the arguments in it are part of each.
    arguments
        The arguments of each.
    ids
        Their ids, once they are stored.
    """

    def __init__(self, job: Job, arguments: Sequence[JSONDict], ids: list[int] | None = None) -> None:
        self._job = job
        self._arguments = arguments
        self.ids: list[int] = ids or []

    @property
    def common(self) -> Job:
        """What they have in common."""
        return self._job

    @property
    def arguments(self) -> Sequence[JSONDict]:
        """The arguments of each."""
        return self._arguments

    def __len__(self) -> int:
        return len(self._arguments)

    @overload
    def __getitem__(self, index: int) -> Job: ...

    @overload
    def __getitem__(self, index: slice) -> AlikeJobs: ...

    def __getitem__(self, index: int | slice) -> Job | AlikeJobs:
        if isinstance(index, slice):
            return AlikeJobs(self._job, self._arguments[index], self.ids[index])
        task_kwargs = {**self._job.task_kwargs, **self._arguments[index]}
        return self._job.evolve(id=self.ids[index] if self.ids else None, task_kwargs=task_kwargs)

    def __iter__(self) -> Iterator[Job]:
        return (self[index] for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self) -> str:
        return repr(list(self))
