"""For how long jobs that have ended are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adjourn._domain.jobs import Status
from adjourn._domain.time_checks import check_hours
from adjourn.exceptions import InvalidOption

ENDED = (Status.SUCCEEDED.value, Status.FAILED.value, Status.CANCELLED.value, Status.ABORTED.value)


def rounds_of(hours: Any, also: Sequence[str], argument: str = "nb_hours") -> list[tuple[float, list[str]]]:
    """Return what to delete: ages in hours, the greatest first, each with the statuses of the jobs that are deleted at that age.

    Whatever is to be deleted at some age is deleted with what is older, so that whole weeks can be dropped.

    Parameters
    ----------
    hours
        The age above which jobs are deleted, or a dictionary with an age for each status.
    also
        With one age, the statuses of jobs to delete besides those that succeeded.
    argument
        The name of the argument, for messages.

    Raises
    ------
    InvalidOption
        If an age is not a number of hours, a status does not end a job, or both are given.
    """
    if not isinstance(hours, Mapping):
        check_hours(argument, hours)
        return [(hours, [ENDED[0], *also])]
    if also:
        raise InvalidOption(f"{argument} has an age for each status: add {also[0]!r} to it.")
    if not hours:
        raise InvalidOption(f"{argument}={{}}: pass a number of hours, or a dictionary such as {{'succeeded': 24}}.")
    for status, age in hours.items():
        if status not in ENDED:
            raise InvalidOption(
                f"{argument}: {status!r} does not end a job: pass some of {', '.join(map(repr, ENDED))}."
            )
        check_hours(f"{argument}[{status!r}]", age)
    return [
        (age, [status for status in ENDED if status in hours and hours[status] <= age])
        for age in sorted(set(hours.values()), reverse=True)
    ]
