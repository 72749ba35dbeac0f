"""What others have put into a queue is text, in each page and also when figures are brought up to date."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from playwright.sync_api import expect

import adjourn
from browser.conftest import Look
from support import dashboard
from support.dashboard import newest_workflow

TAKEN = "document.title='taken'"
HOSTILE = f"</td></title></script><script>{TAKEN};alert(1)</script><img src=x onerror=\"{TAKEN}\"><a href='javascript:{TAKEN}'>\u202e\u2028"
PATHS = (
    "/",
    "/queues",
    "/tasks",
    "/jobs",
    "/jobs?status=failed",
    "/workers",
    "/limits",
    "/workflows",
    "/schedules",
    "/database",
    "/audit",
    "/bulk?what=retry&status=failed",
    "/bulk?what=cancel&status=todo",
)


@pytest.fixture
def app(database: str, observer: psycopg.Connection) -> Iterator[adjourn.App]:
    """An app whose jobs, names, errors and workers are all hostile."""
    app = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=database))

    @app.task(name=HOSTILE, queue=HOSTILE)
    def hostile(text: str, more: str = "") -> None:
        raise ValueError(text)

    @app.periodic(cron="*/5 * * * *", periodic_id=HOSTILE)
    @app.task(name=f"tick {HOSTILE}", queue=HOSTILE)
    def tick(timestamp: int) -> None: ...

    with app.open():
        for number in range(3):
            hostile.configure(queueing_lock=f"{number}{HOSTILE}").defer(text=HOSTILE)
        dashboard.work(app)
        waits = hostile.configure(lock=HOSTILE)
        waits.defer(text=HOSTILE)
        waits.defer(text=HOSTILE, more="x" * 1_000_000)
        flow = app.workflow(HOSTILE)
        flow.add(hostile, task_kwargs={"text": HOSTILE})
        flow.defer()
        app.job_manager.set_limit(task=HOSTILE, concurrency=1)
        app.job_manager.pause_queue(HOSTILE)
        app.job_manager.workers.register_worker(HOSTILE, [HOSTILE], 600)
        yield app


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_of_others_runs_or_pushes_pages_apart(
    app: adjourn.App, look: Look, width: int, observer: psycopg.Connection
) -> None:
    look.page.set_viewport_size({"width": width, "height": 900})
    ids = [job.id for job in app.job_manager.list_jobs()]
    flow = newest_workflow(observer)
    for path in (*PATHS, *(f"/job?id={job_id}" for job_id in ids), f"/workflow?id={flow}"):
        page = look.go(path)
        if page.locator("body[data-page]").count():
            page.wait_for_selector("#mode[data-mode=live]")
        assert page.title() != "taken", path
        assert page.locator("main script, main img, main a[href^='javascript:']").count() == 0, path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    page = look.go("/queues")
    page.get_by_role("link", name="script").first.click()
    expect(page.locator("h1")).to_contain_text("</script>")
    assert page.title() != "taken"
