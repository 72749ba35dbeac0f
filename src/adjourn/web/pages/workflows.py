"""The latest workflows."""

from __future__ import annotations

from typing import Any

from adjourn.web.page import Page, View
from adjourn.web.pages.states import status_of


def show(view: View) -> dict[str, Any]:
    """Return the workflows, the newest first."""
    workflows = [{**row, "status": status_of(row)} for row in view.feed("workflows")]
    return {"workflows": workflows, "reading": view.reading("workflows")}


PAGE = Page(name="workflows", title="Workflows", show=show, key="f", feeds=("server", "workflows", "counters"))
