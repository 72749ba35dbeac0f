"""Draws the pictures of the dashboard in docs/_static/dashboard anew: a shop whose mails are late. Needs Chromium.

With a folder as its argument, it draws all pages into that folder, light and dark, on a desk and on a phone, to be looked at.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import psycopg
from playwright.sync_api import Browser, sync_playwright

PROJECT = Path(__file__).resolve().parent.parent
# Python searches a script's own directory first, where a file has the name of another package.
sys.path[:] = [
    str(PROJECT / "tests") if Path(folder).resolve() == PROJECT / "scripts" else folder for folder in sys.path
]

from adjourn import embedded  # noqa: E402
from support import dashboard  # noqa: E402

STATIC = PROJECT / "docs" / "_static" / "dashboard"
PICTURES = {
    "overview": "/",
    "queues": "/queues",
    "task": "/task?name=shop.send_receipt",
    "jobs": "/jobs?status=failed&limit=10",
}
"""Those of the documentation."""
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
            dashboard.fill(app, connection)
            with dashboard.served(app, title="shop") as address:
                if folder is None:
                    draw(browser, address, PICTURES, STATIC, "light", (1200, 440), "")
                else:
                    folder.mkdir(parents=True, exist_ok=True)
                    for scheme, width in (("light", 1280), ("dark", 1280), ("light", 390)):
                        draw(browser, address, pages(connection), folder, scheme, (width, 720), f"-{scheme}-{width}")
        browser.close()


if __name__ == "__main__":
    main()
