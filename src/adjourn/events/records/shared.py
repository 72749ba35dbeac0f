"""What all records have in common."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from adjourn._domain.jobs import Job
from adjourn.events.subscriptions import Event
from adjourn.events.workers import WorkerIdentity
from adjourn.exceptions import AdjournException

JOBS: logging.Logger = logging.getLogger("adjourn.jobs")
WORKER: logging.Logger = logging.getLogger("adjourn.worker")

LONGEST_ERROR = 300
"""Characters of an error that one record shows."""

Writer: TypeAlias = Callable[[Any], None]
Writers: TypeAlias = Mapping[type[Event], tuple[logging.Logger, int, Writer]]
"""The logger for each kind of event, the highest level that its records can have, and the function that makes them."""


def identity(worker: WorkerIdentity, job: Job | None = None) -> dict[str, Any]:
    """Return the field ``worker`` of a record."""
    return {
        "name": worker.name,
        "worker_id": worker.id,
        "job_id": None if job is None else job.id,
        "queues": worker.queues,
    }


def brief(error: BaseException | None) -> str:
    """Return an error in one line, without the statement that drivers add to their message."""
    text = str(error).split("\nLINE ")[0].split("\n[SQL:")[0]
    return " ".join(text.split())[:LONGEST_ERROR] or type(error).__name__


def unexpected(error: BaseException) -> BaseException | None:
    """Return an error whose traceback is of use, because it is not one of the database's."""
    return None if isinstance(error, AdjournException) else error
