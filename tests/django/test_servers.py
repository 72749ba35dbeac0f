"""A Django project behind the servers that people use: asynchronous views, and no connection before the first defer,
as docs/how-to/django.md says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psycopg
import pytest
import uvicorn
from django.core.asgi import get_asgi_application

from support.processes import TESTS
from support.sessions import Sessions
from support.waiting import BOUND, until

REQUESTS = 50


@pytest.fixture
def served(shop: psycopg.Connection) -> Iterator[str]:
    """The address of a server with the project's pages, on an event loop of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(get_asgi_application(), lifespan="off", log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(BOUND)
    assert not thread.is_alive()


async def test_asynchronous_views_defer_at_the_same_time(
    served: str, shop: psycopg.Connection, site_sessions: Sessions
) -> None:
    async with httpx2.AsyncClient(base_url=served, timeout=BOUND) as client:
        answers = await asyncio.gather(*(client.get("/order-async/") for _ in range(REQUESTS)))
        refused = (await client.get("/order-blocking/")).json()
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["job"] for answer in answers}) == REQUESTS
    rows = shop.execute("SELECT (args ->> 'order_id')::bigint FROM adjourn.adjourn_jobs ORDER BY 1").fetchall()
    assert rows == sorted((answer.json()["order"],) for answer in answers)
    assert "defer_async" in refused["refused"]
    assert site_sessions.settle(0) == 0


PROGRAM = """
import os, sys
from django.core.management import execute_from_command_line
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "server_settings")
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
else:
    from django.core.wsgi import get_wsgi_application
    from django.core.asgi import get_asgi_application
    application = get_wsgi_application()
    asgi = get_asgi_application()
"""
SETTINGS = """
import os
from support import site
globals().update(site.SETTINGS)
DATABASES["default"].update(site.address(os.environ["SITE_DSN"]))
DEBUG = True
"""
# gevent would come too late for Django, which `--preload` imports before the workers start.
PATCHED = "import gevent.monkey\ngevent.monkey.patch_all()\n"
SERVERS = {
    "gunicorn": ["-m", "gunicorn", "--preload", "--workers", "2", "-b", "127.0.0.1:{port}", "manage:application"],
    "gunicorn with threads": [
        *("-m", "gunicorn", "--preload", "--workers", "1", "--threads", "4", "-b", "127.0.0.1:{port}"),
        "manage:application",
    ],
    "gunicorn with gevent": [
        *(
            "-m",
            "gunicorn",
            "-c",
            "patched.py",
            "--preload",
            "--workers",
            "2",
            "-k",
            "gevent",
            "-b",
            "127.0.0.1:{port}",
        ),
        "manage:application",
    ],
    "uvicorn": ["-m", "uvicorn", "--port", "{port}", "--lifespan", "off", "manage:asgi"],
    "daphne": ["-m", "daphne", "-p", "{port}", "manage:asgi"],
    "runserver": ["manage.py", "runserver", "--skip-checks", "127.0.0.1:{port}"],
}


@pytest.mark.skipif("ADJOURN_TEST_THOROUGH" not in os.environ, reason="starts servers: scripts/test-all runs it")
@pytest.mark.parametrize("name", SERVERS)
def test_no_server_connects_before_a_view_does(
    name: str, site: str, shop: psycopg.Connection, site_sessions: Sessions, tmp_path: Path
) -> None:
    if name == "daphne" and shutil.which("daphne", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("daphne is not installed")
    (tmp_path / "manage.py").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "patched.py").write_text(PATCHED, encoding="utf-8")
    (tmp_path / "server_settings.py").write_text(SETTINGS, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": f"{TESTS}{os.pathsep}{tmp_path}",
        "SITE_DSN": site,
        "DJANGO_SETTINGS_MODULE": "server_settings",
    }
    line = [sys.executable, *(each.format(port=port) for each in SERVERS[name])]
    with subprocess.Popen(
        line,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            until(lambda: is_open(port))
            if name != "runserver":  # Django's own check of migrations has connected
                time.sleep(0.2)
                assert site_sessions.count() == 0
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=BOUND) as client:
                jobs = {client.get("/order/").json()["job"] for _ in range(10)}
                assert len(jobs) == 10
            row = shop.execute("SELECT count(*) FROM adjourn.adjourn_jobs").fetchone()
            assert row == (10,)
        finally:
            process.terminate()
            process.wait(BOUND)
            with contextlib.suppress(ProcessLookupError):  # the child of runserver, which serves
                os.killpg(process.pid, 9)


def is_open(port: int) -> bool:
    """Whether a server listens."""
    with socket.socket() as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0
