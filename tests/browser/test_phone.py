"""On a phone nothing is cut off: neither a value in its place, nor the line that says what to do."""

from __future__ import annotations

import psycopg
import pytest
from playwright.sync_api import Browser

import adjourn
from browser.conftest import Look
from support import dashboard, scenes

PATHS = (
    "/",
    "/queues",
    "/tasks",
    "/jobs?status=failed",
    "/workers",
    "/schedules",
    "/limits",
    "/workflows",
    "/database",
    "/audit",
)
CUT_OFF = """[...document.querySelectorAll('.wide td, .wide tbody th, .facts dd, .badge, .button')]
    .filter((each) => each.checkVisibility() && (each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).display !== 'inline'
        || each.getBoundingClientRect().right > innerWidth))
    .map((each) => each.outerHTML.slice(0, 160))"""
OVERLAP = """[...document.querySelectorAll('.wide td .badge')].filter((badge) => {
    const cell = badge.closest('td').getBoundingClientRect();
    return badge.checkVisibility() && badge.getBoundingClientRect().right > cell.right + 1;
}).map((each) => each.outerHTML)"""


@pytest.mark.timeout(600)
def test_nothing_is_cut_off(chromium: Browser, address: str, app: adjourn.App, observer: psycopg.Connection) -> None:
    scenes.overdue(observer)
    several = [
        f"/job?id={scenes.tried_often(app, observer)}",
        f"/job?id={scenes.deaths(observer)}",
        f"/workflow?id={scenes.large_workflow(app)}",
        f"/workflow?id={dashboard.newest_workflow(observer)}",
    ]
    found = {}
    with chromium.new_context(viewport={"width": 390, "height": 800}) as context:
        look = Look(context.new_page(), address)
        for path in (*PATHS, *several):
            page = look.go(path)
            cut = page.evaluate(CUT_OFF) + page.evaluate(OVERLAP)
            if cut:
                found[path] = cut[:3]
    assert found == {}


def test_a_workflow_of_thirty_jobs_fits_on_a_desk(look: Look, app: adjourn.App) -> None:
    page = look.go(f"/workflow?id={scenes.large_workflow(app)}")
    assert page.locator("svg.graph .node").count() == 30
    assert page.locator(".scroll").first.evaluate("(each) => each.scrollWidth <= each.clientWidth")
