"""The pages, one a module: each has a ``PAGE``, and ``ACTIONS`` if one can do something there."""

from __future__ import annotations

from adjourn.web.page import Action, Page
from adjourn.web.pages import (
    audit,
    bulk,
    database,
    job,
    jobs,
    limits,
    overview,
    queue,
    queues,
    schedules,
    settings,
    task,
    tasks,
    workers,
    workflow,
    workflows,
)

PAGES: tuple[Page, ...] = (
    overview.PAGE,
    queues.PAGE,
    queue.PAGE,
    tasks.PAGE,
    task.PAGE,
    jobs.PAGE,
    job.PAGE,
    bulk.PAGE,
    workers.PAGE,
    schedules.PAGE,
    limits.PAGE,
    workflows.PAGE,
    workflow.PAGE,
    database.PAGE,
    audit.PAGE,
    settings.PAGE,
)
"""All pages, in the order of the navigation."""
ACTIONS: tuple[Action, ...] = (
    *queues.ACTIONS,
    *tasks.ACTIONS,
    *task.ACTIONS,
    *job.ACTIONS,
    *bulk.ACTIONS,
    *schedules.ACTIONS,
)
"""All actions."""
