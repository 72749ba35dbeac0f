"""The dashboard in a real browser: figures come to life, nothing of others runs, and the policy refuses nothing of our own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import uvicorn

import adjourn
from adjourn import web
from support.waiting import until

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""
HOSTILE = "</td><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">\u202e"

pytestmark = [
    pytest.mark.skipif(not BROWSER, reason="there is no Chromium to look at pages with"),
    pytest.mark.skipif(
        "ADJOURN_TEST_THOROUGH" not in os.environ, reason="a browser takes long: scripts/test-all runs it"
    ),
]


@pytest.fixture
def address(app: adjourn.App) -> Iterator[str]:
    """The address of a dashboard that a server serves."""
    # A browser whose time is made to pass waits for a stream to end, and so it has none.
    made = web.create_app(app, auth=web.anybody, streams=False)
    config = uvicorn.Config(made, host="127.0.0.1", port=0, log_config=None, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    made.state.site.leave()
    server.should_exit = True
    thread.join(20)


def look(address: str, folder: Path) -> tuple[str, str]:
    """Return what a page is after some seconds, and what the browser has to say of it."""
    words = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder}",
        "--virtual-time-budget=9000",
        "--enable-logging=stderr",
        "--dump-dom",
        address,
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=True)
    said = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return done.stdout, "\n".join(said)


def test_pages_come_to_life_and_nothing_of_others_runs(
    app: adjourn.App, address: str, tmp_path: Path, observer: psycopg.Connection
) -> None:
    app.tasks["send"].configure(queue=HOSTILE, lock=HOSTILE).defer()
    app.job_manager.workers.register_worker(HOSTILE, [HOSTILE], 60)
    observer.execute("UPDATE adjourn.adjourn_jobs SET task_name = %s", (HOSTILE,))
    app.job_manager.pause_task(HOSTILE)
    for page in ("/", "/queues", "/tasks", "/workers"):
        seen, said = look(address + page, tmp_path / f"profile{page.replace('/', '_')}")
        assert said == "", page
        title = re.search(r"<title>(.*?)</title>", seen)
        assert title is not None
        assert "taken" not in title[1], page
        assert "&lt;script&gt;" in seen, page
        mode = re.search(r'data-mode="(\w+)"', seen)
        assert mode is not None, f"{page}: no figure was read again"
        assert mode[1] == "polling", page
