"""The programs of the demo. Each is a process with a log file; if a program fails, the demo shows the file's end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from adjourn.demo import interrupts
from adjourn.exceptions import AdjournException

LOG_LINES = 15
STOP_TIMEOUT = 30.0


class Programs:
    """Starts programs that use one database, and kills those that still run when the context ends.

    Parameters
    ----------
    dsn
        The address of the database.
    """

    def __init__(self, dsn: str) -> None:
        # The user's settings for other workers must not change these.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ADJOURN_")}
        # Python warns about some of the files that it parses.
        self._environment = {**inherited, "ADJOURN_DEMO_DSN": dsn, "PYTHONWARNINGS": "ignore"}
        self._logs = tempfile.TemporaryDirectory(prefix="adjourn-demo-")
        self._running: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with interrupts.postponed():
            for process in self._running.values():
                process.kill()
                process.wait()
            self._logs.cleanup()

    def start(self, name: str, *arguments: str, text: str = "") -> None:
        """Start ``python -m ...`` under a name.

        Parameters
        ----------
        name
            The name that the other methods take.
        *arguments
            The module, and its command-line arguments.
        text
            What the program reads from standard input.
        """
        # The text is in a file too, so that we need not wait until the program has read it.
        given = self._path(name, "in")
        given.write_text(text, "utf-8")
        # If a signal came before the process is stored, the process would go on running.
        with interrupts.postponed(), given.open() as stdin, self._path(name, "log").open("w") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603 - our own programs
                [sys.executable, "-m", *arguments],
                stdin=stdin,
                stdout=log,
                stderr=log,
                env=self._environment,
                text=True,
            )

    def output(self, name: str) -> str:
        """Return what a program has printed so far."""
        return self._path(name, "log").read_text("utf-8", "replace")

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a program."""
        self._running[name].send_signal(number)

    def kill(self, name: str) -> None:
        """Kill a program with SIGKILL, and forget it."""
        self._running[name].kill()
        self._running[name].wait()
        del self._running[name]

    def stop(self, name: str) -> None:
        """Ask a program to end, and wait for it.

        Raises
        ------
        AdjournException
            If it does not end within `STOP_TIMEOUT` seconds, or fails.
        """
        self.send(name, signal.SIGTERM)
        try:
            self._running[name].wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AdjournException(f"{name} was still running {STOP_TIMEOUT:g} s after it was told to stop.") from None
        self.check()

    def check(self) -> None:
        """Check that no program has failed.

        Raises
        ------
        AdjournException
            If one has failed; the message has the end of its log.
        """
        for name, process in self._running.items():
            if process.poll():
                log = self.output(name).splitlines()[-LOG_LINES:]
                raise AdjournException("\n".join([f"{name} failed with exit code {process.returncode}.", *log]))

    def _path(self, name: str, suffix: str) -> Path:
        return Path(self._logs.name, f"{name}.{suffix}".replace(" ", "-"))
