"""A search through jobs: what is looked for, where it goes on, and what it has found."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from adjourn._domain.arguments import dump_arguments
from adjourn._domain.checks import check_count, check_filters, check_id, check_priority, check_waits_for, checked_list
from adjourn._domain.filters import checked_statuses
from adjourn._domain.jobs import Job
from adjourn._domain.time_checks import check_aware
from adjourn._domain.times import time_or_none
from adjourn.exceptions import InvalidOption, InvalidTaskArguments
from adjourn.types import JSONDict, JSONLoads, Row

MOST_FOUND = 1000
"""The most jobs of one page."""
LONGEST = 4.0
"""Seconds after which a walk stops, however many jobs it has looked at."""
MOST_ARGUMENTS = 2048
"""Bytes of the arguments that are looked for."""
_POSITION = re.compile(r"(live|ended):(-?\d{1,19})")


@attrs.frozen(kw_only=True)
class JobPage:
    """What a search has found, and how far it has looked.

    Attributes
    ----------
    jobs
        The jobs that match, in the order of the search.
    looked
        How many jobs were looked at. Jobs that an index excludes do not count.
    reached_at
        When the last of these ended, or was stored if it lives; None if nothing was looked at.
    position
        Where the search has stopped: pass it as ``after`` to go on. None if there are no more jobs.
    """

    jobs: list[Job]
    looked: int
    reached_at: datetime.datetime | None
    position: str | None

    @classmethod
    def of(cls, rows: list[Row], json_loads: JSONLoads | Callable[[Any], Any]) -> JobPage:
        """Read the rows of the statement.

        Parameters
        ----------
        rows
            One for each job, or one without a job.
        json_loads
            The function that reads the arguments of jobs.
        """
        first = rows[0]
        position = None
        if not first["is_complete"]:
            position = f"{'live' if first['is_live'] else 'ended'}:{first['reached_id']}"
        return cls(
            jobs=[Job.from_row(row, json_loads) for row in rows if row["id"] is not None],
            looked=first["looked"],
            reached_at=time_or_none(first["reached_at"]),
            position=position,
        )


def checked_search(
    *,
    ids: Iterable[int] | None = None,
    statuses: Iterable[str] | None = None,
    worker_id: int | None = None,
    waits_for: str | None = None,
    priority: int | None = None,
    min_attempts: int | None = None,
    args: Mapping[str, Any] | None = None,
    finished_after: datetime.datetime | None = None,
    finished_before: datetime.datetime | None = None,
    up_to_id: int | None = None,
    **names: str | None,
) -> JSONDict:
    """Return the filters that a caller has passed, as the statement takes them, without those that are None.

    Raises
    ------
    InvalidOption
        If a value is not valid; the message names the argument.
    """
    check_filters(**names)
    for argument, value in (("worker_id", worker_id), ("up_to_id", up_to_id)):
        if value is not None:
            check_id(argument, value)
    check_waits_for(waits_for)
    if priority is not None:
        check_priority(priority)
    if min_attempts is not None:
        check_count("min_attempts", min_attempts)
        if min_attempts >= 2**31:
            raise InvalidOption(f"min_attempts={min_attempts}: no job has as many; pass a smaller number.")
    for argument, time in (("finished_after", finished_after), ("finished_before", finished_before)):
        if time is not None:
            check_aware(argument, time)
    chosen = None if statuses is None else list(checked_statuses(statuses))
    if chosen == []:
        raise InvalidOption("statuses=[]: pass at least one, such as ['failed'], or None for all.")
    filters = {
        "ids": None if ids is None else _checked_ids(ids),
        "statuses": chosen,
        "worker_id": worker_id,
        "waits_for": waits_for,
        "priority": priority,
        "min_attempts": min_attempts,
        "args": None if args is None else _checked_arguments(args),
        "finished_after": finished_after and finished_after.isoformat(),
        "finished_before": finished_before and finished_before.isoformat(),
        "up_to_id": up_to_id,
        **names,
    }
    return {name: value for name, value in filters.items() if value is not None}


def position_of(after: Any) -> tuple[bool | None, int | None]:
    """Return whether the job where a search has stopped lives, and its id; nothing for a search that begins.

    Raises
    ------
    InvalidOption
        If ``after`` is not the position of a page.
    """
    if after is None:
        return None, None
    found = _POSITION.fullmatch(after) if isinstance(after, str) else None
    if found is None or not -(2**63) <= int(found[2]) < 2**63:
        raise InvalidOption(f"after={after!r}: pass the `position` of a page, or None to begin.")
    return found[1] == "live", int(found[2])


def check_bounds(look: Any, limit: Any) -> None:
    """Refuse what cannot be the most jobs to look at, or to find."""
    for argument, value, most in (("look", look, 2**63 - 1), ("limit", limit, MOST_FOUND)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise InvalidOption(f"{argument}={value!r}: pass an integer between 1 and {most:,}.")


def _checked_ids(ids: Any) -> list[int]:
    found = list(checked_list("ids", ids, "ids"))
    if not 1 <= len(found) <= MOST_FOUND:
        raise InvalidOption(f"ids: {len(found):,} of them; pass 1 to {MOST_FOUND:,}, or None for all jobs.")
    for number, each in enumerate(found):
        check_id(f"ids[{number}]", each)
    return found


def _checked_arguments(args: Any) -> Any:
    if not isinstance(args, Mapping):
        raise InvalidOption(f"args={args!r}: pass a dictionary of arguments that jobs must have.")
    try:
        text = dump_arguments("", args, json.dumps)
    except InvalidTaskArguments as error:
        raise InvalidOption(f"args={args!r} can be no job's arguments: pass what JSON knows.") from error
    if len(text.encode()) > MOST_ARGUMENTS:
        raise InvalidOption(f"args takes more than {MOST_ARGUMENTS:,} bytes as JSON: look for less.")
    return json.loads(text)
