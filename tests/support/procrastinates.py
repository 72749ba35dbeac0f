"""Databases of Procrastinate, of the release that is installed and of older ones, and what its programs do with them."""

from __future__ import annotations

import datetime
import importlib.resources
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

INSTALLED = "3.10"
"""What stands for the release that is installed, whichever it is."""
OLDER = ("2.15.1", "3.0.2", "3.2.2")
"""Releases with other tables or functions."""
RELEASES = [
    INSTALLED,
    *(
        pytest.param(
            release,
            marks=pytest.mark.skipif(
                "ADJOURN_TEST_THOROUGH" not in os.environ, reason="an older release: scripts/test-all runs it"
            ),
        )
        for release in OLDER
    ),
]
"""What a test is parametrized with that should run with each release."""


def schema_of(release: str) -> str:
    """The SQL of a release's schema. One that is not installed is downloaded once; without a registry the test is skipped."""
    if release == INSTALLED:
        return importlib.resources.files("procrastinate").joinpath("sql", "schema.sql").read_text("utf-8")
    folder = Path(tempfile.gettempdir(), "adjourn-tests-procrastinate")
    if not (wheels := list(folder.glob(f"procrastinate-{release}-*.whl"))):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
        done = subprocess.run([*command, f"procrastinate=={release}"], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"Procrastinate {release} cannot be downloaded here")
        wheels = list(folder.glob(f"procrastinate-{release}-*.whl"))
    with zipfile.ZipFile(wheels[0]) as wheel:
        return wheel.read("procrastinate/sql/schema.sql").decode()


class Old:
    """A session of a program that uses Procrastinate, of any release: it calls that release's functions.

    Parameters
    ----------
    dsn
        The database.
    schema
        The schema of the tables, as the search path of the program.
    """

    def __init__(self, dsn: str, schema: str = "public") -> None:
        self.connection = psycopg.connect(dsn, autocommit=True, row_factory=dict_row)
        self.connection.execute(
            "select set_config('search_path', %s, false)", [psycopg.sql.Identifier(schema).as_string()]
        )
        rows = self.connection.execute(
            "select proname from pg_proc where starts_with(proname, 'procrastinate_')"
        ).fetchall()
        self._functions = {row["proname"] for row in rows}

    def __enter__(self) -> Old:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def run(self, text: str, *values: Any) -> list[dict[str, Any]]:
        """Execute SQL, and return the rows."""
        cursor = self.connection.execute(text.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def value(self, text: str, *values: Any) -> Any:
        """Execute SQL that returns one value."""
        (row,) = self.run(text, *values)
        (value,) = row.values()
        return value

    def defer(
        self,
        task: str = "echo",
        *,
        queue: str = "default",
        lock: str | None = None,
        queueing_lock: str | None = None,
        priority: int = 0,
        at: datetime.datetime | None = None,
        **arguments: Any,
    ) -> int:
        """Defer a job, and return its id."""
        values = [queue, task, priority, lock, queueing_lock, json.dumps(arguments), at]
        casts = "%s::varchar, %s::varchar, %s::integer, %s::text, %s::text, %s::jsonb, %s::timestamptz"
        if "procrastinate_defer_jobs_v1" in self._functions:
            return int(
                self.value(
                    f"select unnest(procrastinate_defer_jobs_v1(array[row({casts})::procrastinate_job_to_defer_v1]))",
                    *values,
                )
            )
        return int(self.value(f"select {self._named('defer_job_v1', 'defer_job')}({casts})", *values))

    def defer_tick(
        self, tick: int, task: str = "tick", queueing_lock: str | None = None, lock: str | None = None
    ) -> int | None:
        """Defer the job of a tick, and return its id; None if it was deferred."""
        name = self._named("defer_periodic_job_v2", "defer_periodic_job_v1", "defer_periodic_job")
        casts = "%s::varchar, %s::varchar, %s::varchar, %s::varchar, %s::integer, %s::varchar, %s::bigint, %s::jsonb"
        values = ["default", lock, queueing_lock, task, 0, "", tick, json.dumps({"timestamp": tick})]
        found = self.value(f"select {name}({casts})", *values)
        return None if found is None else int(found)

    def register(self) -> int | None:
        """Register a worker, if the release has them."""
        if "procrastinate_register_worker_v1" not in self._functions:
            return None
        return int(self.value("select worker_id from procrastinate_register_worker_v1()"))

    def fetch(self, worker: int | None = None) -> dict[str, Any] | None:
        """Claim a job, as a worker does."""
        if "procrastinate_fetch_job_v2" in self._functions:
            (row,) = self.run("select * from procrastinate_fetch_job_v2(null::varchar[], %s::bigint)", worker)
        else:
            (row,) = self.run(f"select * from {self._named('fetch_job_v1', 'fetch_job')}(null::varchar[])")
        return row if row["id"] is not None else None

    def end(self, job_id: int, status: str = "succeeded") -> None:
        """End a job, as a worker does."""
        name = self._named("finish_job_v1", "finish_job")
        self.run(f"select {name}(%s::bigint, %s::procrastinate_job_status, false)", job_id, status)

    def retry(self, job_id: int, at: datetime.datetime | None = None) -> None:
        """Put a job back, as a worker does."""
        name = self._named("retry_job_v2", "retry_job_v1", "retry_job")
        self.run(
            f"select {name}(%s::bigint, coalesce(%s::timestamptz, now()), null::integer, null::varchar, null::varchar)",
            job_id,
            at,
        )

    def cancel(self, job_id: int, *, abort: bool = False) -> None:
        """Cancel a job that waits, or ask for a running one to be aborted."""
        self.run(f"select {self._named('cancel_job_v1', 'cancel_job')}(%s::bigint, %s, false)", job_id, abort)

    def jobs(self, status: str = "todo") -> list[int]:
        """The ids of jobs of a status."""
        return [
            row["id"]
            for row in self.run(
                "select id from procrastinate_jobs where status = %s::procrastinate_job_status order by id", status
            )
        ]

    def _named(self, *names: str) -> str:
        return next(f"procrastinate_{name}" for name in names if f"procrastinate_{name}" in self._functions)
