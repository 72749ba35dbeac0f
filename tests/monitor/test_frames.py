"""The screen of ``adjourn top``, as text."""

from __future__ import annotations

from typing import Any

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
                name=f"{name}{n or ''}", ready=n, running=1, is_capped=n == 1, latency=n * 65.0, workers=1 - n % 2
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
oldest ready 65 s   1 workers, 1 silent   1 running   10,000+ scheduled   3 beh…
deferred     120/s █                    ended      60/s █
queue  ready  running  oldest ready  workers
mail1     1+        1          65 s        0
mail       0        1          0 ms        1
 1 queues  2 running  3 tasks  4 workers  5 database  every 2 s  ? help  q quit
"""
    )


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
    obey("f", view)
    assert view.is_frozen
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
