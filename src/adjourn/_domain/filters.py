"""Which jobs a change of many is for: a filter, checked."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from adjourn._domain.checks import check_count, check_filters, checked_list
from adjourn._domain.jobs import Status
from adjourn._domain.time_checks import check_aware
from adjourn.exceptions import InvalidOption
from adjourn.types import Parameters

LIVE = (Status.TODO, Status.DOING)
ENDED = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.ABORTED)


@attrs.frozen(kw_only=True)
class JobFilter:
    """Matches the jobs that have all of these.

    Attributes
    ----------
    statuses
        One of these statuses.
    queue, task
        This queue, this task; None is no filter.
    error
        This text in the class or in the message of the last error; None is no filter.
    finished_after, finished_before
        The jobs ended at this time or later, and before that time; None is no filter.
    """

    statuses: tuple[str, ...]
    queue: str | None = None
    task: str | None = None
    error: str | None = None
    finished_after: datetime.datetime | None = None
    finished_before: datetime.datetime | None = None

    @classmethod
    def checked(cls, *, statuses: Iterable[str], **values: Any) -> JobFilter:
        """Make a filter of what a caller has passed.

        Raises
        ------
        InvalidOption
            If a value is not valid; the message names the argument.
        """
        names = checked_statuses(statuses)
        if not names:
            raise InvalidOption("statuses=[]: pass at least one, such as ['failed'].")
        check_filters(queue=values.get("queue"), task=values.get("task"), error=values.get("error"))
        for name in ("finished_after", "finished_before"):
            if values.get(name) is not None:
                check_aware(name, values[name])
                if not set(names) & set(ENDED):
                    raise InvalidOption(f"{name}: jobs with the statuses {', '.join(map(repr, names))} have not ended.")
        return cls(statuses=names, **values)

    def passes(self) -> Iterator[Parameters]:
        """Return the parameters of one statement for the jobs that live, and of one for those that have ended."""
        values: Parameters = attrs.asdict(self)
        for kind in (LIVE, ENDED):
            statuses = [status for status in self.statuses if status in kind]
            if statuses:
                yield {**values, "statuses": statuses}


def checked_statuses(value: Any) -> tuple[str, ...]:
    """Return a list of statuses.

    Raises
    ------
    InvalidOption
        If it is something else; the message names the statuses that there are.
    """
    known = [status.value for status in (*LIVE, *ENDED)]
    for each in (given := checked_list("statuses", value, "statuses")):
        if each not in known:
            raise InvalidOption(f"statuses: {each!r} is none: pass some of {', '.join(map(repr, known))}.")
    return tuple(str(each) for each in given)


def check_one_way(job_ids: Any, given: Iterable[str]) -> None:
    """Refuse a call with ids and a filter, and one with neither.

    Parameters
    ----------
    job_ids
        The ids; None if there are none.
    given
        The names of the filters that were passed.
    """
    names = list(given)
    if job_ids is None and not names:
        raise InvalidOption("Pass job_ids, or say which jobs: task=..., queue=..., error=... or statuses=[...].")
    if job_ids is not None and names:
        raise InvalidOption(f"job_ids and {names[0]} exclude each other: pass the ids of jobs, or filters.")


def check_limit(limit: Any) -> None:
    """Refuse anything but a whole number or None."""
    if limit is not None:
        check_count("limit", limit)
