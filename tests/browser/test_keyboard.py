"""Everything can be done by keyboard alone, and one sees where one is."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

import adjourn
from browser.conftest import Look
from support.waiting import until

FOCUS = """() => {
  const element = document.activeElement, style = getComputedStyle(element), place = element.getBoundingClientRect();
  const shown = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  return {tag: element.tagName, text: (element.textContent || element.value || "").trim().slice(0, 40), shown,
          seen: place.width > 0 && place.bottom > 0 && place.top < innerHeight && place.right > 0};
}"""


def until_focused(page: Page, text: str, key: str = "Tab", most: int = 120) -> None:
    """Press a key until something with a text has the focus."""
    for _ in range(most):
        page.keyboard.press(key)
        if text in page.evaluate("document.activeElement.textContent || document.activeElement.name || ''"):
            return
    raise AssertionError(f"{text!r} is not reached by {key}")


def test_each_place_that_the_keyboard_reaches_is_seen(app: adjourn.App, look: Look) -> None:
    job_id = app.job_manager.list_jobs(status="failed")[0].id
    for path in ("/", "/queues", "/jobs?status=failed&limit=10", f"/job?id={job_id}"):
        page = look.go(path)
        reached = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            at = page.evaluate(FOCUS)
            if at["tag"] == "BODY":
                break
            assert at["shown"], f"{path}: the focus on {at} is not shown"
            assert at["seen"], f"{path}: {at} is out of sight"
            reached.add(at["text"])
        assert {"Skip to the content", "Queues", "Audit"} <= reached, path


def test_the_skip_link_leads_to_the_content(look: Look) -> None:
    page = look.go("/queues")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "find"


def test_pages_are_a_letter_away_unless_that_is_switched_off(look: Look) -> None:
    page = look.go("/")
    for key, title in (
        ("q", "Queues"),
        ("t", "Tasks"),
        ("j", "Jobs"),
        ("w", "Workers"),
        ("s", "Schedules"),
        ("d", "Database"),
    ):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.locator("h1")).to_have_text(title)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.locator("#keys-off").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("q")
    page.keyboard.press("j")
    expect(page.locator("h1")).to_have_text("Database")


def test_jobs_are_found_chosen_and_run_again(app: adjourn.App, look: Look) -> None:
    page = look.go("/jobs?status=failed")
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    until_focused(page, "task", most=6)
    page.keyboard.type("shop.reconcile")
    page.keyboard.press("Enter")
    page.wait_for_url("**task=shop.reconcile**")
    failed = page.locator("tbody tr").count()
    assert failed == 12
    page.locator("body").press("j")
    for key in ("x", "j", "j", "x"):
        page.keyboard.press(key)
    expect(page.locator("#chosen-count")).to_have_text("With the chosen jobs (2):")
    chosen = [int(box.input_value()) for box in page.locator("td input:checked").all()]
    until_focused(page, "Run again…")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("Run again: 2 jobs")
    until_focused(page, "Run again", most=60)
    while page.evaluate("document.activeElement.tagName") != "BUTTON":
        until_focused(page, "Run again", most=60)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/bulk\?id="))
    expect(page.locator("#bulk .badge")).to_have_text("done")
    until(lambda: {job.id for job in app.job_manager.list_jobs(status="todo", task="shop.reconcile")} >= set(chosen))


def test_all_jobs_of_a_page_are_chosen_at_once(look: Look) -> None:
    page = look.go("/jobs?status=failed&limit=10")
    page.locator("#check-all").focus()
    page.keyboard.press("Space")
    expect(page.locator("#chosen-count")).to_have_text("With the chosen jobs (10):")
    page.locator("td input").first.press("Space")
    expect(page.locator("#chosen-count")).to_have_text("With the chosen jobs (9):")
    assert page.evaluate("document.querySelector('#check-all').indeterminate")


def test_a_queue_is_paused(app: adjourn.App, look: Look) -> None:
    page = look.go("/queue?name=mail")
    until_focused(page, "Pause")
    page.keyboard.press("Enter")
    expect(page.locator(".notice[role=status]")).to_have_text("Queue mail is paused.")
    assert "mail" in [each.name for each in app.job_manager.list_pauses()]
