"""The screen of ``adjourn top``, as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from adjourn._domain.wording import span
from adjourn.cli.frames import Pane, SeenSnapshot, TopView, frame, line, page, text_of
from adjourn.cli.keys import ESCAPE
from adjourn.cli.top import obey
from adjourn.monitor import QueueFigures, Rates, RunningJob, Snapshot, TaskFigures, WaitFigures, WorkerFigures

HOSTILE = "\x1b[2J\x07evil\n\u202e"


def snapshot(name: str = "mail", queues: int = 2, **changes: Any) -> Snapshot:
    """A snapshot with something of everything."""
    values: dict[str, Any] = {
        "database": "shop",
        "version": "18.1 (Debian)",
        "clock": "2030-01-01 12:00:00",
        "rates": Rates(deferred=120.0, ended=60.0),
        "queues": [
            QueueFigures(
                name=f"{name}{n or ''}",
                ready=n,
                running=1,
                is_capped=n == 1,
                latency=n * 65.0,
                workers=1 - n % 2,
                is_paused=n == 0,
            )
            for n in range(queues)
        ],
        "waits": [
            WaitFigures(kind="scheduled", jobs=10_000, is_capped=True),
            WaitFigures(kind="lock", jobs=3, is_capped=False),
        ],
        "workers": [
            WorkerFigures(
                id=7,
                name=name,
                queues=None,
                is_alive=True,
                is_idle=False,
                is_ending=False,
                silence=1.0,
                age=7300.0,
                running=1,
                overdue=0,
            ),
            WorkerFigures(
                id=8,
                name="gone",
                queues=["a"],
                is_alive=False,
                is_idle=False,
                is_ending=False,
                silence=90.0,
                age=99.0,
                running=0,
                overdue=1,
            ),
        ],
        "running": [
            RunningJob(
                id=42, queue=name, task=f"{name}.send", lock=None, attempt=2, worker_id=7, seconds=3.25, is_aborted=True
            )
        ],
        "tasks": [TaskFigures(name=f"{name}.send", ended=1000, failed=3, given_up=0, seconds=0.02, longest=61.0)],
        "tables": [{"name": "adjourn_jobs", "bytes": 2_500_000, "rows": 12_000, "dead": 50, "vacuumed": 30.0}],
        "oldest_transaction": 90.0,
    }
    return Snapshot(**{**values, **changes})


def seen(*args: Any, **changes: Any) -> SeenSnapshot:
    """What was seen with one look."""
    found = SeenSnapshot()
    found.add(snapshot(*args, **changes))
    return found


def shot(found: SeenSnapshot, view: TopView | None = None, width: int = 80, height: int = 24) -> str:
    """A frame as text."""
    return text_of(frame(found, view or TopView(), width=width, height=height), width=width, height=height)


def test_a_frame_of_a_small_terminal() -> None:
    assert (
        shot(seen())
        == """\
adjourn  shop  2030-01-01 12:00:00 UTC  PostgreSQL 18.1
oldest ready 65 s   1 worker, 1 silent   1 running   transaction open for 90 s
10,000+ scheduled   3 behind locks
deferred     120/s █                    ended      60/s █
queue  ready  running  oldest ready  workers
mail1     1+        1          65 s        0
mail       0        1             -        1  paused
 1 queues  2 running  3 tasks  4 workers  5 database  every 2 s  ? help  q quit
