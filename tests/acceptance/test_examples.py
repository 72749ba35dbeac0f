"""The examples work: their own tests pass, and one command starts each."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.waiting import BOUND, until

EXAMPLES = Path(__file__).parents[2] / "examples"
TESTED = sorted(each.parent.name for each in EXAMPLES.glob("*/pytest.ini"))
PLUGINS = {"django_shop": ("anyio", "pytest_django.plugin", "adjourn.testing.plugin")}
"""The plugins that each needs; the default is `anyio`. Those of this project's own tests take a second to import."""
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.mark.parametrize("name", TESTED)
def test_the_tests_of_an_example_pass(name: str, database: str) -> None:
    plugins = [f"-p{plugin}" for plugin in ("no:cacheprovider", *PLUGINS.get(name, ("anyio",)))]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins],
        cwd=EXAMPLES / name,
        env={**ENVIRONMENT, "DATABASE_URL": database, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed in ", done.stdout, re.MULTILINE), done.stdout


def ask(url: str, form: Mapping[str, str] | None = None) -> str:
    """Return the text of a page, or what it answers to a form; an empty text while nobody answers."""
    data = urllib.parse.urlencode(form).encode() if form is not None else None
    try:
        with urllib.request.urlopen(url, data, timeout=BOUND) as answer:
            return str(answer.read().decode())
    except urllib.error.URLError:
        return ""


@pytest.mark.skipif("ADJOURN_TEST_THOROUGH" not in os.environ, reason="ADJOURN_TEST_THOROUGH=1 starts each example")
@pytest.mark.parametrize(
    ("name", "page", "form", "shown"),
    [
        ("django_shop", "/", {"item": "a book", "mail": "ada@example.org"}, "a book for ada@example.org (sent)"),
        ("fastapi_newsletter", "/mails", {}, "ada@example.org: You get our letters from now on."),
        ("flask_guestbook", "/", {"name": "Ada", "text": "What a nice page"}, "What a nice page"),
    ],
)
def test_one_command_starts_an_example_with_a_worker(name: str, page: str, form: dict[str, str], shown: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "DATABASE_URL"}
    url = f"http://127.0.0.1:{port}"
    forms = {"django_shop": "/orders/", "fastapi_newsletter": "/subscribers?mail=ada%40example.org"}
    sign = url + forms.get(name, "/")
    with subprocess.Popen(
        [EXAMPLES.parent / "scripts" / "example", name],
        env={**environment, "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as example:
        try:
            until(lambda: ask(url + page) or example.poll() is not None)
            assert example.poll() is None
            ask(sign, form)
            until(lambda: shown in ask(url + page))
        finally:
            example.send_signal(signal.SIGTERM)
            output, _ = example.communicate(timeout=BOUND)
    assert example.returncode == 0, output
    assert f"is at {url}/" in output
