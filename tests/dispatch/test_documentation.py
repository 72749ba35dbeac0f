"""The pages on synchronous calls: the messages are those that are raised, and the recipes do what they say.

Every block of Python in frameworks.md is run here. The commands in its text are not, but for gunicorn's, which are run with
a socket of the test's.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adjourn._dispatch import bridge
from adjourn._dispatch.rule import Reason
from adjourn._dispatch.state import check_deadline
from adjourn.exceptions import AppNotOpen, WrongCaller
from dispatch.conftest import Stored
from support.gunicorn import gunicorn, post
from support.sessions import Sessions

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "explanation" / "synchronous-calls.md"
RECIPES_PAGE = DOCS / "how-to" / "frameworks.md"
ADDRESS = "postgresql://localhost/mydb"
RECIPES = {
    "tasks.py",
    "script.py",
    "forking.py",
    "wsgi_app.py",
    "gunicorn.conf.py",
    "notebook.py",
    "notebook_async.py",
    "greenlets.py",
}


def deadline_message() -> str:
    """What is said when an opening or closing elsewhere does not end."""
    with pytest.raises(WrongCaller) as caught:
        check_deadline(0)
    return str(caught.value)


@pytest.mark.parametrize("reason", Reason)
def test_each_refusal_is_on_the_page_word_for_word_with_its_error(reason: Reason) -> None:
    name = AppNotOpen.__name__ if isinstance(reason.error(), AppNotOpen) else WrongCaller.__name__
    assert f"> {reason.value}\n\n`{name}`. " in PAGE.read_text("utf-8")


def test_each_other_refusal_is_on_the_page_too() -> None:
    text = PAGE.read_text("utf-8")
    for message in (bridge.BUSY, bridge.STUCK, bridge.ENDED, deadline_message()):
        assert f"> {message.format(timeout=30)}\n\n`WrongCaller`. " in text


class Recipes:
    """The files on the page, in a directory, on this test's database."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {**os.environ, "PYTHONPATH": str(directory)}

    def run(self, *arguments: str) -> None:
        """Run Python, which must end soon, with code 0, and print nothing."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def gunicorn(self, *arguments: str) -> contextlib.AbstractContextManager[Path]:
        """Run gunicorn for as long as the block lasts, and give the socket it listens on."""
        return gunicorn(self.directory, *arguments)


@pytest.fixture
def recipes(tmp_path: Path, database: str) -> Recipes:
    """Write down what is on the page."""
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", RECIPES_PAGE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == RECIPES_PAGE.read_text("utf-8").count("```python")
    assert {name for name, _ in blocks} == RECIPES
    for name, text in blocks:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace(ADDRESS, database), "utf-8")
    (tmp_path / "gunicorn.conf.py").rename(tmp_path / "on_fork.py")
    return Recipes(tmp_path)


def greet_everybody(listens: Path) -> list[str]:
    """Post many requests at once, and return the names that were greeted."""
    names = [f"{number:02}" for number in range(40)]
    with ThreadPoolExecutor(8) as executor:
        jobs = list(executor.map(lambda name: post(listens, f"/greet/{name}")["job"], names))
    assert len(set(jobs)) == 40
    return names


def test_a_script_and_a_program_that_forks(recipes: Recipes, stored: Stored, sessions: Sessions) -> None:
    recipes.run("script.py")
    assert stored() == ["ada", "eve"]
    recipes.run("forking.py")
    assert stored() == ["ada", "ada", "eve", "eve", "the parent"]
    assert sessions.settle(0) == 0


def test_b32_gunicorn_with_preload_and_two_workers(recipes: Recipes, stored: Stored, sessions: Sessions) -> None:
    with recipes.gunicorn("--preload", "--threads", "4", "wsgi_app:web") as listens:
        names = greet_everybody(listens)
        # The master's session is there still, beside those of the workers.
        assert sessions.count() >= 2
    assert stored() == names
    assert sessions.settle(0) == 0


def test_b33_gunicorn_with_preload_of_an_app_that_is_open_on_a_loop_in_the_master(
    recipes: Recipes, stored: Stored, sessions: Sessions
) -> None:
    (recipes.directory / "on_a_loop.py").write_text(
        textwrap.dedent(
            """
            import asyncio, threading, tasks, wsgi_app

            tasks.app.close()
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, daemon=True).start()
            asyncio.run_coroutine_threadsafe(tasks.app.connector.open_async(), loop).result(20)
            tasks.greet.defer(name="master")
            web = wsgi_app.web
            """
        ),
        "utf-8",
    )
    with recipes.gunicorn("--preload", "--config", "on_fork.py", "on_a_loop:web") as listens:
        names = greet_everybody(listens)
    assert stored() == [*names, "master"]
    assert sessions.settle(0) == 0


def test_gunicorn_with_the_app_opened_in_the_workers_only(recipes: Recipes, stored: Stored, sessions: Sessions) -> None:
    path = recipes.directory / "wsgi_app.py"
    path.write_text(path.read_text("utf-8").replace("tasks.app.open()", ""), "utf-8")
    with recipes.gunicorn("--preload", "--config", "on_fork.py", "wsgi_app:web") as listens:
        assert sessions.settle(2) == 2
        names = greet_everybody(listens)
    assert stored() == names
    assert sessions.settle(0) == 0


def test_notebooks(recipes: Recipes, stored: Stored, sessions: Sessions) -> None:
    recipes.run(
        "-c",
        textwrap.dedent(
            """
            import ast, asyncio, inspect, pathlib

            async def main():
                # What IPython does with a cell.
                for name in ("notebook.py", "notebook_async.py"):
                    text = pathlib.Path(name).read_text("utf-8")
                    cell = compile(text, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                    result = eval(cell, {})
                    if inspect.iscoroutine(result):
                        await result

            asyncio.run(main())
            """
        ),
    )
    assert stored() == ["ada", "eve"]
    assert sessions.settle(0) == 0


def test_gevent(recipes: Recipes, stored: Stored, sessions: Sessions) -> None:
    recipes.run("greenlets.py")
    assert stored() == ["ada", "eve"]
    assert sessions.settle(0) == 0