"""
    )


GOLDEN = Path(__file__).with_name("frames.txt")
SIZES = [(80, 24), (120, 40), (200, 60)]


def busy() -> SeenSnapshot:
    """What was seen with thirty looks at a shop on the day of its sale."""
    found = SeenSnapshot()
    queues = [
        QueueFigures(
            name=f"queue of shop {n}",
            ready=n * 331,
            running=n % 7,
            is_capped=n == 40,
            latency=n * 3.5 * (n % 9 != 4),
            workers=n % 5,
            is_paused=n % 9 == 4,
        )
        for n in range(70)
    ]
    workers = [
        WorkerFigures(
            id=n,
            name=f"worker-{n}",
            queues=None if n % 3 else [f"queue of shop {each}" for each in range(n)],
            is_alive=n % 9 > 0,
            is_idle=n % 4 == 0,
            is_ending=n % 7 == 5,
            silence=n * 1.5,
            age=n * 4000.0,
            running=n % 7,
            overdue=int(n % 11 == 10),
        )
        for n in range(1, 40)
    ]
    running = [
        RunningJob(
            id=10**9 + n,
            queue=f"queue of shop {n % 7}",
            task=f"shop.tasks.that_have_names_of_some_length.task_{n % 5}",
            lock=f"customer {n}" if n % 2 else None,
            attempt=n % 4,
            worker_id=n % 39 + 1,
            seconds=n * 2.25,
            is_aborted=n % 13 == 12,
        )
        for n in range(60)
    ]
    tasks = [
        TaskFigures(name=f"task_{n}", ended=n * 1000, failed=n * 3, given_up=n // 2, seconds=n * 0.031, longest=n * 2.0)
        for n in range(1, 50)
    ]
    tables = [
        {"name": name, "bytes": 10**size, "rows": 10 ** (size - 3), "dead": size * 1000, "vacuumed": size * 60.0}
        for name, size in (("adjourn_finished_jobs", 11), ("adjourn_jobs", 9), ("adjourn_workers", 5))
    ]
    for n in range(30):
        found.add(
            attrs.evolve(
                snapshot(),
                queues=queues,
                workers=workers,
                running=running,
                tasks=tasks,
                tables=tables,
                rates=Rates(deferred=n * 40.0, ended=1200.0 - n * n),
            )
        )
    return found


def nothing() -> SeenSnapshot:
    """What is seen of a database that nobody has used yet."""
    lists: dict[str, Any] = {name: [] for name in ("queues", "waits", "workers", "running", "tasks", "tables")}
    found = SeenSnapshot()
    found.add(attrs.evolve(snapshot(), rates=None, oldest_transaction=None, **lists))
    return found


def away() -> SeenSnapshot:
    """What is seen while the database does not answer any more."""
    found = seen()
    found.error, found.age = "connection to server at 10.0.0.1 failed: Connection refused", 12.0
    return found


def never() -> SeenSnapshot:
    """What is seen of a database that has never answered."""
    return SeenSnapshot(error="connection to server at 10.0.0.1 failed: Connection refused")


def test_frames_are_as_they_were() -> None:
    parts = []
    for width, height in SIZES:
        for name, found in (
            ("empty", nothing()),
            ("busy", busy()),
            ("database down", away()),
            ("never there", never()),
        ):
            for pane in Pane if name == "busy" else (Pane.QUEUES,):
                title = f"{width}x{height} {name}" + (f", {pane.name.lower()}" if name == "busy" else "")
                parts.append(f"### {title}\n{shot(found, TopView(pane=pane), width, height)}")
    parts.append("### 80x24 help\n" + shot(busy(), TopView(has_help=True)))
    text = "\n".join(parts)
    if not GOLDEN.exists():
        GOLDEN.write_text(text, encoding="utf-8")
        pytest.fail(f"{GOLDEN.name} was missing, and is written: look at it")
    assert text == GOLDEN.read_text("utf-8")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (30, 8)])
@pytest.mark.parametrize("pane", list(Pane))
def test_a_frame_fits_the_terminal(size: tuple[int, int], pane: Pane) -> None:
    width, height = size
    text = shot(seen("name" * 30, queues=100), TopView(pane=pane), width, height)
    assert len(text.splitlines()) < height
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("pane", list(Pane))
def test_names_that_are_hostile_do_not_control_the_terminal(pane: Pane) -> None:
    text = shot(seen(HOSTILE), TopView(pane=pane, filter=""), 200, 60)
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


def test_what_is_seen_when_the_database_is_away() -> None:
    assert "connecting" in shot(SeenSnapshot())
    found = SeenSnapshot(error="refused")
    assert "refused" in shot(found)
    found = seen()
    found.error, found.age = "refused", 12.0
    text = shot(found)
    assert "no answer for 12 s" in text
    assert "\nrefused\n" in text
    assert "mail" in text


def test_an_empty_queue_and_a_filter_that_finds_nothing_say_so() -> None:
    assert "\nnothing\n" in shot(seen(queues=0))
    assert "nothing with 'x'" in shot(seen(), TopView(filter="x"))


def test_a_page_has_every_pane() -> None:
    text = text_of(page(seen(), width=120), width=120)
    for pane in Pane:
        assert f"\n{pane.name.lower()}\n" in text
    assert "gone" in text
    assert "asked to end" in text


def test_rows_are_sorted_by_the_column_that_was_chosen() -> None:
    view = TopView()
    assert obey("s", view)
    assert shot(seen(), view).index("\nmail ") < shot(seen(), view).index("\nmail1 ")
    assert "queue*" in shot(seen(), view)


def test_each_key_does_what_the_help_says() -> None:
    view = TopView()
    for key, pane in zip("12345", Pane, strict=True):
        obey(key, view)
        assert view.pane is pane
    obey("/", view)
    for key in "mxy\x7f":
        obey(key, view)
    assert (view.filter, view.is_typing) == ("mx", True)
    obey("\r", view)
    obey("/", view)
    obey("q", view)
    assert view.filter == "q"
    obey(ESCAPE, view)
    assert (view.filter, view.is_typing) == ("", False)
    for key in ("f", " "):
        obey(key, view)
        assert view.is_frozen is (key == "f")
    obey("+", view)
    assert view.interval == 4.0
    for _ in range(20):
        obey("-", view)
    assert view.interval == 0.2
    for key, has_help in (("x", True), ("?", False), ("?", True)):
        obey(key, view)
        assert view.has_help is has_help
    assert not obey("q", view)


def test_bars_and_spans() -> None:
    assert line([0, 4, 8]) == " ▄█"
    assert line([]) == ""
    assert line([0, 0]) == "  "
    assert [span(each) for each in (None, 0.5, 1.25, 65, 130, 7300, 200_000)] == [
        *("-", "500 ms", "1.2 s", "65 s", "2 min", "2 h", "2 d"),
    ]


def test_in_a_small_terminal_one_reads_why_there_is_no_answer_and_what_is_filtered() -> None:
    gone = seen()
    gone.error = (
        "Cannot connect to PostgreSQL (db.internal, port 5432, database 'shop', user 'shop'): it failed: refused."
    )
    told = shot(gone, TopView(filter="mail"))
    assert "refused." in told
    assert " /mail " in told
    assert "…" not in "".join(told.splitlines()[:-1])
