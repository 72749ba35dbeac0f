"""Draws the pictures of the dashboard in docs/_static/dashboard anew: a shop whose mails are late. Needs Chromium.

With a folder as its argument, it draws all pages into that folder, light and dark, on a desk and on a phone, to be looked at.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from unittest import mock

import psycopg
from playwright.sync_api import Browser, sync_playwright

PROJECT = Path(__file__).resolve().parent.parent
# Python searches a script's own directory first, where a file has the name of another package.
sys.path[:] = [
    str(PROJECT / "tests") if Path(folder).resolve() == PROJECT / "scripts" else folder for folder in sys.path
]

import adjourn  # noqa: E402
from adjourn import embedded  # noqa: E402
from adjourn.web import bulk  # noqa: E402
from support import dashboard  # noqa: E402

STATIC = PROJECT / "docs" / "_static" / "dashboard"
PICTURES = {
    "overview": "/",
    "queues": "/queues",
    "task": "/task?name=shop.send_receipt",
    "jobs": "/jobs?status=failed&limit=10",
}
"""Those of the documentation."""
LOOKS = (("light", 1280), ("dark", 1280), ("light", 390))
"""The themes and widths of what is drawn to be looked at."""
SETTLES = 2500
"""Milliseconds until a page has figures and has had them again."""


def pages(observer: psycopg.Connection) -> dict[str, str]:
    """Return the pages to be looked at, by the names of their pictures."""
    (row,) = observer.execute(
        "select (select max(id) from adjourn.adjourn_finished_jobs where status = 'failed'), "
        "(select min(id) from adjourn.adjourn_jobs where lock = 'customer 7')"
    )
    plain = ("tasks", "workers", "schedules", "limits", "workflows", "database", "audit", "settings", "nothing")
    return {
        **PICTURES,
        **{name: f"/{name}" for name in plain},
        "week": "/?range=7d",
        "queue": "/queue?name=mail",
        "idle": "/queue?name=nobody",
        "failed-job": f"/job?id={row[0]}",
        "locked-job": f"/job?id={row[1]}",
        "bulk": "/bulk?what=retry&status=failed",
        "columns": "/jobs?column=lock&column=priority&column=due&status=todo",
        "refused": "/jobs?args=7&queue=mail",
        "chosen": f"/jobs?job={row[0]}&job={row[1]}&job=999999",
        "workflow": f"/workflow?id={dashboard.newest_workflow(observer)}",
    }


def draw(
    browser: Browser, address: str, paths: dict[str, str], folder: Path, scheme: str, size: tuple[int, int], end: str
) -> None:
    """Draw pages as they are for a scheme and a size of the window."""
    with browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light", viewport={"width": size[0], "height": size[1]}
    ) as context:
        page = context.new_page()
        for name, path in paths.items():
            page.goto(address + path)
            page.wait_for_timeout(SETTLES)
            page.screenshot(path=folder / f"{name}{end}.png", full_page=True)


def draw_exceptions(browser: Browser, app: adjourn.App, folder: Path, scheme: str, width: int) -> None:
    """Draw what is seen where something is not as usual: no permission, no database, the list of keys, a change under way."""
    size, end = (width, 720), f"-{scheme}-{width}"
    with dashboard.served(app, permissions={"view"}) as address:
        draw(browser, address, {"forbidden": "/database"}, folder, scheme, size, end)
    gone = adjourn.App(connector=adjourn.PsycopgConnector(conninfo="host=127.0.0.1 port=1 dbname=gone"))
    with dashboard.served(gone) as address:
        draw(browser, address, {"down": "/", "down-jobs": "/jobs"}, folder, scheme, size, end)
    with (
        dashboard.served(app) as address,
        browser.new_context(
            color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": 720}
        ) as context,
        mock.patch.object(bulk, "BATCH", 1),
        mock.patch.object(bulk, "PAUSE", 600.0),
    ):
        page = context.new_page()
        page.goto(f"{address}/")
        page.keyboard.press("?")
        page.screenshot(path=folder / f"keys{end}.png")
        page.goto(f"{address}/bulk?what=priority&task=shop.inventory&status=todo")
        page.fill("input[name=to]", "5")
        page.get_by_role("button", name="Set the priority").click()
        page.wait_for_timeout(SETTLES)
        page.screenshot(path=folder / f"progress{end}.png", full_page=True)


def draw_empty(browser: Browser, app: adjourn.App, folder: Path) -> None:
    """Draw a queue to which nothing ever happened."""
    with dashboard.served(app) as address:
        for scheme, width in LOOKS:
            paths = {f"empty-{name}": f"/{name}" for name in ("overview", "jobs", "workers")}
            paths["empty-overview"] = "/"
            draw(browser, address, paths, folder, scheme, (width, 720), f"-{scheme}-{width}")


def main() -> None:
    """Draw."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("There is no Chromium: install it (Debian's package is chromium).")
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with (
        embedded.Server() as server,
        sync_playwright() as playwright,
        psycopg.connect(server.dsn, autocommit=True) as connection,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        app = dashboard.shop(server.dsn)
        with app.open():
            app.schema_manager.apply_schema()
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                draw_empty(browser, app, folder)
            dashboard.fill(app, connection)
            with dashboard.served(app, title="shop") as address:
                if folder is None:
                    draw(browser, address, PICTURES, STATIC, "light", (1200, 440), "")
                else:
                    for scheme, width in LOOKS:
                        draw(browser, address, pages(connection), folder, scheme, (width, 720), f"-{scheme}-{width}")
            if folder is not None:
                for scheme, width in LOOKS:
                    draw_exceptions(browser, app, folder, scheme, width)
        browser.close()


if __name__ == "__main__":
    main()
