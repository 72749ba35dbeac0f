"""The filters of the list of jobs. None reads all of the history to find out what it can offer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps.registry import Apps
from django.contrib import admin
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from adjourn.contrib.django.models import Job
from adjourn.contrib.django.procrastinate_app import app
from adjourn.contrib.django.tables import table

__all__ = [
    "LockFilter",
    "PeriodicFilter",
    "QueueFilter",
    "StatusFilter",
    "TaskFilter",
    "WaitsForFilter",
    "WorkerFilter",
    "WorkflowFilter",
]

NEWEST = 1_000
"""Of so many live jobs, and of so many jobs in all, the filters offer the queues and tasks, besides those that the program knows."""

Rows = QuerySet[Any]
Choices = list[tuple[str, Any]]


class ColumnFilter(admin.SimpleListFilter):
    """Jobs with a value in a column."""

    parameter_name: str
    column: str

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        """Return the jobs that have the chosen value."""
        value = self.value()
        if value is None:
            return queryset
        return queryset.none() if "\0" in value else queryset.filter(**{self.column: value})


class StatusFilter(ColumnFilter):
    """By status."""

    title, parameter_name, column = _("status"), "status", "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return every status."""
        return list(Job.Status.choices)


class WaitsForFilter(ColumnFilter):
    """By what keeps a waiting job."""

    title, parameter_name, column = _("waiting for"), "waits_for", "waits_for"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return everything that a job can wait for."""
        return list(Job.WaitsFor.choices)


class NameFilter(ColumnFilter):
    """By a name of which there may be many."""

    def names(self) -> Iterable[str]:
        """Return the names that this program knows."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return the names that this program knows, and those of the newest jobs."""
        found = {*self.names(), *(row[self.column] for row in _newest_rows(request))}
        if chosen := request.GET.get(self.parameter_name):
            found.add(chosen)
        return [(name, name) for name in sorted(found)]


class QueueFilter(NameFilter):
    """By queue."""

    title, parameter_name, column = _("queue"), "queue", "queue_name"

    def names(self) -> Iterable[str]:
        """Return the queues of the program's tasks."""
        return (task.queue for task in app.tasks.values())


class TaskFilter(NameFilter):
    """By task."""

    title, parameter_name, column = _("task"), "task", "task_name"

    def names(self) -> Iterable[str]:
        """Return the program's tasks."""
        return (task.name for task in app.tasks.values())


class PeriodicFilter(admin.SimpleListFilter):
    """Jobs of periodic tasks, or the others."""

    title, parameter_name = _("periodic"), "periodic"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return yes and no."""
        return [("yes", _("Yes")), ("no", _("No"))]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        """Return the jobs of the tasks that this program knows as periodic, or the others."""
        if self.value() not in ("yes", "no"):
            return queryset
        names = {task_name for task_name, _id in app.periodic_registry.periodic_tasks}
        return queryset.filter(task_name__in=names) if self.value() == "yes" else queryset.exclude(task_name__in=names)


class LinkedFilter(ColumnFilter):
    """A filter that links lead to: it offers only what was chosen."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return the chosen value."""
        chosen = request.GET.get(self.parameter_name)
        return [] if chosen is None else [(chosen, chosen)]


class LockFilter(LinkedFilter):
    """By lock."""

    title, parameter_name, column = _("lock"), "lock", "lock"


class NumberFilter(LinkedFilter):
    """By a number."""

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        """Return the jobs that have the chosen number."""
        value = self.value()
        if value is not None and not (value.isascii() and value.isdecimal() and len(value) < 19):
            return queryset.none()
        return super().queryset(request, queryset)


class WorkerFilter(NumberFilter):
    """By worker."""

    title, parameter_name, column = _("worker"), "worker", "worker_id"


class WorkflowFilter(NumberFilter):
    """By workflow."""

    title, parameter_name, column = _("workflow"), "workflow", "workflow_id"

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        """Return the jobs of a workflow: they are among those with ids from its first one to its last."""
        found = super().queryset(request, queryset)
        if self.value() is None or found.query.is_empty():
            return found
        row = _Workflow._default_manager.using(queryset.db).filter(pk=self.value())
        ends = row.values_list("first_id", "last_id").first()
        return found.none() if ends is None else found.filter(pk__range=ends)


class _Workflow(models.Model):
    """Between which ids a workflow's jobs are. Nobody else finds this model."""

    id: Any = models.BigIntegerField(primary_key=True)
    first_id: Any = models.BigIntegerField()
    last_id: Any = models.BigIntegerField()

    class Meta:
        app_label = "adjourn"
        apps = Apps()
        db_table = table("workflows")


def _newest_rows(request: HttpRequest) -> list[dict[str, str]]:
    """Return queues and tasks of the newest live jobs and of the newest of all, asked for once a page."""
    known: Any = request
    if not hasattr(known, "adjourn_newest_rows"):
        every = Job.objects.order_by("-pk").values("queue_name", "task_name")
        live = every.filter(status__in=[Job.Status.TODO, Job.Status.DOING])
        known.adjourn_newest_rows = list(live[:NEWEST].union(every[:NEWEST]))
    found: list[dict[str, str]] = known.adjourn_newest_rows
    return found
