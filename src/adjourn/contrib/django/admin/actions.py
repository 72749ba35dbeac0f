"""Actions on many rows of a list: they ask first, work in batches, and say what was done and what was not.

An action works by way of ``app.job_manager``, which leaves out the jobs that have changed since the page was made, and notes in the audit who
has done it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import attrs
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext, ngettext_lazy

from adjourn._domain.pauses import PAUSED, keeping
from adjourn._domain.wording import shown
from adjourn.contrib.django.admin.paginator import CappedPaginator
from adjourn.contrib.django.models import Job
from adjourn.contrib.django.procrastinate_app import app
from adjourn.exceptions import AdjournException
from adjourn.jobs import Author
from adjourn.manager import JobManager

__all__ = ["JOB_ACTIONS", "Asked", "asks_first", "author", "tell_kept"]

logger: logging.Logger = logging.getLogger("adjourn.admin")

BATCH = 1_000
"""How many jobs one statement changes."""
BAD_ENDS = (Job.Status.FAILED, Job.Status.CANCELLED, Job.Status.ABORTED)
LONGEST = 20.0
"""Seconds after which an action begins no further batch, because web servers end requests that take long."""


@attrs.frozen
class Asked:
    """What the page says that asks whether an action is meant.

    Attributes
    ----------
    question
        The question, for a number of rows (``%(number)s``).
    help
        What the action does, and to which rows.
    button
        What the button says.
    is_dangerous
        Whether the button is red.
    """

    question: Any
    help: Any
    button: Any
    is_dangerous: bool = False


def asks_first(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any], asked: Asked) -> HttpResponse | None:
    """Return the page that asks whether an action is meant; None if the user has answered that it is.

    Parameters
    ----------
    model_admin
        The admin of the list.
    request
        The request.
    queryset
        The chosen rows.
    asked
        What the page says.
    """
    if request.POST.get("confirmed"):
        return None
    count = CappedPaginator(queryset, BATCH).count
    question = asked.question % {"number": count}
    context = {
        **model_admin.admin_site.each_context(request),
        "title": question,
        "subtitle": None,
        "opts": model_admin.opts,
        "media": model_admin.media,
        "asked": asked,
        "question": question,
        "count": count,
        "action": request.POST["action"],
        "select_across": request.POST.get("select_across", "0"),
        "checkbox_name": ACTION_CHECKBOX_NAME,
        "chosen": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "back": request.get_full_path(),
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "adjourn/admin/confirm.html", context)


def author(request: HttpRequest) -> Author:
    """Return who does something in the admin, for the audit."""
    user: Any = request.user
    return Author(name=user.get_username(), how="admin", address=request.META.get("REMOTE_ADDR") or None)


@attrs.frozen
class JobAction:
    """An action on jobs.

    Attributes
    ----------
    name
        What the action is called in the form.
    label
        What the list offers.
    verb
        What the button on the page of a job says.
    suits
        Returns whether it would change a job: the page of that job has its button then.
    permission
        ``"control"`` or ``"remove"``, see `ReadOnlyAdmin`.
    asked
        What the page says that asks first.
    done
        What is said of the jobs that it suited.
    change
        Changes those of a batch of jobs that it suits, given a manager and their ids, and returns the ids of these.
    starts
        Whether one expects that the jobs run then, and so is told what is paused.
    """

    name: str
    label: Any
    verb: Any
    suits: Callable[[Any], bool]
    permission: str
    asked: Asked
    done: Any
    change: Callable[[JobManager, list[int]], list[int]]
    starts: bool = False

    def __call__(self, model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Ask, or do it."""
        if (page := asks_first(model_admin, request, queryset, self.asked)) is not None:
            return page
        done, left, is_complete = 0, Counter[Any](), True
        places: set[tuple[str, str]] = set()
        manager = app.job_manager.acting_for(author(request))
        until = time.monotonic() + LONGEST
        try:
            for ids in _batches(queryset):
                if time.monotonic() > until:
                    is_complete = False
                    break
                changed = self.change(manager, ids)
                done += len(changed)
                left += _statuses(set(ids).difference(changed))
                if self.starts:
                    places |= _places(changed)
        except AdjournException as error:
            model_admin.message_user(request, str(error), messages.ERROR)
        user: Any = request.user
        message = "%s %s %d jobs by hand"
        logger.info(
            *(message, user.get_username(), self.name, done),
            extra={"action": f"admin_{self.name}", "user": user.get_username(), "jobs": done},
        )
        self._tell(model_admin, request, done, left, is_complete)
        tell_kept(model_admin, request, places)
        return None

    def _tell(self, model_admin: Any, request: HttpRequest, done: int, left: Counter[Any], is_complete: bool) -> None:
        if done:
            model_admin.message_user(request, self.done % {"number": done}, messages.SUCCESS)
        if count := left.total():
            text = ngettext(
                "%(number)d job was left as it is: %(states)s.",
                "%(number)d jobs were left as they are: %(states)s.",
                count,
            )
            states = ", ".join(f"{number} {label}" for label, number in left.most_common())
            model_admin.message_user(request, text % {"number": count, "states": states}, messages.WARNING)
        if not is_complete:
            text = _("There are more jobs than could be changed in one request. Repeat the action for the others.")
            model_admin.message_user(request, text, messages.WARNING)

    @property
    def as_action(self) -> Callable[..., Any]:
        """The action as Django's admin takes it."""

        def action(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
            return self(model_admin, request, queryset)

        action.__name__ = self.name
        return admin.action(action, permissions=[self.permission], description=self.label)


def _batches(queryset: QuerySet[Any]) -> Iterator[list[int]]:
    """Find the ids of jobs, in order. What changes meanwhile is found once, or not at all."""
    last = 0
    while ids := list(queryset.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH]):
        yield ids
        last = ids[-1]


