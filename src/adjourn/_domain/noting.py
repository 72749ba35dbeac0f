"""The notes of what people do by way of a manager that acts for them: which statements are noted, and what is said of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs

from adjourn._domain.actions import Author, audit_row
from adjourn.types import JSONDict, Parameters

Told: TypeAlias = "tuple[str, str | None, str]"
"""An action, its target, and what came of it."""


@attrs.frozen(kw_only=True)
class Note:
    """Who changes something, and why.

    Attributes
    ----------
    author
        Who it is.
    target, filter
        What is changed, if it is more than a statement says: the name of a change of many jobs, and their filters.
    """

    author: Author
    target: str | None = None
    filter: Mapping[str, Any] | None = None

    def of(self, statement: str, parameters: Parameters) -> str | None:
        """Return the note of a statement, as JSON: None if it is none that is noted.

        Parameters
        ----------
        statement
            The name of the statement.
        parameters
            Its parameters.
        """
        tell = TOLD.get(statement)
        told = None if tell is None else tell(parameters)
        if told is None:
            return None
        action, target, outcome = told
        if statement in OF_JOBS and (self.target is not None or target is None):
            action, target = f"bulk.{action}", self.target
        elif statement in OF_JOBS:
            action = f"job.{action}"
        row = audit_row(self.author, action, target, None, None if statement in COUNTING else 0, outcome)
        return json.dumps({**row, "filter": None if self.filter is None else dict(self.filter)}, default=str)


def _jobs(verb: str) -> Callable[[Parameters], Told]:
    return lambda given: _of_ids(verb, given)


def _of_ids(verb: str, given: Parameters, how: str = "") -> Told:
    ids = given["ids"]
    if len(ids) == 1:
        return verb, str(ids[0]), how or "done"
    return verb, None, f"jobs {min(ids)} to {max(ids)}" + (f", {how}" if how else "")


def _retried(given: Parameters) -> Told:
    at = given.get("at") or given.get("retry_at")
    how = "" if at is None else f"not before {at}"
    if "job_id" in given:
        return "retry", str(given["job_id"]), how or "done"
    return _of_ids("retry", given, how)


def _changed(given: Parameters) -> Told:
    said: JSONDict = {}
    if given["priority"] is not None:
        said["priority"] = f"priority {given['priority']}"
    if given["queue"] is not None:
        said["move"] = f"to queue {given['queue']}"
    if given["reschedule"]:
        said["run_now" if given["at"] is None else "reschedule"] = "now" if given["at"] is None else f"to {given['at']}"
    return _of_ids(next(iter(said)) if len(said) == 1 else "change", given, ", ".join(said.values()))


def _paused(given: Parameters) -> Told:
    (name,) = given["names"]
    return f"{given['scope']}.{_switched(given)}", name, _why(given)


def _paused_schedule(given: Parameters) -> Told:
    task, periodic_id = given["task_name"], given["periodic_id"]
    return f"schedule.{_switched(given)}", f"{task} ({periodic_id})" if periodic_id else task, _why(given)


def _switched(given: Parameters) -> str:
    return "pause" if given["pause"] else "resume"


def _why(given: Parameters) -> str:
    said = []
    if given["seconds"] is not None:
        said.append(f"for {given['seconds']:g} s")
    elif given["until"] is not None:
        said.append(f"until {given['until']}")
    if given["reason"]:
        said.append(f"because {given['reason']}")
    return ", ".join(said) or "done"


def _set_limit(given: Parameters) -> Told | None:
    if given["declared"]:
        return None  # a program has, and nobody by hand
    concurrency, rates = given["concurrency"], json.loads(given["rates"] or "[]")
    said = [] if concurrency is None else [f"{concurrency} at once"]
    said += [f"{number} in {seconds:g} s" for number, seconds in rates]
    return "limit.set", _limit(given), ", ".join(said) or "no limit"


def _limit(given: Parameters) -> str:
    return f"{given['scope']} {given['name']}"


TOLD: Mapping[str, Callable[[Parameters], Told | None]] = {
    "cancel_jobs": lambda given: _of_ids("delete" if given["delete"] else "cancel", given),
    "request_abort": _jobs("abort"),
    "delete_finished": _jobs("delete"),
    "retry_jobs": _retried,
    "retry_job_by_id": _retried,
    "change_jobs": _changed,
    "cancel_workflow": lambda given: ("workflow.cancel", str(given["id"]), "done"),
    "abort_workflow": lambda given: ("workflow.abort", str(given["id"]), "done"),
    "retry_workflow": lambda given: ("workflow.retry", str(given["id"]), "done"),
    "pause": _paused,
    "pause_schedule": _paused_schedule,
    "set_limit": _set_limit,
    "reset_limit": lambda given: ("limit.reset", _limit(given), "done"),
}
"""What is said of each statement that is noted, given its parameters."""
OF_JOBS = frozenset({"cancel_jobs", "request_abort", "delete_finished", "retry_jobs", "retry_job_by_id", "change_jobs"})
"""Those that change jobs, one or many."""
COUNTING = OF_JOBS | {"cancel_workflow", "abort_workflow", "retry_workflow"}
"""Those that say how many jobs they have changed."""
