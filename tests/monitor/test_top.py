"""The command ``adjourn top``: in a terminal, and where there is none."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import adjourn
from adjourn import cli
from adjourn.exceptions import InvalidOption
from adjourn.monitor import Monitor
from adjourn.testing import InMemoryConnector
from support.waiting import until

PROGRAM = "import os, adjourn\napp = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=os.environ['TOP_DSN']))\n"


@pytest.fixture
def environment(database: str, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "topped.py").write_text(PROGRAM, encoding="utf-8")
    return {
        **os.environ,
        "TOP_DSN": database,
        "PYTHONPATH": str(tmp_path),
        "TERM": "xterm",
        "COLUMNS": "80",
        "LINES": "24",
    }


class Terminal:
    """A process in a terminal of its own."""

    def __init__(self, words: list[str], environment: dict[str, str], size: tuple[int, int] | None = None) -> None:
        self.master, slave = pty.openpty()
        if size is not None:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        self.printed = b""
        os.set_blocking(self.master, False)

    def read(self) -> bytes:
        try:
            self.printed += os.read(self.master, 100_000)
        except BlockingIOError:
            pass
        return self.printed

    def shows(self, text: bytes) -> None:
        until(lambda: text in self.read())

    def ends(self) -> int:
        """Wait for the end of the process, and return its code. A terminal that nobody reads would keep it."""

        def has_ended() -> bool:
            self.read()
            return self.process.poll() is not None

        until(has_ended)
        return self.process.wait()

    def press(self, key: str) -> None:
        os.write(self.master, key.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    terminals: list[Terminal] = []

    def start(*options: str) -> Terminal:
        terminals.append(Terminal([sys.executable, "-m", "adjourn", "--app=topped.app", "top", *options], environment))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


def test_a_terminal_is_as_it_was_however_it_ends(start: Callable[..., Terminal]) -> None:
    ways: dict[str, tuple[Callable[[Terminal], object], int]] = {
        "q": (lambda terminal: terminal.press("q"), 0),
        "an interrupt": (lambda terminal: terminal.process.send_signal(signal.SIGINT), 130),
        "a termination": (lambda terminal: terminal.process.send_signal(signal.SIGTERM), 143),
    }
    terminals = {name: start("--interval=0.2") for name in ways}
    for name, (end, code) in ways.items():
        terminal = terminals[name]
        terminal.shows(b"1 queues")
        assert not termios.tcgetattr(terminal.slave)[3] & termios.ICANON
        end(terminal)
        assert terminal.ends() == code, name
        assert termios.tcgetattr(terminal.slave) == terminal.before, name
        terminal.shows(b"\x1b[?1049l")  # back from the other screen


def test_a_terminal_is_as_it_was_after_an_error(environment: dict[str, str]) -> None:
    broken = (
        "from adjourn.cli import frames, main\ndef frame(*_, **__): raise LookupError('drawn')\nframes.frame = frame\n"
    )
    words = [sys.executable, "-c", broken + "main(['--app=topped.app', 'top'])"]
    terminal = Terminal(words, environment)
    try:
        assert terminal.ends() != 0
        terminal.shows(b"LookupError")
        assert termios.tcgetattr(terminal.slave) == terminal.before
        printed = terminal.read()
        assert b"\x1b[?1049h" in printed, "it had another screen"
        assert printed.rindex(b"\x1b[?1049l") > printed.rindex(b"\x1b[?1049h")
    finally:
        terminal.close()


@pytest.mark.parametrize("interval", ["0", "-1", "soon", "nan", "1e9"])
def test_an_interval_that_is_none_is_refused(interval: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--app=nowhere.app", "top", f"--interval={interval}"])
    assert ended.value.code == 2
    assert "--interval" in capsys.readouterr().err


def test_keys_choose_what_is_shown(start: Callable[..., Terminal]) -> None:
    terminal = start("--interval=0.2")
    terminal.shows(b"1 queues")
    terminal.press("4")
    terminal.shows(b"heartbeat")
    terminal.press("?")
    terminal.shows(b"these keys")
    terminal.press("q")
    assert terminal.ends() == 0


@pytest.mark.parametrize("kind", ["dumb", ""])
def test_a_dumb_terminal_gets_one_page_as_well(environment: dict[str, str], kind: str) -> None:
    terminal = Terminal([sys.executable, "-m", "adjourn", "--app=topped.app", "top"], {**environment, "TERM": kind})
    try:
        assert terminal.ends() == 0
        terminal.shows(b"queues")
        assert b"\x1b" not in terminal.read()
    finally:
        terminal.close()


def test_a_terminal_without_colours_gets_none_and_one_that_grows_is_filled(environment: dict[str, str]) -> None:
    sized = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
    words = [sys.executable, "-m", "adjourn", "--app=topped.app", "top", "--interval=0.2"]
    terminal = Terminal(words, {**sized, "NO_COLOR": "1"}, (24, 80))
    try:
        terminal.shows(b"1 queues")
        # Bold and reverse are no colours.
        assert set(re.findall(rb"\x1b\[([\d;]+)m", terminal.read())) <= {b"0", b"1", b"2", b"7"}
        terminal.printed = b""
        fcntl.ioctl(terminal.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        terminal.shows(b" " * 120)
        terminal.press("q")
        assert terminal.ends() == 0
    finally:
        terminal.close()


def test_where_there_is_no_terminal_one_page_is_printed(environment: dict[str, str]) -> None:
    words = [sys.executable, "-m", "adjourn", "--app=topped.app", "top"]
    process = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert "queues" in process.stdout
    assert "\x1b" not in process.stdout


def test_programs_get_an_object_a_line_until_they_close_the_pipe(environment: dict[str, str]) -> None:
    words = [sys.executable, "-m", "adjourn", "--app=topped.app", "top", "--json", "--interval=0.2"]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        looks = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert looks[0]["rates"] is None
        assert looks[1]["rates"]["ended"] >= 0
        process.stdout.close()
        assert process.wait(30) == 1
        assert process.stderr.read() == ""


def test_a_monitor_sees_what_waits_and_what_runs(database: str) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=database))

    @app.task(name="work", queue="mail")
    def work() -> None:
        """Do nothing."""

    monitor = Monitor(app)
    try:
        with app.open():
            for _ in range(3):
                work.defer()
            work.configure(schedule_in={"hours": 1}).defer()
            work.configure(lock="l").defer()
            app.run_worker(wait=False)
            for _ in range(2):
                work.defer()
            app.job_manager.workers.register_worker("idle", None, 60)
            look = monitor.look()
            (queue,) = look.queues
            assert (queue.name, queue.ready, queue.running, queue.workers) == ("mail", 2, 0, 1)
            assert [(wait.kind, wait.jobs) for wait in look.waits] == [("scheduled", 1)]
            assert [(task.name, task.ended, task.failed) for task in look.tasks] == [("work", 4, 0)]
            assert [worker.name for worker in look.workers] == ["idle"]
            assert (queue.is_paused, queue.latency > 0, look.latency > 0) == (False, True, True)
            app.job_manager.pause_queue("mail")
            look = monitor.look()
            (queue,) = look.queues
            assert (queue.is_paused, queue.latency, look.latency) == (True, 0, 0), "no job of it could run"
            time.sleep(0.01)
            rates = monitor.look().rates
            assert rates is not None
            assert rates.ended >= 0
    finally:
        monitor.close()


def test_a_connection_that_was_lost_is_made_again(database: str) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=database))
    monitor = Monitor(app)
    try:
        monitor.look()
        assert monitor._reader is not None
        monitor._reader.session.abandon()
        with pytest.raises(adjourn.exceptions.ConnectorException):
            monitor.look()
        assert monitor.look().workers == []
    finally:
        monitor.close()


def test_an_app_without_a_database_is_refused() -> None:
    with pytest.raises(InvalidOption, match="in-memory"):
        Monitor(adjourn.App(connector=InMemoryConnector())).look()
