"""Who did what by way of the dashboard or a shell, and which workers were declared dead."""

from __future__ import annotations

from typing import Any

from adjourn.web.page import Page, View
from adjourn.web.pages.noting import told_note

SHOWN = 50


def show(view: View) -> dict[str, Any]:
    """Return a page of notes, the newest first."""
    target = view.query.text("target") or None
    actor = view.query.text("actor") or None
    rows = view.database.rows("audit", target=target, actor=actor, before_id=view.query.number("before"))
    notes = [told_note(view, row) for row in rows[:SHOWN]]
    return {
        "notes": notes,
        "target": target,
        "actor": actor,
        "actors": sorted({note["actor"] for note in notes}),
        "next": notes[-1]["id"] if len(rows) > SHOWN else None,
    }


PAGE = Page(name="audit", title="Audit", show=show, permission="audit", key="a")
