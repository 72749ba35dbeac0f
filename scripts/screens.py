"""Draws the pictures of the dashboard in docs/_static/dashboard anew: a shop whose mails are late. Needs Chromium.

With a folder as its argument, it draws all pages into that folder, light and dark, on a desk and on a phone, to be looked at;
with names of pictures behind it, only those.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import psycopg
from playwright.sync_api import Browser, Page, sync_playwright

PROJECT = Path(__file__).resolve().parent.parent
# Python searches a script's own directory first, where a file has the name of another package.
sys.path[:] = [
    str(PROJECT / "tests") if Path(folder).resolve() == PROJECT / "scripts" else folder for folder in sys.path
]

import adjourn  # noqa: E402
from adjourn import embedded  # noqa: E402
from adjourn.web import bulk  # noqa: E402
from adjourn.web.pages import jobs  # noqa: E402
from support import dashboard, scenes  # noqa: E402
from support.proxy import proxied  # noqa: E402

STATIC = PROJECT / "docs" / "_static" / "dashboard"
PICTURES = {
    "overview": "/",
    "queues": "/queues",
    "task": "/task?name=shop.send_receipt",
    "jobs": "/jobs?status=failed&limit=10",
}
"""Those of the documentation."""
LOOKS = (("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390))
"""The themes and widths of what is drawn to be looked at."""
SETTLES = 1500
"""Milliseconds until a page has figures and has had them again."""
EXAMINES = 6000
"""Milliseconds until the doctor has been there as well."""


def pages(app: adjourn.App, observer: psycopg.Connection, large: int) -> dict[str, str]:
    """Return the pages to be looked at, by the names of their pictures."""
    (row,) = observer.execute(
        "select (select max(id) from adjourn.adjourn_finished_jobs where status = 'failed'), "
        "(select min(id) from adjourn.adjourn_jobs where lock = 'customer 7')"
    )
    small = dashboard.newest_workflow(observer)
    scenes.overdue(observer)
    lost = scenes.deaths(observer)
    plain = ("tasks", "workers", "schedules", "limits", "workflows", "database", "audit", "settings", "nothing")
    return {
        **PICTURES,
        "failed-job": f"/job?id={row[0]}",
        "locked-job": f"/job?id={row[1] + 3}",
        "twelve-attempts": f"/job?id={scenes.tried_often(app, observer)}",
        "lost-job": f"/job?id={lost}",
        "workflow": f"/workflow?id={small}",
        "thirty-jobs": f"/workflow?id={large}",
        **{name: f"/{name}" for name in plain},
        "week": "/?range=7d",
        "queue": "/queue?name=mail",
        "idle": "/queue?name=nobody",
        "bulk": "/bulk?what=retry&status=failed",
        "columns": "/jobs?column=lock&column=priority&column=due&status=todo",
        "refused": "/jobs?args=7&queue=mail",
        "chosen": f"/jobs?job={row[0]}&job={row[1]}&job=999999",
    }


class Drawer:
    """Draws pages as they are for a scheme and a size of the window.

    Parameters
    ----------
    browser
        Draws.
    folder
        Where pictures go.
    only
        The names of those that are drawn; empty for all.
    looks
        The schemes and widths.
    height
        That of the window; a picture is as high as its page.
    """

    def __init__(
        self, browser: Browser, folder: Path, only: list[str], looks: tuple[tuple[str, int], ...], height: int
    ) -> None:
        self._browser, self._folder, self._only, self._looks, self._height = browser, folder, only, looks, height

    def wants(self, *names: str) -> bool:
        """Return whether one of these pictures is to be drawn."""
        return not self._only or any(name in self._only for name in names)

    def each(self) -> Iterator[tuple[Page, str]]:
        """Yield a window of each look, and what the names of its pictures end in."""
        for scheme, width in self._looks:
            with self._browser.new_context(
                color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": self._height}
            ) as context:
                yield context.new_page(), f"-{scheme}-{width}" if len(self._looks) > 1 else ""

    def save(self, page: Page, name: str, end: str, *, whole: bool = True) -> None:
        """Save what a window shows."""
        page.screenshot(path=self._folder / f"{name}{end}.png", full_page=whole)

    def draw(self, address: str, paths: dict[str, str], settles: int = SETTLES) -> None:
        """Draw pages."""
        wanted = {name: path for name, path in paths.items() if self.wants(name)}
        for page, end in self.each() if wanted else ():
            for name, path in wanted.items():
                page.goto(address + path)
                page.wait_for_timeout(settles)
                self.save(page, name, end)


def draw_exceptions(drawer: Drawer, app: adjourn.App, connection: psycopg.Connection) -> None:
    """Draw what is seen where something is not as usual."""
    if drawer.wants("forbidden"):
        with dashboard.served(app, title="shop", permissions={"view"}) as address:
            drawer.draw(address, {"forbidden": "/database"})
    if drawer.wants("down", "down-jobs"):
        gone = adjourn.App(connector=adjourn.PsycopgConnector(conninfo="host=127.0.0.1 port=1 dbname=gone"))
        with dashboard.served(gone, title="shop") as address:
            drawer.draw(address, {"down": "/", "down-jobs": "/jobs"})
    if drawer.wants("look-further"):
        with dashboard.served(app, title="shop") as address, mock.patch.object(jobs, "FIRST_LOOK", 60):
            drawer.draw(address, {"look-further": "/jobs?task=shop.reconcile&error=invoice&status=failed,succeeded"})
    if drawer.wants("critical", "critical-overview"):
        with scenes.trouble(connection), dashboard.served(app, title="shop") as address:
            drawer.draw(address, {"critical": "/database", "critical-overview": "/"}, EXAMINES)


def draw_keys(drawer: Drawer, app: adjourn.App) -> None:
    """Draw the list of keys."""
    with dashboard.served(app, title="shop") as address:
        for page, end in drawer.each():
            page.goto(f"{address}/")
            page.wait_for_timeout(SETTLES)
            page.keyboard.press("?")
            drawer.save(page, "keys", end, whole=False)


def draw_progress(drawer: Drawer, app: adjourn.App) -> None:
    """Draw a change of many jobs that is under way."""
    for page, end in drawer.each():
        with (
            dashboard.served(app, title="shop") as address,
            mock.patch.object(bulk, "BATCH", 11),
            mock.patch.object(bulk, "PAUSE", 600.0),
        ):
            page.goto(f"{address}/bulk?what=priority&task=shop.inventory&status=todo")
            page.fill("input[name=to]", "5")
            page.get_by_role("button", name="Set the priority").click()
            page.wait_for_timeout(SETTLES)
            drawer.save(page, "progress", end)


def draw_stale(drawer: Drawer, dsn: str) -> None:
    """Draw pages whose database has ceased to answer while somebody looked at them."""
    with proxied(dsn) as (proxy, address_of_proxy):
        app = dashboard.shop(address_of_proxy)
        with app.open(), dashboard.served(app, title="shop") as address:
            for page, end in drawer.each():
                proxy.heal()
                for name, path in (("stale", "/"), ("stale-workers", "/workers")):
                    page.goto(address + path)
                    page.wait_for_timeout(EXAMINES)
                    proxy.is_refusing = True
                    proxy.cut()
                    page.locator("#state .bad").wait_for()
                    page.wait_for_timeout(EXAMINES)
                    drawer.save(page, name, end)
                    proxy.heal()
                    page.locator("#mode[data-mode=live]").wait_for()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a browser."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        raise SystemExit("There is no Chromium: install it (Debian's package is chromium).")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def main() -> None:
    """Draw."""
    logging.getLogger("adjourn").setLevel(logging.CRITICAL)  # jobs fail here for the sake of the pictures
    with (
        chromium() as browser,
        embedded.Server() as server,
        psycopg.connect(server.dsn, autocommit=True) as connection,
    ):
        app = dashboard.shop(server.dsn)
        with app.open():
            app.schema_manager.apply_schema()
            if len(sys.argv) == 1:
                dashboard.fill(app, connection)
                with scenes.beating(server.dsn), dashboard.served(app, title="shop") as address:
                    Drawer(browser, STATIC, [], (("light", 1200),), 440).draw(address, PICTURES, EXAMINES)
                return
            folder = Path(sys.argv[1])
            folder.mkdir(parents=True, exist_ok=True)
            drawer = Drawer(browser, folder, sys.argv[2:], LOOKS, 720)
            with dashboard.served(app, title="shop") as address:
                empty = {f"empty-{name}": f"/{name}" for name in ("jobs", "workers")}
                drawer.draw(address, {"empty-overview": "/", **empty})
            # A worker runs it, which takes over the jobs of those that are silent: those come later.
            large = scenes.large_workflow(app) if drawer.wants("thirty-jobs") else 0
            dashboard.fill(app, connection)
            with scenes.beating(server.dsn):
                draw_all(drawer, app, server.dsn, connection, large)


def draw_all(drawer: Drawer, app: adjourn.App, dsn: str, connection: psycopg.Connection, large: int) -> None:
    """Draw all pages of a shop."""
    with dashboard.served(app, title="shop") as address:
        drawer.draw(address, pages(app, connection, large))
    draw_exceptions(drawer, app, connection)
    if drawer.wants("stale", "stale-workers"):
        draw_stale(drawer, dsn)
    if drawer.wants("keys"):
        draw_keys(drawer, app)
    if drawer.wants("progress"):
        draw_progress(drawer, app)


if __name__ == "__main__":
    main()
