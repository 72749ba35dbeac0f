"""How far a command has come, on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from adjourn._domain.indexes import UnbuiltIndex
from adjourn.cli import progress
from adjourn.cli.progress import ProgressReport, Told
from adjourn.cli.schema import Building
from adjourn.exceptions import ConnectorException
from support.waiting import until


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PAUSE", 0.01)
    monkeypatch.setattr(progress, "GLANCE", 0.01)


def printed(
    capsys: pytest.CaptureFixture[str],
    done: int | None = None,
    tells: Callable[[], Told] | None = None,
    total: int | None = None,
) -> str:
    """Return the first that it prints, and all that follows."""
    with ProgressReport("Deleting jobs", tells, total=total) as told:
        texts: list[str] = []
        if done is not None:
            told(done)
            until(lambda: f"{done:,}" in capsys.readouterr().err)  # from then on all that it prints says so

        def has_printed() -> bool:
            out, err = capsys.readouterr()
            assert out == ""
            texts.append(err)
            return bool(err)

        until(has_printed)
    return "".join(texts) + capsys.readouterr().err


@pytest.mark.usefixtures("quick")
def test_where_there_is_no_terminal_it_is_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(printed(capsys, 1000).splitlines()) == {"Deleting jobs: 1,000 in 0 s"}
    assert set(printed(capsys).splitlines()) == {"Deleting jobs: 0 s"}


@pytest.mark.usefixtures("quick")
def test_on_a_terminal_it_is_one_line_that_goes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    pictures = printed(capsys, 1000).split("\r\x1b[K")
    assert pictures[0] == pictures[-1] == ""
    assert set(pictures[1:-1]) == {"Deleting jobs: 1,000 in 0 s"}


@pytest.mark.usefixtures("quick")
def test_on_a_terminal_a_bar_shows_how_much_of_it_is_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    pictures = printed(capsys, 1000, total=4000).split("\r\x1b[K")
    assert set(pictures[1:-1]) == {f"Deleting jobs: [{'=' * 6}{' ' * 18}] 25%, 1,000 of 4,000 in 0 s"}


@pytest.mark.usefixtures("quick")
def test_on_a_terminal_others_print_on_a_line_of_their_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with ProgressReport("Counting", total=10) as told:
        told(5)
        until(lambda: "50%" in capsys.readouterr().err)
        with told.aside():
            shown = capsys.readouterr().err
            print("something else")
            assert shown.endswith("\r\x1b[K")
            assert capsys.readouterr() == ("something else\n", "")


@pytest.mark.parametrize("total", [100, 1000])
def test_where_there_is_no_terminal_each_ten_per_cent_has_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, total: int
) -> None:
    # It takes less than ten seconds, so nothing but the share has it say something.
    monkeypatch.setattr(progress, "GLANCE", 0.001)
    looks: list[float] = []
    look = ProgressReport.told

    def told_and_noted(self: ProgressReport) -> Told:
        found = look(self)
        looks.append(found.share or 0)
        return found

    monkeypatch.setattr(ProgressReport, "told", told_and_noted)
    with ProgressReport("Deleting jobs", total=total) as told:
        for done in range(0, total + 1, total // 100):
            told(done)
            looks.clear()
            until(lambda: len(looks) > 2)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"Deleting jobs: {percent}%" for percent in range(10, 101, 10)]
    assert lines[4].endswith(f", {total // 2:,} of {total:,} in 0 s")


def test_a_step_may_be_longer_than_that(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "GLANCE", 0.001)
    texts = ""

    def has(text: str) -> bool:
        nonlocal texts
        texts += capsys.readouterr().err
        return text in texts

    with ProgressReport("Deleting jobs", total=100) as told:
        told(57)
        until(lambda: has("57%"))
        told(59)
        told(61)
        until(lambda: has("61%"))
    assert [line.split(",")[0] for line in texts.splitlines()] == ["Deleting jobs: 57%", "Deleting jobs: 61%"]


@pytest.mark.usefixtures("quick")
def test_what_is_left_is_counted_once_and_only_if_it_takes_longer(capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[int] = []

    def left() -> int:
        asked.append(1)
        return 3000

    with ProgressReport("Deleting jobs", left=left) as told:
        told(1000)
        until(lambda: told.total)
    assert (told.total, asked) == (4000, [1])
    assert "25%, 1,000 of 4,000 in 0 s" in capsys.readouterr().err
    with ProgressReport("Deleting jobs", left=left, is_quiet=True) as told:
        told(1000)
    assert asked == [1]


def test_what_is_quick_counts_nothing() -> None:
    with ProgressReport("Deleting jobs", left=lambda: 1 // 0):
        pass


@pytest.mark.usefixtures("quick")
def test_more_may_be_done_than_there_was(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(printed(capsys, 1001, total=1000).splitlines()) == {"Deleting jobs: 100%, 1,001 of 1,001 in 0 s"}


@pytest.mark.usefixtures("quick")
def test_it_says_how_far_it_is_in_words_as_long_as_somebody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(printed(capsys, tells=lambda: Told("2 of 3")).splitlines()) == {"Deleting jobs: 0 s, 2 of 3"}
    assert set(printed(capsys, tells=lambda: Told("2 of 3", 0.5)).splitlines()) == {"Deleting jobs: 50%, 0 s, 2 of 3"}
    assert set(printed(capsys, tells=Told).splitlines()) == {"Deleting jobs: 0 s"}

    def fails() -> Told:
        raise ConnectorException("no answer")

    assert set(printed(capsys, tells=fails).splitlines()) == {"Deleting jobs: 0 s"}


def test_what_is_soon_over_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressReport("Deleting jobs", total=1000) as told:
        told(1000)
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_is_quiet_says_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal)
    with ProgressReport("Deleting jobs", total=10, is_quiet=True) as told:
        told(5)
        time.sleep(0.1)
        with told.aside():
            pass
    assert capsys.readouterr() == ("", "")


def test_the_schema_is_as_far_as_its_indexes_on_their_partitions() -> None:
    looks = iter(
        [
            [],
            [UnbuiltIndex(name="a", partitions=4, built=0), UnbuiltIndex(name="b", partitions=4, built=0)],
            [
                UnbuiltIndex(name="a", partitions=4, built=1, building="p", phase="scanning", percent=50),
                UnbuiltIndex(name="b", partitions=4, built=0),
            ],
            [UnbuiltIndex(name="b", partitions=4, built=2)],
            [],
        ]
    )
    building = Building(lambda: next(looks))
    told = [building() for _ in range(5)]
    assert [each.share for each in told] == [None, 0, 1.5 / 8, 6 / 8, 1]
    assert told[3].words == "index b is on 2 of 4 partitions"
