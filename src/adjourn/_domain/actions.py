"""What people do with jobs, and the notes of it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any, Self

import attrs

from adjourn._domain.times import time_of
from adjourn.exceptions import InvalidOption, JobChanged
from adjourn.types import JSONDict, Row

MOST_TEXT = 1000
"""Characters of a text of a note."""


@attrs.frozen(kw_only=True)
class Seen:
    """A job as somebody has seen it: what is done with it is done only if it is still so.

    Attributes
    ----------
    status
        Its status.
    claim
        How often workers had claimed it.
    """

    status: str
    claim: int

    def check(self, job_id: int, rows: list[Row]) -> None:
        """Refuse if the job is not as it was seen.

        Parameters
        ----------
        job_id
            The job.
        rows
            What the database says of it now: one row, or none if it is gone.

        Raises
        ------
        JobChanged
            If it is not; the message says what it is now.
        """
        if not rows:
            raise JobChanged(f"Job {job_id} is gone, or is being moved at this moment. Nothing was done.")
        (now,) = rows
        if (now["status"], now["claim"]) == (self.status, self.claim):
            return
        since = "" if now["seconds"] is None else f", {max(0, now['seconds']):.0f} s ago"
        told = {"todo": "waits again", "doing": f"has begun to run on worker {now['worker_id']}{since}"}.get(
            now["status"], f"has ended meanwhile: {now['status']}{since}"
        )
        raise JobChanged(f"Job {job_id} {told}. Nothing was done.")


@attrs.frozen(kw_only=True)
class Author:
    """Who does something, for its note.

    Attributes
    ----------
    name
        Who it is.
    how
        How we know.
    address
        Where the request came from.
    request_id
        The id of the request.
    """

    name: str
    how: str
    address: str | None = None
    request_id: str | None = None


@attrs.frozen(kw_only=True)
class AuditNote:
    """The note of an action.

    Attributes
    ----------
    id
        Its number.
    at
        When it was done.
    author
        Who did it.
    action
        What was done, such as ``"job.retry"``.
    target
        To what, such as the id of a job; None for a filter.
    filter
        To which jobs; None for a target.
    jobs
        How many jobs were changed.
    outcome
        What came of it.
    details
        What else is known: of a worker that was declared dead (``"worker.died"``), who it was and what became of its jobs.
    """

    id: int
    at: datetime.datetime
    author: Author
    action: str
    target: str | None
    filter: JSONDict | None
    jobs: int
    outcome: str
    details: JSONDict | None = None

    @classmethod
    def from_row(cls, row: Row) -> Self:
        """Read a row of the statement."""
        author = Author(name=row["actor"], how=row["how"], address=row["address"], request_id=row["request_id"])
        return cls(
            id=row["id"],
            at=time_of(row["at"]),
            author=author,
            action=row["action"],
            target=row["target"],
            filter=None if row["filter"] is None else json.loads(row["filter"]),
            jobs=row["jobs"],
            outcome=row["outcome"],
            details=None if row["details"] is None else json.loads(row["details"]),
        )


def audit_row(
    author: Author, action: str, target: str | None, filter_: Mapping[str, Any] | None, jobs: int | None, outcome: str
) -> JSONDict:
    """Return the parameters of the statement that stores a note."""
    texts = {
        "actor": author.name,
        "how": author.how,
        "action": action,
        "target": target,
        "outcome": outcome,
        "address": author.address,
        "request_id": author.request_id,
    }
    stored: JSONDict = {name: None if text is None else _storable(text) for name, text in texts.items()}
    return {**stored, "filter": None if filter_ is None else json.dumps(dict(filter_), default=str), "jobs": jobs}


def _storable(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()[:MOST_TEXT]


def check_author(value: Any) -> None:
    """Refuse what is no author."""
    if not isinstance(value, Author):
        raise InvalidOption(f"author={value!r}: pass an adjourn.jobs.Author.")
