"""The pages of workers."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from adjourn.contrib.django.admin import shown
from adjourn.contrib.django.admin.readonly import ReadOnlyAdmin
from adjourn.contrib.django.models import Worker

__all__ = ["WorkerAdmin"]


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """Lists the workers that run, and those that have died and were not noticed yet."""

    fields = (
        *("id", "name", "shown_state", "shown_queues", "started_at", "last_heartbeat", "expires_at", "shown_jobs"),
        "shown_details",
    )
    list_display = ("id", "name", "shown_state", "shown_queues", "shown_started", "shown_heartbeat", "shown_jobs")
    readonly_fields = fields

    @admin.display(description=gettext_lazy("state"))
    def shown_state(self, worker: Any) -> SafeString:
        """Return whether it is alive."""
        if worker.dead:
            return shown.badge("failed", _("dead"))
        if worker.expires_at < timezone.now():
            return shown.badge("aborted", _("silent"))
        return shown.badge("succeeded", _("alive"))

    @admin.display(description=gettext_lazy("queues"))
    def shown_queues(self, worker: Any) -> str:
        """Return the queues that it serves."""
        return _("all") if worker.queues is None else ", ".join(worker.queues)

    @admin.display(description=gettext_lazy("started"))
    def shown_started(self, worker: Any) -> SafeString:
        """Return how long ago it started."""
        return shown.ago(worker.started_at)

    @admin.display(description=gettext_lazy("last heartbeat"))
    def shown_heartbeat(self, worker: Any) -> SafeString:
        """Return how long ago it was heard of."""
        return shown.ago(worker.last_heartbeat)

    @admin.display(description=gettext_lazy("jobs"))
    def shown_jobs(self, worker: Any) -> SafeString:
        """Return a link to the jobs that it runs."""
        return shown.link("job_changelist", _("running jobs"), worker=worker.pk, status="doing")

    @admin.display(description=gettext_lazy("details"))
    def shown_details(self, worker: Any) -> SafeString | str:
        """Return what it said of itself at its last heartbeat: its host, its process, its version."""
        return shown.NOTHING if worker.details is None else shown.shown_json(worker.details)
