"""Draws the pictures of terminals in docs/_static anew: `adjourn top`, and what `adjourn doctor` prints.

What they show is made up. How it looks is what the commands print. With a folder as its argument, it draws into that folder what is to
be looked at: on a dark terminal and on a light one, with colours and without, when all is well and when much is not.
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
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, MONOKAI, TerminalTheme
from rich.text import Text

from adjourn.cli import doctor, frames
from adjourn.doctor import Examination
from adjourn.doctor.examination import Examined
from adjourn.doctor.findings import Finding, critical, ok, unknown, warn
from adjourn.monitor import QueueFigures, Rates, RunningJob, Snapshot, WaitFigures, WorkerFigures

STATIC = Path(__file__).parents[1] / "docs" / "_static"
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


THEMES = {"dark": MONOKAI, "light": DEFAULT_TERMINAL_THEME}


def save(name: str, console: Console, path: Path | None = None, theme: TerminalTheme = MONOKAI) -> None:
    """Save what a console has printed, without fonts from elsewhere."""
    title = f"$ adjourn {name}"
    text = _FONTS.sub("", console.export_svg(title=title, theme=theme, unique_id=f"adjourn-{name}", clear=False))
    text = text.replace("font-family: Fira Code", 'font-family: "DejaVu Sans Mono", Menlo, Consolas')
    (path or STATIC / f"{name}.svg").write_text(re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE), encoding="utf-8")


def console(width: int, *, has_colours: bool = True) -> Console:
    """Return a console that remembers what is printed."""
    return Console(
        width=width,
        record=True,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor" if has_colours else None,
        no_color=not has_colours,
    )


def newsletter() -> frames.SeenSnapshot:
    """Return what is seen of a newsletter that goes out."""
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
                QueueFigures(
                    name="mail", ready=10_000, running=28, is_capped=True, latency=65.0, workers=3, is_paused=False
                ),
                QueueFigures(
                    name="print", ready=0, running=2, is_capped=False, latency=0.0, workers=3, is_paused=False
                ),
                QueueFigures(
                    name="search", ready=12, running=0, is_capped=False, latency=1.5, workers=3, is_paused=False
                ),
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
                    is_ending=False,
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
    return seen


def draw_top() -> None:
    """Draw the screen of a newsletter that goes out."""
    screen = console(80)
    screen.print(frames.frame(newsletter(), frames.TopView(), width=80, height=24))
    save("top", screen)


CHECKS: list[tuple[str, str, list[Finding]]] = [
    ("connect", "", [ok("Database 'shop' answers 'shop_worker' in 1.2 ms")]),
    ("schema", "", [ok("The schema 'adjourn' has version 1")]),
    ("workers", "", [ok("3 workers are alive")]),
    (
        "jobs",
        "The age of the oldest job that could run says whether the workers keep up.",
        [
            warn(
                "Job 48210 of queue 'mail' could have run for 2 min: all 30 slots of its workers are busy",
                "Start more workers for this queue, or raise their concurrency.",
                "adjourn --app=shop.app worker --queues=mail",
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
"""What is found when the workers do not keep up because of a transaction that was forgotten."""


def printed_by_doctor(checks: list[tuple[str, str, list[Finding]]], *, has_colours: bool) -> Console:
    """Return a console of 80 columns with what the doctor prints."""
    printed = io.StringIO()
    examined = [_examined(name, why, findings) for name, why, findings in checks]
    with contextlib.redirect_stdout(printed), mock.patch.object(doctor, "_has_colours", return_value=has_colours):
        doctor._print(Examination(checks=tuple(examined), seconds=0.3), with_ok=True)
    screen = console(80, has_colours=has_colours)
    screen.print(Text.from_ansi(printed.getvalue().rstrip()))
    return screen


def draw_doctor() -> None:
    """Draw what is found when the workers do not keep up because of a transaction that was forgotten."""
    save("doctor", printed_by_doctor(CHECKS, has_colours=True))


def draw_looks(folder: Path) -> None:
    """Draw what is to be looked at."""
    folder.mkdir(parents=True, exist_ok=True)
    well = [(name, why, [ok(findings[0].text)]) for name, why, findings in CHECKS[:3]]
    well += [("locks", "", [ok("No lock stands still")]), ("xmin", "", [ok("No transaction is old")])]
    more = [
        ("pooler", "Without notifications a job begins at the next poll only.", [_POOLER]),
        ("retention", "Old jobs take room, and searches walk past them.", [_RETENTION]),
        ("statements", "The slowest statements say where time goes.", [_UNSEEN]),
    ]
    for theme, colours in THEMES.items():
        for name, checks in {"well": well, "five": [*CHECKS, *more]}.items():
            for has_colours in (True, False):
                screen = printed_by_doctor(checks, has_colours=has_colours)
                kind = "colours" if has_colours else "plain"
                save("doctor", screen, folder / f"doctor-{name}-{kind}-{theme}.svg", colours)
        for name, (seen, view) in frames_of_top().items():
            screen = console(80)
            screen.print(frames.frame(seen, view, width=80, height=24))
            save("top", screen, folder / f"top-{name}-{theme}.svg", colours)


_POOLER = warn(
    "A pooler is between this program and the server, and a notification that was sent through it did not arrive within 2 s",
    "Give workers the address of the server itself, or switch listening off.",
    "adjourn --app=... worker --no-listen-notify",
)
_RETENTION = warn(
    "12,204,118 finished jobs are kept, the oldest for 211 days, and nothing removes them",
    "Have a periodic task remove them, such as adjourn.builtin_tasks.remove_old_jobs.",
)
_UNSEEN = unknown(
    "What other sessions do, which 'shop_worker' may not see",
    "Grant it the role that may.",
    'grant pg_monitor to "shop_worker";',
)


def frames_of_top() -> dict[str, tuple[frames.SeenSnapshot, frames.TopView]]:
    """Return three frames: queues, the jobs that run, and a database that does not answer any more."""
    gone = newsletter()
    gone.error = "Cannot connect to PostgreSQL (db.shop.internal, port 5432, database 'shop'): connection refused."
    gone.age = 14.0
    return {
        "queues": (newsletter(), frames.TopView()),
        "running": (newsletter(), frames.TopView(pane=frames.Pane.RUNNING, sorted_by=3, filter="mail")),
        "gone": (gone, frames.TopView(pane=frames.Pane.WORKERS)),
    }


def _examined(name: str, why: str, findings: list[Finding]) -> Examined:
    return Examined(id=name, why=why, findings=tuple(findings))


def main() -> int:
    """Draw all of them."""
    if len(sys.argv) > 1:
        draw_looks(Path(sys.argv[1]))
    else:
        draw_top()
        draw_doctor()
    return 0


if __name__ == "__main__":
    sys.exit(main())
