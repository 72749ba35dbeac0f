"""The pages, one a module: each has a ``PAGE``, and ``ACTIONS`` if one can do something there."""

from __future__ import annotations

from adjourn.web.page import Action, Page
from adjourn.web.pages import overview, queues

PAGES: tuple[Page, ...] = (overview.PAGE, queues.PAGE)
"""All pages, in the order of the navigation."""
ACTIONS: tuple[Action, ...] = (*queues.ACTIONS,)
"""All actions."""
