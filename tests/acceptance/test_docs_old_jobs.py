"""The page on old jobs: its code runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import adjourn

PAGE = Path(__file__).parents[2] / "docs" / "old-jobs.md"


def test_the_code_of_the_page_runs(database: str) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    names: dict[str, Any] = {"app": app, "__name__": "old_jobs"}
    with app.open():
        for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
            exec(compile(code, PAGE.name, "exec"), names)  # as a reader would
        (job,) = app.job_manager.list_jobs()
    assert (job.task_name, job.queue, job.task_kwargs) == (
        "builtin:adjourn.builtin_tasks.remove_old_jobs",
        "builtin",
        {"max_hours": 72},
    )
    assert len(app.periodic_registry.periodic_tasks) == 2
