"""No page has a fault that axe finds, in either theme, on a desk or on a phone."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

import adjourn
from browser.conftest import Look
from support.dashboard import newest_workflow
from support.scenes import deaths, overdue, tried_often

PATHS = (
    "/",
    "/?range=7d",
    "/queues",
    "/queues?column=scheduled&column=blocked&column=unplaced",
    "/jobs?waits_for=lock",
    "/queue?name=mail",
    "/queue?name=nobody",
    "/tasks",
    "/task?name=shop.reconcile",
    "/jobs?status=failed",
    "/jobs?queue=nobody",
    "/bulk?what=retry&status=failed",
    "/workers",
    "/schedules",
    "/limits",
    "/workflows",
    "/database",
    "/audit",
    "/settings",
    "/nothing",
    "/jobs?limit=x",
    "/jobs?args=7",
    "/jobs?job=1&job=2&job=999999",
)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.mark.timeout(600)  # so many pages take a minute on an idle machine
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_no_page_has_a_fault(
    chromium: Browser, address: str, app: adjourn.App, observer: psycopg.Connection, scheme: Any, width: int
) -> None:
    app.job_manager.pause_task("shop.monthly")
    overdue(observer)
    found: dict[str, Any] = {}
    manager = app.job_manager
    jobs = [manager.list_jobs(status="failed")[0].id, manager.list_jobs(lock="customer 7")[0].id]
    jobs += [manager.list_jobs(status="doing")[0].id, tried_often(app, observer), deaths(observer)]
    several = [*(f"/job?id={job_id}" for job_id in jobs), f"/workflow?id={newest_workflow(observer)}"]
    with chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}) as context:
        look = Look(context.new_page(), address)
        look.allowed = ("the server responded with a status of 40",)
        for path in (*PATHS, *several):
            page = look.go(path)
            assert ("There is no" in page.locator("h1").inner_text()) is (path == "/nothing")
            if path == "/":
                page.wait_for_selector("#mode[data-mode=live]")
            for summary in page.locator("details:not([open]) > summary").all()[:4]:
                if summary.is_visible():
                    summary.click()
            faults = Axe().run(page, options={"resultTypes": ["violations"], "runOnly": RULES}).response["violations"]
            for fault in faults:
                found[f"{path}: {fault['id']} ({fault['impact']})"] = [
                    node["html"][:200] for node in fault["nodes"][:3]
                ]
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{path} is {wide} wide"
        assert look.complaints == []
    assert found == {}


def test_the_help_has_no_fault_either(look: Look) -> None:
    page = look.go("/")
    page.keyboard.press("?")
    page.wait_for_selector("#keys[open]")
    assert Axe().run(page, options={"resultTypes": ["violations"], "runOnly": RULES}).response["violations"] == []


def test_a_fault_would_be_found(look: Look) -> None:
    page = look.go("/jobs")
    page.evaluate("const input = document.querySelector('input[name=task]'); input.closest('label').replaceWith(input)")
    faults = Axe().run(page, options={"resultTypes": ["violations"], "runOnly": RULES}).response["violations"]
    assert "label" in {fault["id"] for fault in faults}
