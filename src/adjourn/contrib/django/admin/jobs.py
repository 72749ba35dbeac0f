"""The pages of jobs."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import F, Q, QuerySet, TextField
from django.db.models.functions import Cast, Left
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from adjourn._domain.masking import mask_of, masked_texts, sensitive_of
from adjourn.contrib.django.admin import filters, shown
from adjourn.contrib.django.admin.actions import JOB_ACTIONS
from adjourn.contrib.django.admin.readonly import ReadOnlyAdmin
from adjourn.contrib.django.models import Job, Worker

__all__ = ["JobAdmin", "JobList"]

SHORT_ARGS = 120
"""Characters of the arguments that a list shows."""
LONG_NAME = 40
"""Characters of a task's name that a list shows."""
MOST_SIBLINGS = 20
"""Of so many live jobs with the same lock the page of a job has links."""


class JobList(ChangeList):
    """A list that reads of each job only what it shows: errors, results and long arguments stay in the database."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Return the jobs that are asked for."""
        rows: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        short: Any = Left(Cast("args", TextField()), SHORT_ARGS + 1)
        return rows.annotate(short_args=short, worker_name=F("worker__name")).defer(
            "args", "errors", "headers", "progress", "reason", "result"
        )

    def get_results(self, request: HttpRequest) -> None:
        """Find the jobs of the page, by the ids that were found to count them."""
        super().get_results(request)
        paginator: Any = self.paginator
        first = 0 if self.show_all else (self.page_num - 1) * self.list_per_page
        last = None if self.show_all else first + self.list_per_page
        self.result_list = self.queryset.filter(pk__in=paginator.ids[first:last])


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    """Lists jobs, the newest first, and shows each with its arguments, errors and events."""

    actions = tuple(action.as_action for action in JOB_ACTIONS)
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("shown_status", "shown_progress", "task_name", "shown_args", "shown_result")}),
        (gettext_lazy("Attempts"), {"fields": ("attempts", "shown_errors", "shown_events")}),
        (
            gettext_lazy("Options"),
            {
                "fields": (
                    *("queue_name", "priority", "shown_lock", "queueing_lock", "scheduled_at", "expires_at"),
                    *("max_attempts", "shown_workflow", "shown_worker"),
                )
            },
        ),
    )
    list_display = (
        *("id", "shown_call", "shown_status", "shown_when", "queue_name"),
        *("priority", "attempts", "shown_lock_link", "shown_worker_name"),
    )
    list_filter = (
        *(
            filters.StatusFilter,
            filters.WaitsForFilter,
            filters.LockFilter,
            filters.WorkerFilter,
            filters.WorkflowFilter,
        ),
        *(filters.QueueFilter, filters.TaskFilter, filters.PeriodicFilter),
    )
    search_fields = ("id", "task_name", "lock")
    search_help_text = gettext_lazy("The ID of a job, the name of a task, or a lock, each exactly.")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the class of the list."""
        return JobList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return the jobs with this id, or of this task or lock: what looks for parts of a text would read all jobs."""
        term = search_term.strip()
        if not term:
            return queryset, False
        wanted = Q(task_name=term) | Q(lock=term)
        if term.isascii() and term.isdecimal() and len(term) < 19:
            wanted |= Q(pk=int(term))
        return queryset.filter(wanted), False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Return all fields."""
        return tuple(name for _title, options in self.fieldsets for name in options["fields"])

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return a job, without its arguments and result if ``ADJOURN_ADMIN_HIDE_ARGS`` names its task, or some of them are sensitive."""
        job = super().get_object(request, object_id, from_field)
        if job is not None and (names := {*shown.sensitive(job.task_name), *sensitive_of(job.headers)}):
            job.errors = masked_texts(job.errors, mask_of(job.args, names))
            job.args, job.result, job.is_hidden = {}, None, True
        elif job is not None and shown.hides(job.task_name):
            # So the title of the page does not show them either.
            job.args, job.result, job.is_hidden = {}, None, True
        return job

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a job, with buttons for the actions that this user may use."""
        actions, job = self.get_actions(request), self.get_object(request, object_id)
        context = {
            "title": _("Job %(id)s") % {"id": object_id},
            "job_actions": [
                (each.name, each.verb) for each in JOB_ACTIONS if job and each.name in actions and each.suits(job)
            ],
            "object_id": object_id,
        }
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    # What lists show

    @admin.display(description=gettext_lazy("task and arguments"))
    def shown_call(self, job: Any) -> SafeString:
        """Return the task's name, or its end if it is long, and the beginning of the arguments."""
        name = job.task_name
        if shown.hides(name):
            arguments = _("hidden")
        elif len(job.short_args) <= SHORT_ARGS:
            arguments = job.short_args[1:-1]
        else:
            arguments = f"{job.short_args[1:SHORT_ARGS]}…"
        return format_html(
            '<span class="adjourn-task" title="{}">{}</span><br><code class="adjourn-args">{}</code>',
            *(name, name if len(name) <= LONG_NAME else f"…{name[1 - LONG_NAME :]}", arguments),
        )

    @admin.display(description=gettext_lazy("when"))
    def shown_when(self, job: Any) -> SafeString:
        """Return when a job ended, began, or is to begin, and how long it took."""
        if job.finished_at is not None:
            took = f" ({shown.duration(job.started_at, job.finished_at)})" if job.started_at is not None else ""
            return format_html("{}{}", shown.ago(job.finished_at), took)
        if job.started_at is not None:
            return format_html(_("began {}"), shown.ago(job.started_at))
        if job.scheduled_at is not None:
            return format_html(_("due {}"), shown.ago(job.scheduled_at))
        return format_html(_("deferred {}"), shown.ago(job.enqueued_at))

    @admin.display(description=gettext_lazy("lock"))
    def shown_lock_link(self, job: Any) -> SafeString | str:
        """Return the lock, which leads to its other jobs."""
        if job.lock is None:
            return shown.NOTHING
        return shown.link("job_changelist", shown.short(job.lock, 30), lock=job.lock)

    @admin.display(description=gettext_lazy("worker"))
    def shown_worker_name(self, job: Any) -> SafeString | str:
        """Return the worker's name, or its id if it is gone."""
        if job.worker_id is None:
            return shown.NOTHING
        if job.worker_name is None:
            return str(job.worker_id)
        return shown.link("worker_change", job.worker_name, job.worker_id)

    # What both show

    @admin.display(description=gettext_lazy("status"))
    def shown_status(self, job: Any) -> SafeString:
        """Return the status in its colour, and what a waiting job waits for."""
        badge = shown.badge(job.status, Job.Status(job.status).label)
        notes = []
        if job.waits_for:
            notes.append(_("for %(what)s") % {"what": Job.WaitsFor(job.waits_for).label})
        if "reason" not in job.get_deferred_fields() and job.reason:
            notes.append(job.reason)
        if job.abort_requested and job.status == Job.Status.DOING:
            notes.append(_("asked to end"))
        if not notes:
            return badge
        return format_html('{} <span class="adjourn-quiet">{}</span>', badge, ", ".join(notes))

    # What the page of a job shows

    @admin.display(description=gettext_lazy("arguments"))
    def shown_args(self, job: Any) -> SafeString | str:
        """Return the arguments."""
        return _("hidden") if hasattr(job, "is_hidden") else shown.shown_json(job.args)

    @admin.display(description=gettext_lazy("result"))
    def shown_result(self, job: Any) -> SafeString | str:
        """Return what the task returned."""
        if hasattr(job, "is_hidden"):
            return _("hidden")
        if job.result is None:
            return shown.NOTHING
        return shown.shown_json(job.result)

    @admin.display(description=gettext_lazy("progress"))
    def shown_progress(self, job: Any) -> SafeString | str:
        """Return what the task has said last of its progress."""
        if (progress := job.job.progress) is None:
            return shown.NOTHING
        return shown.progress(progress, with_message=not hasattr(job, "is_hidden"))

    @admin.display(description=gettext_lazy("workflow"))
    def shown_workflow(self, job: Any) -> SafeString | str:
        """Return the number of the job's workflow, which leads to its other jobs."""
        if job.workflow_id is None:
            return shown.NOTHING
        return shown.link("job_changelist", job.workflow_id, workflow=job.workflow_id)

    @admin.display(description=gettext_lazy("errors"))
    def shown_errors(self, job: Any) -> SafeString | str:
        """Return each attempt that failed, the last one with its traceback open."""
        errors = job.errors or []
        if not errors:
            return shown.NOTHING
        entries = ((shown.error(entry, number == len(errors)),) for number, entry in enumerate(errors, 1))
        return format_html_join("", "{}", entries)

    @admin.display(description=gettext_lazy("events"))
    def shown_events(self, job: Any) -> SafeString:
        """Return what happened to the job."""
        events = job.events.order_by("at", "pk")
        rows = [(shown.local(event.at), event.Type(event.type).label) for event in events]
        return shown.table_of([_("at"), _("event")], rows)

    @admin.display(description=gettext_lazy("lock"))
    def shown_lock(self, job: Any) -> SafeString | str:
        """Return the lock, and its other jobs that wait or run."""
        if job.lock is None:
            return shown.NOTHING
        live = Job.objects.filter(lock=job.lock, status__in=[Job.Status.TODO, Job.Status.DOING]).exclude(pk=job.pk)
        others = list(live.order_by("pk").values_list("pk", "status")[: MOST_SIBLINGS + 1])
        links = format_html_join(
            " ",
            "{}",
            (
                (shown.link("job_change", f"{pk} ({Job.Status(status).label})", pk),)
                for pk, status in others[:MOST_SIBLINGS]
            ),
        )
        return format_html(
            '{} <span class="adjourn-quiet">{} {}{}</span>',
            shown.link("job_changelist", job.lock, lock=job.lock),
            _("Others that wait or run:") if others else _("No other job of it waits or runs."),
            links,
            " …" if len(others) > MOST_SIBLINGS else "",
        )

    @admin.display(description=gettext_lazy("worker"))
    def shown_worker(self, job: Any) -> SafeString | str:
        """Return the worker that has or had the job."""
        if job.worker_id is None:
            return shown.NOTHING
        worker = Worker.objects.filter(pk=job.worker_id).first()
        if worker is None:
            return _("%(id)d, which has ended") % {"id": job.worker_id}
        return shown.link("worker_change", str(worker), worker.pk)
