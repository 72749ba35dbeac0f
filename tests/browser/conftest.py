"""Chromium, and a dashboard for it to look at. It writes down what it complains of, and where pages send requests."""

from __future__ import annotations

import os
import shutil
import urllib.parse
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, expect, sync_playwright

import adjourn
from support import dashboard

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""
PATIENCE = 30_000
"""Milliseconds for whatever a page is to do."""
# A violation of the policy is an event, and not always a line of the console.
LISTENS = "addEventListener('securitypolicyviolation', (event) => console.error('policy: ' + event.violatedDirective))"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this room where there is no browser, and where there is no time."""
    reason = ""
    if not CHROMIUM:
        reason = "there is no Chromium to look at pages with (Debian's package is chromium)"
    elif "ADJOURN_TEST_THOROUGH" not in os.environ:
        reason = "a browser takes long: scripts/test-all runs it, and ADJOURN_TEST_THOROUGH=1"
    for item in items:
        if reason and "tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.skip(reason=reason))


class Look:
    """A browser's view of a dashboard.

    Parameters
    ----------
    page
        The browser's page.
    address
        Where the dashboard is.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.complaints: list[str] = []
        self.allowed: tuple[str, ...] = ()
        page.set_default_timeout(PATIENCE)
        page.add_init_script(LISTENS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", self._dialog)
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(text in message.text for text in self.allowed):
            self.complaints.append(f"{self.page.url}: {message.text}")

    def _dialog(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.address + "/", "data:")):
            self.complaints.append(f"request to {urllib.parse.urlsplit(request.url).netloc}")

    def go(self, path: str) -> Page:
        """Open a page of the dashboard."""
        self.page.goto(self.address + path, wait_until="load")
        return self.page


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # No sandbox: tests may run as root.
        expect.set_options(timeout=PATIENCE)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=4 * PATIENCE)
        yield browser
        browser.close()


@pytest.fixture
def app(database: str, observer: psycopg.Connection) -> Iterator[adjourn.App]:
    """A shop with jobs of all kinds."""
    app = dashboard.shop(database)
    with app.open():
        dashboard.fill(app, observer)
        yield app


@pytest.fixture
def address(app: adjourn.App) -> Iterator[str]:
    with dashboard.served(app) as address:
        yield address


@pytest.fixture
def context_options() -> dict[str, Any]:
    """How the browser is set up. Tests override this."""
    return {}


@pytest.fixture
def context(chromium: Browser, context_options: dict[str, Any]) -> Iterator[BrowserContext]:
    context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **context_options})
    yield context
    context.close()


@pytest.fixture
def look(context: BrowserContext, address: str) -> Iterator[Look]:
    """A browser that has nothing to complain of."""
    look = Look(context.new_page(), address)
    yield look
    assert look.complaints == []
