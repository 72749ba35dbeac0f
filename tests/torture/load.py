"""The load of a run: workers and deferrers, each a process of its own, that the scenario may kill and stop."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo

from adjourn.embedded.cluster import parent_death_signal
from support.waiting import until
from torture.ledger import Ledger

TESTS = Path(__file__).parents[1]
LEASE = 3.0
"""Seconds of silence after which a worker of the bench is taken for dead."""
ANSWERED = 5.0
"""Seconds after which deferrers and schedulers give a silent connection up."""
STOPPED = 90.0
"""Seconds within which a process has to end when it is asked to, or it is a fault. A deferrer that is asked during a silence waits for an
answer first, and then has half a minute for the last events."""
STARTED = 10.0
"""Seconds within which a process that is asked to end may not have come to handle signals yet."""
OPTIONS = {"timeout": 10, "response_timeout": ANSWERED}
"""The connectors' options, unless a scenario has its own."""


@dataclass
class Plan:
    """What a load consists of.

    Attributes
    ----------
    dsn
        The address for all processes.
    own_dsn
        The address for the connections on which deferrers have transactions of their own, if it is another one. What
        they do if nobody answers there is their business, not adjourn's.
    workers
        How many workers there are.
    concurrency
        How many jobs each runs at once.
    rate
        How many calls of ``defer`` there are in a second, in each colour.
    connector, options
        The connector's class, and its keywords.
    arguments
        More arguments for the workers.
    environments
        More variables for the first worker, the second, and so on.
    lease
        Seconds of silence after which a worker is taken for dead.
    is_in_line
        Whether all jobs are short and have one of two locks.
    """

    dsn: str
    workers: int = 3
    concurrency: int = 6
    rate: float = 30.0
    connector: str = "PsycopgConnector"
    options: Mapping[str, Any] = field(default_factory=lambda: dict(OPTIONS))
    arguments: Sequence[str] = ()
    environments: Sequence[Mapping[str, str]] = ()
    lease: float = LEASE
    is_in_line: bool = False
    own_dsn: str | None = None


class Load:
    """The processes of a run.

    Parameters
    ----------
    plan
        What to start.
    directory
        Where they write.
    ledger
        Where it is written down what is done to them.
    chance
        What is chosen by chance is chosen by this.
    """

    def __init__(self, plan: Plan, directory: Path, ledger: Ledger, chance: random.Random) -> None:
        self.plan = plan
        self.directory = directory
        self.ledger = ledger
        self.chance = chance
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._began: dict[str, float] = {}
        self.producers: dict[str, subprocess.Popen[bytes]] = {}
        self.probes: dict[str, subprocess.Popen[bytes]] = {}
        self._number = 0

    def start(self) -> None:
        """Start all processes."""
        for _ in range(self.plan.workers):
            self.start_worker()
        for colour in ("async", "sync"):
            name = f"deferrer-{colour}"
            self.producers[name] = self._start(name, ["-m", "torture.producer", colour, str(self.plan.rate)])
        self.probes["probe"] = self._start("probe", ["-m", "torture.flow.probe"])

    def start_worker(self) -> None:
        """Start another worker."""
        self._number += 1
        name = f"worker-{self._number}"
        lease = self.plan.lease
        extra = self.plan.environments[self._number - 1] if self._number <= len(self.plan.environments) else {}
        command = [
            *("-m", "adjourn", "--app=torture.app.app", "--log-level=INFO", "worker", f"--name={name}"),
            *(f"--concurrency={self.plan.concurrency}", "--fetch-job-polling-interval=1"),
            *(f"--update-heartbeat-interval={lease / 5}", f"--stalled-worker-timeout={lease}"),
            *self.plan.arguments,
        ]
        self.workers[name] = self._start(name, command, extra)

    def _start(
        self, name: str, arguments: Sequence[str], extra: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
            "TORTURE_DSN": make_conninfo(self.plan.dsn, application_name=name),
            "TORTURE_OWN_DSN": make_conninfo(self.plan.own_dsn or self.plan.dsn, application_name=name),
            "TORTURE_LEDGER": str(self.directory),
            "TORTURE_NAME": name,
            "TORTURE_CONNECTOR": self.plan.connector,
            "TORTURE_OPTIONS": json.dumps(dict(self.plan.options)),
            "TORTURE_IN_LINE": "1" if self.plan.is_in_line else "",
            **(extra or {}),
        }
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=parent_death_signal(signal.SIGKILL),
            )
        self.ledger.write("started", name=name, pid=process.pid)
        self._began[name] = time.monotonic()
        return process

    # What is done to workers

    def kill_worker(self) -> None:
        """Kill a worker at random, and start another in its place."""
        name = self._choose()
        process = self.workers.pop(name)
        process.kill()
        process.wait()
        self.ledger.write("killed", name=name, pid=process.pid)
        self.start_worker()

    def pause_worker(self, seconds: float) -> None:
        """Stop a worker at random for so many seconds, and let it go on."""
        name = self._choose()
        process = self.workers[name]
        process.send_signal(signal.SIGSTOP)
        self.ledger.write("paused", name=name, pid=process.pid)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)
        self.ledger.write("resumed", name=name, pid=process.pid)

    def _choose(self) -> str:
        """Choose a worker that has begun a job, when there is another one that has: somebody is to go on."""
        until(lambda: len(self._at_work()) > 1)
        return self.chance.choice(self._at_work())

    def _at_work(self) -> list[str]:
        files = {name: self.directory / f"{name}-{process.pid}.jsonl" for name, process in self.workers.items()}
        return [name for name, file in files.items() if file.exists() and file.stat().st_size]

    def note_deaths(self) -> None:
        """Write down which processes have ended without being asked to, and start other workers in their places."""
        for name, process in list(self.workers.items()):
            if process.poll() is not None:
                del self.workers[name]
                self.ledger.write("killed", name=name, pid=process.pid)
                self.ledger.write("strange", error=f"{name} has ended by itself, code {process.returncode}")
                self.start_worker()
        for name, process in self.producers.items():
            if process.poll() is not None:
                self.ledger.write("strange", error=f"{name} has ended by itself, code {process.returncode}")

    # The end

    def stop_producers(self) -> None:
        """Let deferrers end their present calls, and wait for them."""
        self._stop(self.producers)

    def probe(self) -> None:
        """Defer jobs that look whether all places under limits are free, and wait until that is done."""
        self._stop(self.probes)

    def stop_workers(self) -> None:
        """Stop all workers gracefully, and wait for them."""
        self._stop(self.workers)

    def _stop(self, processes: dict[str, subprocess.Popen[bytes]]) -> None:
        for process in processes.values():
            process.terminate()
        deadline = time.monotonic() + STOPPED
        for name, process in processes.items():
            try:
                code = process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                self.ledger.write("killed", name=name, pid=process.pid)
                self.ledger.write("strange", error=f"{name} did not end within {STOPPED:g} s of SIGTERM")
            else:
                self.ledger.write("ended", name=name, pid=process.pid, code=code)
                if code == -signal.SIGTERM and time.monotonic() - self._began[name] < STARTED:
                    continue  # it has not come to handle signals yet, and has claimed nothing
                if code:
                    self.ledger.write("strange", error=f"{name} has ended with code {code}")
        processes.clear()

    def end(self) -> None:
        """End everything at once, whatever state it is in."""
        for process in (*self.workers.values(), *self.producers.values(), *self.probes.values()):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
