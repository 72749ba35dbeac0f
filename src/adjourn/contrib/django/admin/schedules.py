"""The pages of schedules."""

from __future__ import annotations

import datetime
import time
from collections import Counter
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy

from adjourn._domain.cron import Cron
from adjourn.contrib.django.admin import shown
from adjourn.contrib.django.admin.actions import Asked, asks_first, author, tell_kept
from adjourn.contrib.django.admin.readonly import ReadOnlyAdmin
from adjourn.contrib.django.models import Schedule
from adjourn.contrib.django.procrastinate_app import app
from adjourn.exceptions import AdjournException, AlreadyEnqueued
from adjourn.jobs import Author

__all__ = ["ScheduleAdmin"]

DEFER_NOW = Asked(
    question=ngettext_lazy(
        "Defer the task of %(number)s schedule now?", "Defer the tasks of %(number)s schedules now?", "number"
    ),
    help=gettext_lazy("One job of each is deferred, besides those that are deferred when they are due."),
    button=gettext_lazy("Defer now"),
)
PAUSE = Asked(
    question=ngettext_lazy("Pause %(number)s schedule?", "Pause %(number)s schedules?", "number"),
    help=gettext_lazy("No more jobs of them are deferred until they are resumed. Those that are stored already run."),
    button=gettext_lazy("Pause"),
)
RESUME = Asked(
    question=ngettext_lazy("Resume %(number)s schedule?", "Resume %(number)s schedules?", "number"),
    help=gettext_lazy("Of the ticks that came meanwhile, each schedule's own rule says what becomes of them."),
    button=gettext_lazy("Resume"),
)


@admin.register(Schedule)
class ScheduleAdmin(ReadOnlyAdmin):
    """Lists the schedules of periodic tasks that have been due at least once."""

    actions = ("defer_now", "pause", "resume")
    fields = (
        *("task_name", "periodic_id", "cron", "timezone", "shown_next"),
        *("last_tick", "shown_last_job", "seen_at", "paused_at", "pause_ends_at", "paused_by", "pause_reason"),
    )
    list_display = (
        *("shown_task", "periodic_id", "cron", "timezone", "shown_next"),
        *("shown_last", "shown_last_job", "shown_seen"),
    )
    ordering: ClassVar[Any] = ("task_name", "periodic_id")
    readonly_fields = fields

    @admin.display(description=gettext_lazy("task"))
    def shown_task(self, schedule: Any) -> str:
        """Return the task's name."""
        return str(schedule.task_name)

    @admin.display(description=gettext_lazy("next tick"))
    def shown_next(self, schedule: Any) -> SafeString | str:
        """Return when the task is due next, if this program can read the schedule, and it is not paused."""
        if schedule.paused_at is not None:
            return shown.badge("aborted", _("paused"))
        try:
            tick = Cron(schedule.cron, schedule.timezone).next(datetime.datetime.now(datetime.UTC))
        except ValueError:
            return shown.NOTHING
        return shown.ago_of(tick)

    @admin.display(description=gettext_lazy("last tick"))
    def shown_last(self, schedule: Any) -> SafeString:
        """Return how long ago it was due."""
        return shown.ago(schedule.last_tick)

    @admin.display(description=gettext_lazy("last job"))
    def shown_last_job(self, schedule: Any) -> SafeString | str:
        """Return the job of the last tick."""
        if schedule.last_job_id is None:
            return shown.NOTHING
        return shown.link("job_change", schedule.last_job_id, schedule.last_job_id)

    @admin.display(description=gettext_lazy("last used by a worker"))
    def shown_seen(self, schedule: Any) -> SafeString:
        """Return how long ago a worker had this schedule."""
        return shown.ago(schedule.seen_at)

    @admin.action(permissions=["control"], description=gettext_lazy("Defer now"))
    def defer_now(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Defer a job of each schedule, as if it were due."""
        if (page := asks_first(self, request, queryset, DEFER_NOW)) is not None:
            return page
        done, left = 0, Counter[str]()
        places: set[tuple[str | None, str]] = set()
        for schedule in queryset:
            if (reason := _defer(schedule, author(request))) is None:
                done += 1
                places.add(_place(schedule))
            else:
                left[reason] += 1
        if done:
            text = ngettext("%(number)d job was deferred.", "%(number)d jobs were deferred.", done)
            self.message_user(request, text % {"number": done}, messages.SUCCESS)
        for reason, number in left.items():
            text = ngettext("%(number)d was not: %(reason)s", "%(number)d were not: %(reason)s", number)
            self.message_user(request, text % {"number": number, "reason": reason}, messages.WARNING)
        tell_kept(self, request, places)
        return None

    @admin.action(permissions=["control"], description=gettext_lazy("Pause"))
    def pause(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Defer no more ticks of these schedules."""
        if (page := asks_first(self, request, queryset, PAUSE)) is not None:
            return page
        manager = app.job_manager.acting_for(author(request))
        changed = [manager.pause_schedule(each.task_name, each.periodic_id) for each in queryset]
        self._tell(
            request,
            changed,
            ngettext_lazy("%(number)d schedule was paused.", "%(number)d schedules were paused.", "number"),
        )
        return None

    @admin.action(permissions=["control"], description=gettext_lazy("Resume"))
    def resume(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Defer ticks of these schedules again."""
        if (page := asks_first(self, request, queryset, RESUME)) is not None:
            return page
        manager = app.job_manager.acting_for(author(request))
        changed = [manager.resume_schedule(each.task_name, each.periodic_id) for each in queryset]
        self._tell(
            request,
            changed,
            ngettext_lazy("%(number)d schedule was resumed.", "%(number)d schedules were resumed.", "number"),
        )
        tell_kept(self, request, {_place(each) for each in queryset})
        return None

    def _tell(self, request: HttpRequest, changed: list[bool], done: Any) -> None:
        """Say how many schedules were changed, and how many were so already."""
        if number := sum(changed):
            self.message_user(request, done % {"number": number}, messages.SUCCESS)
        if left := len(changed) - sum(changed):
            text = ngettext("%(number)d was left as it is.", "%(number)d were left as they are.", left)
            self.message_user(request, text % {"number": left}, messages.WARNING)


def _place(schedule: Any) -> tuple[str | None, str]:
    """Return the queue of a schedule's jobs, None if this program has no such schedule, and their task."""
    periodic = app.periodic_registry.periodic_tasks.get((schedule.task_name, schedule.periodic_id))
    return (None if periodic is None else periodic.queue), schedule.task_name


def _defer(schedule: Any, who: Author) -> str | None:
    """Defer a job of a schedule, with a note of who did; return why not, or None."""
    periodic = app.periodic_registry.periodic_tasks.get((schedule.task_name, schedule.periodic_id))
    if periodic is None:
        return _("this program has no such schedule.")
    try:
        with app.connector.transaction() as connection:
            deferrer = periodic.task.configure(**periodic.configure_kwargs, connection=connection)
            job_id = deferrer.defer(timestamp=int(time.time()))
            app.job_manager.actions.add_audit(
                who, "schedule.run", target=schedule.task_name, outcome=f"stored job {job_id}", connection=connection
            )
    except AlreadyEnqueued:
        return _("a job with its queueing lock waits already.")
    except AdjournException as error:
        return str(error)
    return None
