"""Finds the tasks of ``django.tasks`` for workers, by the paths that their jobs have as names.

The framework is imported with the first of them: it may not be there.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from django.core.signals import setting_changed
from django.db import DatabaseError

from adjourn._domain.job_limits import declared_limits
from adjourn.app import App
from adjourn.contrib.django.limited import LIMITED
from adjourn.exceptions import AdjournException, TaskNotFound
from adjourn.jobs import Job
from adjourn.tasks import Task, TaskResolver

__all__ = ["FrameworkResolver"]

logger: logging.Logger = logging.getLogger("adjourn.django")


class FrameworkResolver(TaskResolver):
    """Imports a task when its first job runs.

    Parameters
    ----------
    app
        The app whose workers run the tasks.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._loaded: dict[tuple[str, str], Task[Any, Any, Any]] = {}
        self._missing: set[str] = set()
        self._known: set[str] = set()
        self._starting = threading.Lock()
        self._finished: object = None
        setting_changed.connect(self._forget)

    def may_know(self, name: str) -> bool:
        """Return whether this program has not tried in vain to import a task."""
        return name not in self._missing

    def find(self, job: Job) -> Task[Any, Any, Any] | None:
        """Return the task of a job if it is imported."""
        # The options are those of the backend.
        return self._loaded.get((job.task_name, str(job.task_kwargs.get("backend"))))

    def load(self, job: Job) -> Task[Any, Any, Any]:
        """Import the task of a job. See `TaskResolver.load`."""
        try:
            try:
                from adjourn.contrib.django.tasks.runs import loaded
                from adjourn.contrib.django.tasks.signals import Finished
            except ImportError as error:
                raise TaskNotFound(f"{job.task_name!r} is a task of django.tasks: {error}") from error
            task = loaded(self._app, job)
        except TaskNotFound:
            self._missing.add(job.task_name)
            raise
        with self._starting:
            if self._finished is None:
                self._finished = Finished(self._app.events, lambda job_id: self._app.job_manager.list_jobs(id=job_id))
        if self._has_stored_limits(job.task_name):
            self._loaded[job.task_name, job.task_kwargs["backend"]] = task
        return task

    def _has_stored_limits(self, name: str) -> bool:
        """Store the limits of a task that may just have been imported; return whether they are stored, or it has none."""
        if name in self._known or (limits := LIMITED.get(name)) is None:
            return True
        try:
            self._app.job_manager.limits.declare(declared_limits([(name, limits)], {}))
        except (AdjournException, DatabaseError):
            logger.warning(
                "The limits of %s could not be stored, so none of its jobs waits for a place; the next job tries again",
                name,
                exc_info=True,
                extra={"action": "limits_not_stored", "task_name": name},
            )
            return False
        self._known.add(name)
        return True

    def _forget(self, *, setting: str, **_: Any) -> None:
        if setting == "TASKS":
            self._loaded.clear()
            self._missing.clear()
            self._known.clear()
