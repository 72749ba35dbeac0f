"""The jobs that match filters, page by page, with how far the search has looked."""

from __future__ import annotations

import json
from typing import Any

from adjourn._domain.jobs import Job
from adjourn.web.page import Page, View
from adjourn.web.pages.job import told_error
from adjourn.web.pages.searching import FIRST_LOOK, FURTHER_LOOK, STATUSES, carried, filters_of, search

LONGEST_ARGUMENTS = 120
"""Characters of the arguments in a row."""


def show(view: View) -> dict[str, Any]:
    """Return a page of jobs."""
    query = view.query
    order = query.choice("order", ("newest", "oldest"), "newest")
    after = query.text("after") or None
    limit = query.number("limit", 50, least=10, most=200) or 50
    is_further = query.flag("further")
    wanted = filters_of(query)
    page = search(
        view,
        wanted,
        newest=order == "newest",
        after=after,
        look=FURTHER_LOOK if is_further else FIRST_LOOK,
        limit=limit,
    )
    return {
        "jobs": [row(view, job) for job in page.jobs],
        "page": page,
        "limit": limit,
        "order": order,
        "carried": carried(query),
        "statuses": STATUSES,
        "chosen": ",".join(wanted.get("statuses", ())),
        "is_filtered": bool(wanted),
        "is_first": after is None,
        "is_full": len(page.jobs) == limit,
    }


def row(view: View, job: Job) -> dict[str, Any]:
    """Return what a row shows of a job."""
    arguments = None
    if not view.site.hides_args:
        arguments = json.dumps(view.site.masked(job.task_name, job.task_kwargs, job), ensure_ascii=False, default=str)
        if len(arguments) > LONGEST_ARGUMENTS:
            arguments = f"{arguments[:LONGEST_ARGUMENTS]}…"
    hide = view.site.hides(job)
    last = job.errors[-1] if job.errors else None
    return {
        "job": job,
        "args": arguments,
        "error": None if last is None else hide(told_error(last))[:200],
        "at": job.finished_at or job.started_at or job.scheduled_at or job.enqueued_at,
    }


PAGE = Page(name="jobs", title="Jobs", show=show, key="j")