def _statuses(ids: Iterable[int]) -> Counter[Any]:
    """Count jobs by their status; those that are gone are counted as such."""
    ids = list(ids)
    if not ids:
        return Counter()
    rows = Job.objects.filter(pk__in=ids).order_by().values_list("status").annotate(Count("pk"))
    found = Counter({str(Job.Status(status).label): number for status, number in rows})
    gone = len(ids) - found.total()
    return found + Counter({_("no longer there"): gone})


def _places(ids: list[int]) -> set[tuple[str, str]]:
    """Return the queues and tasks of jobs that wait."""
    rows = (
        Job.objects.filter(pk__in=ids, status=Job.Status.TODO)
        .order_by()
        .values_list("queue_name", "task_name")
        .distinct()
    )
    return set(rows)


KEPT = (
    gettext_noop("Queue %(name)s is paused: no job of it starts until it is resumed."),
    gettext_noop("Queue %(name)s is paused: no job of it starts until the pause ends."),
    gettext_noop("Task %(name)s is paused: no job of it starts until it is resumed."),
    gettext_noop("Task %(name)s is paused: no job of it starts until the pause ends."),
)
"""The texts of `PAUSED`, for who translates those of the admin."""


def tell_kept(model_admin: Any, request: HttpRequest, places: Collection[tuple[str | None, str]]) -> None:
    """Say what is paused of the queues and tasks of jobs; a queue is None if it is not known."""
    if not places:
        return
    try:
        pauses = list(app.job_manager.list_pauses())
    except AdjournException:  # what was asked for is done, and is told as done
        return
    for pause in keeping(pauses, places, lambda pause: (pause.scope, pause.name)):
        text = _(PAUSED[pause.scope, pause.ends_at is not None]) % {"name": shown(pause.name)}
        model_admin.message_user(request, text, messages.WARNING)


def _question(singular: str, plural: str) -> Any:
    return ngettext_lazy(singular, plural, "number")


JOB_ACTIONS = (
    JobAction(
        name="retry",
        label=gettext_lazy("Run again"),
        verb=gettext_lazy("Run again"),
        suits=lambda job: job.status in BAD_ENDS,
        permission="control",
        asked=Asked(
            question=_question("Run %(number)s job again?", "Run %(number)s jobs again?"),
            help=gettext_lazy(
                "Jobs that failed, or that were cancelled or aborted, run again at once. Others are left as they are."
            ),
            button=gettext_lazy("Run again"),
        ),
        done=_question("%(number)d job runs again.", "%(number)d jobs run again."),
        change=lambda manager, ids: manager.retry_jobs(ids),
        starts=True,
    ),
    JobAction(
        name="run_now",
        label=gettext_lazy("Run now, not at their time"),
        verb=gettext_lazy("Run now"),
        suits=lambda job: job.waits_for in (Job.WaitsFor.TIME, Job.WaitsFor.RETRY),
        permission="control",
        asked=Asked(
            question=_question("Run %(number)s job now?", "Run %(number)s jobs now?"),
            help=gettext_lazy(
                "Jobs that wait for their time, or for the delay of a retry, become due. Others are left as they are."
            ),
            button=gettext_lazy("Run now"),
        ),
        done=_question("%(number)d job is due now.", "%(number)d jobs are due now."),
        change=lambda manager, ids: manager.retry_jobs(ids, [Job.Status.TODO.value]),
        starts=True,
    ),
    JobAction(
        name="cancel",
        label=gettext_lazy("Cancel those that wait"),
        verb=gettext_lazy("Cancel"),
        suits=lambda job: job.status == Job.Status.TODO,
        permission="control",
        asked=Asked(
            question=_question("Cancel %(number)s job?", "Cancel %(number)s jobs?"),
            help=gettext_lazy("Jobs that wait will not run. Others are left as they are."),
            button=gettext_lazy("Yes, cancel"),
            is_dangerous=True,
        ),
        done=_question("%(number)d job was cancelled.", "%(number)d jobs were cancelled."),
        change=lambda manager, ids: manager.cancel_jobs(ids),
    ),
    JobAction(
        name="abort",
        label=gettext_lazy("Abort those that run"),
        verb=gettext_lazy("Abort"),
        suits=lambda job: job.status == Job.Status.DOING and not job.abort_requested,
        permission="control",
        asked=Asked(
            question=_question("Abort %(number)s job?", "Abort %(number)s jobs?"),
            help=gettext_lazy(
                "Jobs that run are asked to end: asynchronous tasks are cancelled, others end when they look for it. Others are "
                "left as they are."
            ),
            button=gettext_lazy("Yes, abort"),
            is_dangerous=True,
        ),
        done=_question("%(number)d job was asked to end.", "%(number)d jobs were asked to end."),
        change=lambda manager, ids: manager.abort_jobs(ids),
    ),
    JobAction(
        name="remove",
        label=gettext_lazy("Delete those that have ended"),
        verb=gettext_lazy("Delete"),
        suits=lambda job: job.finished_at is not None,
        permission="remove",
        asked=Asked(
            question=_question("Delete %(number)s job?", "Delete %(number)s jobs?"),
            help=gettext_lazy("Jobs that have ended are deleted, with their errors. Others are left as they are."),
            button=gettext_lazy("Yes, delete"),
            is_dangerous=True,
        ),
        done=_question("%(number)d job was deleted.", "%(number)d jobs were deleted."),
        change=lambda manager, ids: manager.delete_jobs(ids),
    ),
)
"""The actions of the list of jobs, in order."""
