"""Programs of both side by side while a migration runs, and the checker of their ledger."""

from __future__ import annotations

import os
from typing import Any

import pytest

from migration import side_by_side
from support.databases import new_database


def entry(key: str, began: float, ended: float, lock: str | None = None, *, ok: bool = True) -> dict[str, Any]:
    """A run of a ledger."""
    return {"key": key, "lock": lock, "system": "adjourn", "ok": ok, "began": began, "ended": ended}


TICKS = [entry(f"tick {number}/{stamp}", stamp, stamp) for number in range(3) for stamp in (60, 120, 180)]


@pytest.mark.parametrize(
    ("runs", "wrong"),
    [
        ([entry("a/0", 1, 2), entry("a/0/child", 3, 4)], []),
        ([entry("a/0", 1, 2)], ["a/0/child has not run"]),
        ([entry("a/0", 1, 2), entry("a/0", 3, 4), entry("a/0/child", 3, 4)], ["a/0 has run 2 times"]),
        ([entry("a/0", 1, 2), entry("a/0/child", 3, 4), entry("b", 3, 4)], ["b was never stored"]),
        (
            [entry("a/0", 1, 3, "x", ok=False), entry("a/0", 4, 5, "x"), entry("a/0/child", 2, 3, "x")],
            ["x: a/0 (adjourn) and a/0/child (adjourn) at once"],
        ),
    ],
)
def test_the_checker_finds_what_is_wrong(runs: list[dict[str, Any]], wrong: list[str]) -> None:
    books: list[dict[str, Any]] = [{"key": "a/0", "child": True}, {"tried": 1, "refused": 0, "seconds": 1.0}]
    assert side_by_side.check([*runs, *TICKS], books, 0, "* * * * *")["wrong"] == wrong


def test_the_checker_misses_ticks() -> None:
    ticks = [each for each in TICKS if each["key"] not in ("tick 1/120",)]
    assert side_by_side.check([*ticks, TICKS[0]], [], 0, "* * * * *")["wrong"] == [
        "tick 0/60 has run 2 times",
        "tick 1/120 is missing",
    ]


@pytest.mark.skipif("ADJOURN_TEST_THOROUGH" not in os.environ, reason="takes half a minute: scripts/test-all runs it")
def test_each_job_runs_once_while_programs_of_both_work(server_dsn: str) -> None:
    with new_database(server_dsn, "migration_side_by_side") as dsn:
        figures = side_by_side.run(dsn, seconds=15, rate=60, cron="* * * * * */3", backlog=200)
    assert figures["wrong"] == []
    assert figures["moved"] > 0
    assert figures["run by old workers"] > 0
    assert figures["run by new workers"] > 0
