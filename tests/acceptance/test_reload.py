"""``adjourn worker --reload`` runs the program as it is now."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import adjourn
from adjourn import cli
from support.waiting import BOUND, until

PROGRAM = """
import os
import adjourn

app = adjourn.App(connector=adjourn.PsycopgConnector(os.environ["PLACE"]))

@app.task(name="say")
def say():
    with open("said", "a") as file:
        file.write({said!r})
"""


def write(folder: Path, text: str) -> None:
    """Write the program as an editor does: at once."""
    (folder / "new").write_text(text, "utf-8")
    (folder / "new").replace(folder / "program.py")


@pytest.fixture
def worker(database: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that starts again when the program changes."""
    write(tmp_path, PROGRAM.format(said="first "))
    command = [
        sys.executable,
        "-m",
        "adjourn",
        "--app=program.app",
        "worker",
        "--reload",
        "--fetch-job-polling-interval=0.1",
    ]
    with (
        (tmp_path / "told").open("w") as told,
        subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PLACE": database}, stderr=told) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(
    "ADJOURN_TEST_THOROUGH" not in os.environ, reason="starts a worker three times: scripts/test-all runs it"
)
def test_a_worker_runs_the_code_as_it_is_now(
    worker: subprocess.Popen[bytes], database: str, observer: psycopg.Connection, tmp_path: Path
) -> None:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))

    def says(words: str) -> None:
        with app.open():
            app.configure_task("say", allow_unknown=True).defer()
        until(lambda: (tmp_path / "said").exists() and (tmp_path / "said").read_text("utf-8") == words)

    def has(number: int) -> bool:
        return observer.execute("SELECT count(*) FROM adjourn.adjourn_workers WHERE NOT dead").fetchone() == (number,)

    until(lambda: has(1))
    says("first ")
    write(tmp_path, "this is no Python")
    until(lambda: "SyntaxError" in (tmp_path / "told").read_text("utf-8"))
    assert has(0)
    write(tmp_path, PROGRAM.format(said="second "))
    until(lambda: has(1))
    says("first second ")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(BOUND) == 0
    told = (tmp_path / "told").read_text("utf-8")
    assert told.count("starting the worker again: program.py changed") == 2, told
    assert has(0)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--one-shot"], "--reload: a worker with --one-shot ends by itself"),
        (["--max-jobs=3"], "--reload: a worker with --max-jobs ends by itself"),
        ([], "pip install 'adjourn[reload]'"),
    ],
    ids=["with --one-shot", "with --max-jobs", "without watchfiles"],
)
def test_what_cannot_work_is_refused(
    flags: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["--app=program.app", "worker", "--reload", *flags])
    assert said in capsys.readouterr().err
