"""The pages, one a module: each has a ``PAGE``, and ``ACTIONS`` if one can do something there."""

from __future__ import annotations

from adjourn.web.page import Action, Page
from adjourn.web.pages import database, limits, overview, queues, tasks, workers, workflow, workflows

PAGES: tuple[Page, ...] = (
    overview.PAGE,
    queues.PAGE,
    tasks.PAGE,
    workers.PAGE,
    limits.PAGE,
    workflows.PAGE,
    workflow.PAGE,
    database.PAGE,
)
"""All pages, in the order of the navigation."""
ACTIONS: tuple[Action, ...] = (*queues.ACTIONS, *tasks.ACTIONS)
"""All actions."""
