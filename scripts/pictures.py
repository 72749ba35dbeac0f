"""Draws the pictures of terminals in docs/_static anew: `adjourn top`, and what `adjourn doctor` prints.

What they show is made up. How it looks is what the commands print.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import sys
from collections import deque
from pathlib import Path
from unittest import mock

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from adjourn.cli import doctor, frames
from adjourn.doctor import Examination
from adjourn.doctor.examination import Examined
from adjourn.doctor.findings import Finding, critical, ok, warn
from adjourn.monitor import QueueFigures, Rates, RunningJob, Snapshot, WaitFigures, WorkerFigures

STATIC = Path(__file__).parents[1] / "docs" / "_static"
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def save(name: str, console: Console) -> None:
    """Save what a console has printed, without fonts from elsewhere."""
    text = _FONTS.sub("", console.export_svg(title=f"$ adjourn {name}", theme=MONOKAI, unique_id=f"adjourn-{name}"))
    text = text.replace("font-family: Fira Code", 'font-family: "DejaVu Sans Mono", Menlo, Consolas')
    (STATIC / f"{name}.svg").write_text(re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE), encoding="utf-8")


def console(width: int) -> Console:
    """Return a console that remembers what is printed."""
    return Console(width=width, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor")


def draw_top() -> None:
    """Draw the screen of a newsletter that goes out."""
    seen = frames.SeenSnapshot(
        deferred=deque(120 + 80 * math.sin(n / 4) for n in range(20)), ended=deque(500 + 20 * n for n in range(20))
    )
    seen.add(
        Snapshot(
            database="shop",
            version="18.1",
            clock="2030-01-01 12:00:00",
            rates=Rates(deferred=120.0, ended=860.0),
            queues=[
                QueueFigures(name="mail", ready=10_000, running=28, is_capped=True, latency=65.0, workers=3),
                QueueFigures(name="print", ready=0, running=2, is_capped=False, latency=0.0, workers=3),
                QueueFigures(name="search", ready=12, running=0, is_capped=False, latency=1.5, workers=3),
            ],
            waits=[
                WaitFigures(kind="scheduled", jobs=1204, is_capped=False),
                WaitFigures(kind="lock", jobs=3, is_capped=False),
            ],
            workers=[
                WorkerFigures(
                    id=n,
                    name=f"worker-{n}",
                    queues=None,
                    is_alive=True,
                    is_idle=False,
                    silence=1.0,
                    age=7300.0,
                    running=10,
                    overdue=0,
                )
                for n in range(1, 4)
            ],
            running=[
                RunningJob(
                    id=n, queue="mail", task="send", lock=None, attempt=1, worker_id=1, seconds=0.2, is_aborted=False
                )
                for n in range(30)
            ],
            tasks=[],
            tables=[],
            oldest_transaction=0.2,
        )
    )
    screen = console(80)
    screen.print(frames.frame(seen, frames.TopView(), width=80, height=24))
    save("top", screen)


def draw_doctor() -> None:
    """Draw what is found when the workers do not keep up because of a transaction that was forgotten."""
    checks = [
        ("connect", "", [ok("Database 'shop' answers 'shop_worker' in 1.2 ms")]),
        ("schema", "", [ok("The schema 'adjourn' has version 1")]),
        ("workers", "", [ok("3 workers are alive")]),
        (
            "jobs",
            "The age of the oldest job that could run says whether the workers keep up.",
            [
                warn(
                    "Job 48210 of queue 'mail' could have run for 2 min",
                    "Start more workers for this queue, or raise their concurrency; see the check workers.",
                    "adjourn --app=... shell list_jobs queue=mail status=todo",
                    "ready_warn=60 s",
                )
            ],
        ),
        (
            "xmin",
            "While an old transaction is open, vacuum removes no finished job from the table of live ones, and claims slow down.",
            [
                critical(
                    "Session 4711 of 'reports' (psql, idle in transaction) has had a transaction open for 47 min: 1,204,311 "
                    "transactions have begun since",
                    "Have its program commit, or end the session.",
                    "select pg_terminate_backend(4711);",
                    "transaction_warn=300 s, xid_age_warn=1000000",
                )
            ],
        ),
    ]
    examined = [_examined(name, why, findings) for name, why, findings in checks]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), mock.patch.object(doctor, "_has_colours", return_value=True):
        doctor._print(Examination(checks=tuple(examined), seconds=0.3), with_ok=True)
    screen = console(80)
    screen.print(Text.from_ansi(printed.getvalue()))
    save("doctor", screen)


def _examined(name: str, why: str, findings: list[Finding]) -> Examined:
    return Examined(id=name, why=why, findings=tuple(findings))


def main() -> int:
    """Draw all of them."""
    draw_top()
    draw_doctor()
    return 0


if __name__ == "__main__":
    sys.exit(main())
