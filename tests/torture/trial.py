"""One scenario under way: its directory, its servers, its load, and the verdict in the end."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from torture import checker, ledger, serverlog, tables
from torture.checker import Verdict
from torture.load import Load, Plan
from torture.postgres import Postgres, make_database

WARM_UP = 3.0
"""Seconds of undisturbed load before and after what a scenario does."""
DRAINED = 90.0
"""Seconds within which all jobs have to be done when deferring has ended; what is left then is a fault."""
SESSIONS_GONE = 10.0
SESSIONS = """
    select format('%s, %s, %s', application_name, state, left(query, 80)) from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
"""


class NotRun(Exception):
    """The scenario cannot run here; the message says what is missing."""


@dataclass
class Outcome:
    """What came of a scenario.

    Attributes
    ----------
    verdict
        What the checker found.
    complaints
        What the servers' logs say that nothing explains.
    figures
        Counts and times, by their columns.
    """

    verdict: Verdict
    complaints: Counter[str]
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was wrong."""
        return not self.verdict.total and not self.complaints


class Trial:
    """One run of a scenario.

    Parameters
    ----------
    directory
        Everything that the run writes goes there.
    seconds
        How long the load is disturbed.
    seed
        What chance is made of.
    """

    def __init__(self, directory: Path, seconds: float, seed: int) -> None:
        self.directory = directory
        self.seconds = seconds
        self.chance = random.Random(seed)
        self.allowed: dict[str, str] = {}
        self.outcome: Outcome | None = None
        self._notes = directory / "ledger"
        self._notes.mkdir(parents=True)
        self.ledger = ledger.Ledger(self._notes, "bench")
        self._logs: list[Path] = []

    # Servers

    @contextlib.contextmanager
    def server(self, **settings: str) -> Iterator[Postgres]:
        """Run a server with the bench's database."""
        with self.own(Postgres(self.directory / "server", settings)) as server:
            server.initialize()
            server.start()
            make_database(server)
            yield server

    def read_logs(self, *logs: Path) -> None:
        """Have the logs of servers read in the end."""
        self._logs += logs

    @contextlib.contextmanager
    def own(self, server: Postgres) -> Iterator[Postgres]:
        """Stop a server in the end, and have its log read."""
        self.read_logs(server.log)
        try:
            yield server
        finally:
            server.stop()

    # The load

    @contextlib.contextmanager
    def load(self, dsn: str, observed: Callable[[], str] | None = None, **plan: Any) -> Iterator[Load]:
        """Run a load while the block disturbs it; then let it end, and check.

        Parameters
        ----------
        dsn
            The address that workers and deferrers use.
        observed
            Returns the address that the bench itself uses; by default the same.
        **plan
            The other attributes of `Plan`.
        """
        look = observed or (lambda: dsn)
        load = Load(Plan(dsn, **plan), self._notes, self.ledger, self.chance)
        try:
            load.start()
            self._wait_for_work()
            self.ledger.write("served")
            time.sleep(WARM_UP)
            yield load
            load.note_deaths()
            time.sleep(WARM_UP)
            load.stop_producers()
            self._drain(look)
            self.ledger.write("stopping")
            load.stop_workers()
            self.outcome = self._judge(look)
        finally:
            load.end()

    def _wait_for_work(self) -> None:
        deadline = time.monotonic() + 60
        wanted = {"begin", "acknowledged"}
        while not wanted <= {entry.event for entry in ledger.read(self._notes)}:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no work was done within 60 s; see {self._notes}")
            time.sleep(0.2)

    def _drain(self, look: Callable[[], str]) -> None:
        """Wait until all jobs that were deferred are done."""
        deadline = time.monotonic() + DRAINED
        while time.monotonic() < deadline:
            with (
                contextlib.suppress(psycopg.OperationalError),
                psycopg.connect(look(), connect_timeout=2) as connection,
            ):
                row = connection.execute(
                    "select exists (select from adjourn.adjourn_jobs where args ? 'key')"
                ).fetchone()
                if row == (False,):
                    return
            time.sleep(0.2)

    def _judge(self, look: Callable[[], str]) -> Outcome:
        with psycopg.connect(look(), autocommit=True, connect_timeout=10) as connection:
            deadline = time.monotonic() + SESSIONS_GONE
            while (sessions := [text for (text,) in connection.execute(SESSIONS)]) and time.monotonic() < deadline:
                time.sleep(0.2)
            found = tables.read(connection, sessions)
        entries = ledger.read(self._notes)
        verdict = checker.check(entries, found)
        return Outcome(verdict, Counter(), figures(entries, verdict))

    def finish(self) -> Outcome:
        """Read the logs of the servers, which have ended, and return what came of it all."""
        if self.outcome is None:
            raise RuntimeError("the scenario has run no load")
        self.outcome.complaints = serverlog.complaints(self._logs, self.allowed)
        return self.outcome

    # Time

    def rounds(self, shortest: float, longest: float) -> Iterator[int]:
        """Return again and again, after a pause of so many seconds by chance, until the time is up."""
        end = time.monotonic() + self.seconds
        number = 0
        while time.monotonic() < end:
            time.sleep(self.chance.uniform(shortest, longest))
            number += 1
            yield number

    @contextlib.contextmanager
    def disturbed(self, what: str) -> Iterator[None]:
        """Write down that nobody can work during the block: ticks may be missing, and the pause after it is measured."""
        self.ledger.write("disturbed", what=what)
        try:
            yield
        finally:
            self.ledger.write("undisturbed", what=what)

    def did(self, what: str) -> None:
        """Write down that something was done to the servers or the network, once."""
        self.ledger.write("fault", what=what)


def figures(entries: list[ledger.Entry], verdict: Verdict) -> dict[str, float]:
    """Count and measure: the longest pause in work, the longest call, and how soon work goes on after a disturbance."""
    begins = [entry.monotonic for entry in entries if entry.event == "begin"]
    acknowledged = [entry for entry in entries if entry.event == "acknowledged"]
    called = [entry.monotonic - entry["asked"] for entry in entries if entry.event in ("acknowledged", "unknown")]
    over = [entry.monotonic for entry in entries if entry.event == "undisturbed"]
    counts = verdict.counts
    return {
        "jobs": counts["jobs"],
        "acknowledged": counts["acknowledged"],
        "unknown": counts["unknown"],
        "runs": counts["runs"],
        "faults": sum(counts[each] for each in ("killed", "paused", "disturbed", "fault")),
        "rescues": counts["rescues"],
        "longest pause": max((b - a for a, b in itertools.pairwise(begins)), default=0.0),
        "longest defer": max(called, default=0.0),
        "run again after": max((_next(begins, moment) for moment in over), default=0.0),
        "defer again after": max((_next_of_each(acknowledged, moment) for moment in over), default=0.0),
    }


def _next(moments: list[float], after: float) -> float:
    return min((moment - after for moment in moments if moment > after), default=float("inf"))


def _next_of_each(acknowledged: list[ledger.Entry], after: float) -> float:
    """Return after how many seconds the last of the deferrers was answered again."""
    deferrers = {entry.process for entry in acknowledged if entry.process.startswith("deferrer")}
    return max(
        _next([entry.monotonic for entry in acknowledged if entry.process == deferrer], after) for deferrer in deferrers
    )
