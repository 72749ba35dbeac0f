"""Figures come to life by events, or by asking where events do not come; and all works without a script."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from playwright.sync_api import expect

import adjourn
from adjourn.web import bulk
from browser.conftest import Look


def defer_elsewhere(app: adjourn.App, queue: str) -> None:
    app.tasks["shop.send_welcome"].configure(queue=queue).defer(user=1)


def test_what_is_new_arrives_by_events(app: adjourn.App, look: Look) -> None:
    asked: list[str] = []
    look.page.on("request", lambda request: asked.append(request.url.removeprefix(look.address)))
    page = look.go("/queues")
    expect(page.locator("#mode")).to_have_attribute("data-mode", "live")
    page.evaluate("window.is_same = true")
    defer_elsewhere(app, "new arrivals")
    expect(page.locator("tr[data-row='new arrivals']")).to_be_visible()
    assert page.evaluate("window.is_same"), "the page was not loaded again"
    assert "/events/queues" in asked
    assert page.locator("#announcer").text_content() == "", "nobody is told of each look"


def test_where_events_are_blocked_the_browser_asks(app: adjourn.App, look: Look) -> None:
    look.allowed = ("net::ERR_FAILED",)
    look.page.route("**/events/**", lambda route: route.abort())
    page = look.go("/queues")
    expect(page.locator("#mode")).to_have_attribute("data-mode", "polling")
    defer_elsewhere(app, "new arrivals")
    expect(page.locator("tr[data-row='new arrivals']")).to_be_visible()


def test_figures_that_are_frozen_stay_until_they_go_on(app: adjourn.App, look: Look) -> None:
    page = look.go("/queues")
    expect(page.locator("#mode")).to_have_attribute("data-mode", "live")
    page.keyboard.press(".")
    expect(page.locator("#mode")).to_have_text("frozen")
    defer_elsewhere(app, "new arrivals")
    page.wait_for_timeout(3000)
    expect(page.locator("tr[data-row='new arrivals']")).to_have_count(0)
    page.keyboard.press(".")
    expect(page.locator("tr[data-row='new arrivals']")).to_be_visible()


def test_one_sees_how_far_a_change_of_many_jobs_is(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BATCH", 5)
    monkeypatch.setattr(bulk, "PAUSE", 1.0)
    page = look.go("/bulk?what=priority&task=shop.inventory&status=todo")
    page.fill("input[name=to]", "5")
    page.get_by_role("button", name="Set the priority").click()
    page.evaluate("window.is_same = true")
    expect(page.locator("#bulk .badge")).to_have_text("done")
    assert page.evaluate("window.is_same"), "the page was not loaded again"
    bar = page.locator("#bulk progress")
    assert bar.evaluate("bar => bar.value === bar.max"), "the bar says what the figures say"


def test_the_page_of_a_job_follows_it(app: adjourn.App, look: Look) -> None:
    job_id = app.tasks["shop.send_welcome"].configure(queue="new arrivals", schedule_in={"hours": 1}).defer(user=1)
    page = look.go(f"/job?id={job_id}")
    expect(page.locator("#mode")).to_have_attribute("data-mode", "live")
    page.evaluate("window.is_same = true")
    expect(page.locator("#job .badge").first).to_have_text("waiting")
    app.job_manager.cancel_job_by_id(job_id)
    expect(page.locator("#job .badge").first).to_have_text("cancelled")
    # What is sent is what is shown now, not what was shown first.
    expect(page.locator("form[action$='job.retry'] input[name=status]").first).to_have_value("cancelled")
    page.get_by_role("button", name="Run again", exact=True).click()
    expect(page.locator(".notice.good")).to_be_visible()
    expect(page.locator("#audit")).to_contain_text("ran a job again")


def test_what_somebody_has_opened_stays_open(look: Look) -> None:
    page = look.go("/")
    page.get_by_text("The same as a table").click()
    before = page.locator("#state").text_content()
    expect(page.locator("#state")).not_to_have_text(before or "")
    assert page.locator("#trend details").evaluate("details => details.open")
    page.get_by_text("6 hours").click()
    expect(page.locator(".choices [aria-current]")).to_have_text("6 hours")


def test_a_dashboard_that_has_ended_is_told(app: adjourn.App, look: Look) -> None:
    look.allowed = ("net::ERR_CONNECTION_REFUSED", "net::ERR_FAILED")
    page = look.go("/queues")
    expect(page.locator("#mode")).to_have_attribute("data-mode", "live")
    look.page.context.set_offline(True)
    look.page.route("**/*", lambda route: route.abort())
    page.evaluate("document.querySelector('#freeze').click(); document.querySelector('#freeze').click()")
    expect(page.locator("#mode")).to_have_attribute("data-mode", "offline")
    expect(page.locator("#announcer")).to_contain_text("does not answer")


class TestWithoutAScript:
    @pytest.fixture
    def context_options(self) -> dict[str, Any]:
        return {"java_script_enabled": False}

    def test_one_reads_filters_turns_pages_and_acts(
        self, app: adjourn.App, look: Look, observer: psycopg.Connection
    ) -> None:
        page = look.go("/")
        expect(page.locator("h1")).to_have_text("Overview")
        assert page.locator("#trend svg").count() == 4
        expect(page.locator("#tools")).to_be_hidden()
        page.get_by_role("link", name="Jobs", exact=True).click()
        page.get_by_label("Status").select_option("failed")
        page.get_by_role("button", name="Find").click()
        expect(page.locator("tbody tr").first).to_contain_text("failed")
        page = look.go("/jobs?limit=10")
        first = page.locator("tbody tr").first.get_attribute("data-row")
        page.get_by_role("link", name="Next page").click()
        assert page.locator("tbody tr").first.get_attribute("data-row") != first
        page = look.go("/jobs?status=failed")
        job_id = int(page.locator("tbody tr").first.get_attribute("data-row") or 0)
        page.get_by_role("button", name="Run again", exact=True).first.click()
        expect(page.locator(".notice[role=status]")).to_be_visible()
        assert app.job_manager.get_job_status(job_id).value == "todo"
        page = look.go("/jobs?status=failed")
        expect(page.locator("#check-all")).to_be_hidden()
        page.locator("td input[type=checkbox]").first.check()
        page.get_by_role("button", name="Delete…").click()
        expect(page.locator("main")).to_contain_text("Delete: 1 job")
        page = look.go("/queue?name=mail")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator(".notice[role=status]")).to_have_text("Queue mail is paused.")


def test_the_density_of_pages_is_kept_by_the_browser(look: Look) -> None:
    page = look.go("/settings")
    button = page.get_by_role("button", name="Density")
    expect(button).to_have_text("Density: comfortable")
    height = page.evaluate("document.documentElement.scrollHeight")
    button.click()
    expect(button).to_have_text("Density: compact")
    assert page.evaluate("document.documentElement.scrollHeight") < height
    page = look.go("/queues")
    expect(page.locator("html")).to_have_attribute("data-density", "compact")
    page = look.go("/settings")
    page.get_by_role("button", name="Density").click()
    page.reload()
    expect(page.get_by_role("button", name="Density")).to_have_text("Density: comfortable")


def test_a_traceback_is_copied_as_it_is_although_it_is_folded(look: Look, observer: psycopg.Connection) -> None:
    told = (
        'Traceback (most recent call last):\n  File "/srv/shop/tasks.py", line 3, in pay\n    bank.pay(\n        order)\n'
        '  File "/venv/lib/python3.13/site-packages/bank.py", line 8, in pay\n    raise ValueError("no <b>")\n\nDuring all that\n\nValueError: no <b>\n'
    )
    row = observer.execute(
        "update adjourn.adjourn_finished_jobs set errors = jsonb_set(errors, '{0,traceback}', to_jsonb(%s::text)) "
        "where id = (select max(id) from adjourn.adjourn_finished_jobs where status = 'failed') returning id",
        (told,),
    ).fetchone()
    assert row is not None
    page = look.go(f"/job?id={row[0]}")
    assert page.locator(".trace").first.evaluate("each => each.textContent") == told
    expect(page.locator(".trace details")).to_have_count(2)
    expect(page.locator(".trace details[open]")).to_have_count(1)
