"""The structlog recipe of the documentation, as it stands there."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from support.pages import ROOT, read

RECIPE = ROOT / "docs" / "how-to" / "logging.md"
RECORDS = ROOT / "docs" / "reference" / "logging.md"
USE = """
import asyncio
import types
import adjourn
from adjourn.testing import InMemoryConnector

app = adjourn.App(connector=InMemoryConnector())

@app.task(name="add")
def add(a, b):
    structlog.get_logger("mine").warning("in the task", a=a)
    return a + b

@app.task(name="fail")
def fail():
    raise ValueError("on purpose")

with app.open():
    add.defer(a=1, b=2)
    fail.defer()
app.run_worker(wait=False)

async def bound():
    context = types.SimpleNamespace(job=types.SimpleNamespace(id=7, task_name="add"))
    async def body():
        return structlog.contextvars.get_contextvars()
    return await log_context(body, context, None)

assert asyncio.run(bound()) == {"job_id": 7, "task": "add"}
"""


def test_the_structlog_recipe_writes_what_adjourn_and_the_program_log() -> None:
    blocks = [block.text for block in read(RECIPE) if "structlog" in block.text]
    assert len(blocks) == 2
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "\n".join([*blocks, USE])],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    lines = [json.loads(line) for line in process.stderr.splitlines()]
    by_action = {line["action"]: line for line in lines if "action" in line}
    success = by_action["job_success"]
    assert (success["result"], success["job"]["task_kwargs"]) == (3, {"a": 1, "b": 2})
    assert (success["logger"], success["level"]) == ("adjourn.worker", "info")
    assert "ValueError: on purpose" in by_action["job_error"]["exception"]
    assert [job["task_name"] for job in by_action["jobs_deferred"]["jobs"]] == ["fail"]
    (mine,) = (line for line in lines if line.get("logger") == "mine")
    assert (mine["event"], mine["a"]) == ("in the task", 1)


def test_the_page_names_every_action_that_is_logged() -> None:
    source = ROOT / "src" / "adjourn"
    found = set()
    for path in source.rglob("*.py"):
        if "cli" not in path.parts:
            text = path.read_text()
            found |= set(re.findall(r'"action": "(?!store_)(\w+)"', text)) | set(
                re.findall(r'\baction = "(\w+)"', text)
            )
    assert len(found) > 15
    assert sorted(action for action in found if f"`{action}`" not in RECORDS.read_text()) == []
