"""The code of the documentation does what the pages say. `support.pages` tells how they are written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from support.pages import CODE, DATA, ROOT, Block, every_page, read, tabs

PAGES = every_page()
BLOCKS = [block for page in PAGES for block in read(page)]
RUN = [(page, tab) for page in PAGES if any(block.is_run for block in read(page)) for tab in tabs(page)]


def name(value: Path | Block | str) -> str:
    """How a page, a tab or a block is called in the names of tests."""
    if isinstance(value, str):
        return value
    return value.place if isinstance(value, Block) else str(value.relative_to(ROOT))


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty directory that also the account of an embedded server may enter."""
    path = Path(tempfile.mkdtemp(prefix="adjourn-page-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.parametrize(("page", "tab"), RUN, ids=name)
def test_the_code_of_a_page_runs_as_it_says(
    page: Path, tab: str, database: str, directory: Path, observer: psycopg.Connection
) -> None:
    # What other pages have made: frameworks would take it for their own.
    observer.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "tests"),
        "PYTHONWARNINGS": "error",
    }
    done = subprocess.run(
        [sys.executable, "-m", "support.run_page", page, tab, database],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_fence_of_a_page_is_read(page: Path) -> None:
    fences = re.findall(r"^```+(\w+)$", page.read_text("utf-8"), re.MULTILINE)
    assert fences == [block.language for block in read(page) if not block.is_hidden]


@pytest.mark.parametrize("block", BLOCKS, ids=name)
def test_a_block_is_run_or_says_why_not(block: Block) -> None:
    assert block.language in CODE or block.language in DATA, f"{block.place}: name the language; code is one of {CODE}"
    if block.language == "console":
        assert block.text.startswith("$ "), f"{block.place}: begin with a command, such as `$ adjourn --help`"
    if block.why_not is not None:
        assert len(block.why_not.split()) > 3, f"{block.place}: say why"
        for test in re.findall(r"tests/[\w/]+\.py", block.why_not):
            runner = (ROOT / test).read_text("utf-8")
            assert block.page.name in runner, f"{test} does not read {block.page.name}"


def test_the_pages_that_have_code_are_found() -> None:
    assert {"README.md", "docs/tutorial.md", "docs/index.md", "docs/how-to/testing.md"} <= {
        name(page) for page, _ in RUN
    }
