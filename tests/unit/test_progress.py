"""How far a command has come, on stderr."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adjourn.cli import progress
from adjourn.cli.progress import ProgressReport
from adjourn.exceptions import ConnectorException
from support.waiting import until


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PAUSE", 0.01)
    monkeypatch.setattr(progress, "GLANCE", 0.01)


def printed(capsys: pytest.CaptureFixture[str], done: int | None = None, tells: Callable[[], str] | None = None) -> str:
    """Return the first that it prints, and all that follows."""
    with ProgressReport("Deleting jobs", tells) as told:
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
def test_it_says_how_far_it_is_in_words_as_long_as_somebody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(printed(capsys, tells=lambda: "2 of 3").splitlines()) == {"Deleting jobs: 0 s, 2 of 3"}
    assert set(printed(capsys, tells=lambda: "").splitlines()) == {"Deleting jobs: 0 s"}

    def fails() -> str:
        raise ConnectorException("no answer")

    assert set(printed(capsys, tells=fails).splitlines()) == {"Deleting jobs: 0 s"}


def test_what_is_soon_over_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressReport("Deleting jobs") as told:
        told(1000)
    assert capsys.readouterr() == ("", "")
