"""The limits, and how much of each is used."""

from __future__ import annotations

from typing import Any

from adjourn.web.page import Page, View


def show(view: View) -> dict[str, Any]:
    """Return the limits, the fullest first."""
    limits = sorted(view.feed("limits"), key=lambda each: (-each["waiting"], each["scope"], each["name"]))
    return {"limits": limits, "pauses": view.feed("pauses"), "reading": view.reading("limits")}


PAGE = Page(name="limits", title="Limits", show=show, key="l", feeds=("server", "limits", "pauses", "counters"))
