"""One scenario under way: its directory, its servers, its load, and the verdict in the end."""

from __future__ import annotations

import bisect
import contextlib
import itertools
import math
import random
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from torture import checker, ledger, serverlog, tables
from torture.checker import Verdict
from torture.load import Load, Plan
from torture.postgres import NOT_OURS, Postgres, make_database

ANSWERED_AGAIN = 60.0
"""Seconds after the last disturbance within which deferrers are to be answered."""
DRAINED = 90.0
"""Seconds within which all jobs have to be done when deferring has ended; what is left then is a fault."""
SESSIONS_GONE = 10.0
SESSIONS = f"""
    select format('%s, %s, %s', application_name, state, left(query, 80)) from pg_stat_activity where {NOT_OURS}
""".encode()
LEFT = """
    select exists (select from adjourn.adjourn_jobs where args ? 'key')
        or exists (select from adjourn.adjourn_workflows where finished_at is null)
"""


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
    recoveries
        For each disturbance, how many seconds after its end the first job began, and the last of the deferrers was answered.
    """

    verdict: Verdict
    complaints: Counter[str]
    figures: dict[str, float]
    recoveries: list[tuple[float, float]]

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
    warm_up
        How long the load is left alone before and after that.
    **plan
        Attributes of `Plan` that win over the scenario's.
    """

    def __init__(self, directory: Path, seconds: float, seed: int, warm_up: float = 3.0, **plan: Any) -> None:
        self.directory = directory
        self.seconds = seconds
        self.chance = random.Random(seed)
        self.warm_up = warm_up
        self.plan = plan
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
        try:
            yield server
        finally:
            server.stop()
            # Its own place may be gone soon.
            copy = self.directory / f"{server.home.name}.log"
            with contextlib.suppress(FileNotFoundError):  # it never started
                shutil.copyfile(server.log, copy)
                self.read_logs(copy)

    # The load

    @contextlib.contextmanager
    def load(
        self,
        dsn: str,
        observed: Callable[[], str] | None = None,
        and_end: Callable[[], object] = lambda: None,
        **plan: Any,
    ) -> Iterator[Load]:
        """Run a load while the block disturbs it; then let it end, and check.

        Parameters
        ----------
        dsn
            The address that workers and deferrers use.
        observed
            Returns the address that the bench itself uses; by default the same.
        and_end
            Ends what keeps sessions of its own on the server; called when all processes have ended.
        **plan
            The other attributes of `Plan`.
        """
        look = observed or (lambda: dsn)
        load = Load(Plan(dsn, **{**plan, **self.plan}), self._notes, self.ledger, self.chance)
        try:
            self._at(look, tables.make_effects)
            load.start()
            self._wait_for_work()
            self.ledger.write("served")
            time.sleep(self.warm_up)
            yield load
            load.note_deaths()
            time.sleep(self.warm_up)
            self._wait_for_answers()
            load.stop_producers()
            self._drain(look)
            load.probe()
            self._drain(look)
            self.ledger.write("stopping")
            load.stop_workers()
            and_end()
            self.outcome = self._judge(look)
            self._at(look, tables.remove_effects)
        finally:
            load.end()

    @staticmethod
    def _at(look: Callable[[], str], act: Callable[[psycopg.Connection], None]) -> None:
        deadline = time.monotonic() + 30
        while True:
            with psycopg.connect(look(), autocommit=True, connect_timeout=10, application_name="bench") as connection:
                (is_standby,) = connection.execute("select pg_is_in_recovery()").fetchone() or (True,)
                if not is_standby or time.monotonic() > deadline:
                    return act(connection)
            time.sleep(0.2)  # what leads to the primary may not have looked yet which of two it is

    def _wait_for_work(self) -> None:
        deadline = time.monotonic() + 60
        wanted = {"begin", "acknowledged"}
        while not wanted <= {entry.event for entry in ledger.read(self._notes)}:
            if time.monotonic() > deadline:
                raise RuntimeError("within 60 s no job was deferred and run")
            time.sleep(0.2)

    def _wait_for_answers(self) -> None:
        """Wait until each deferrer has been answered since the last disturbance, so that it is known how long that took."""
        deadline = time.monotonic() + ANSWERED_AGAIN
        while time.monotonic() < deadline:
            if not any(math.isinf(seconds) for pair in recoveries(ledger.read(self._notes)) for seconds in pair):
                return
            time.sleep(0.5)

    def _drain(self, look: Callable[[], str]) -> None:
        """Wait until all jobs that were deferred are done."""
        deadline = time.monotonic() + DRAINED
        while time.monotonic() < deadline:
            with (
                contextlib.suppress(psycopg.OperationalError),
                psycopg.connect(look(), connect_timeout=2, application_name="bench") as connection,
            ):
                if connection.execute(LEFT).fetchone() == (False,):
                    return
            time.sleep(0.2)

    def _judge(self, look: Callable[[], str]) -> Outcome:
        with psycopg.connect(look(), autocommit=True, connect_timeout=10, application_name="bench") as connection:
            deadline = time.monotonic() + SESSIONS_GONE
            while (sessions := [text for (text,) in connection.execute(SESSIONS)]) and time.monotonic() < deadline:
                time.sleep(0.2)
            found = tables.read(connection, sessions)
        entries = ledger.read(self._notes)
        verdict = checker.check(entries, found)
        recovered = recoveries(entries)
        return Outcome(verdict, Counter(), figures(entries, verdict, recovered), recovered)

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


def figures(entries: list[ledger.Entry], verdict: Verdict, recovered: list[tuple[float, float]]) -> dict[str, float]:
    """Count and measure: the longest pause in work, the longest call, and how soon work goes on after a disturbance."""
    begins = [entry.monotonic for entry in entries if entry.event == "begin"]
    called = [entry.monotonic - entry["asked"] for entry in entries if entry.event in ("acknowledged", "unknown")]
    counts = verdict.counts
    return {
        "jobs": counts["jobs"],
        "acknowledged": counts["acknowledged"],
        "unknown": counts["unknown"],
        "runs": counts["runs"],
        "disturbances": sum(counts[each] for each in ("killed", "paused", "disturbed", "fault")),
        "rescues": counts["rescues"],
        "longest pause": max((later - earlier for earlier, later in itertools.pairwise(begins)), default=0.0),
        "longest defer": max(called, default=0.0),
        "run again after": max((run for run, _ in recovered), default=0.0),
        "defer again after": max((defer for _, defer in recovered), default=0.0),
    }


def recoveries(entries: list[ledger.Entry]) -> list[tuple[float, float]]:
    """Measure after each disturbance how soon the first job began, and how soon both deferrers were answered."""
    begins = [entry.monotonic for entry in entries if entry.event == "begin"]
    answers: dict[str, list[float]] = defaultdict(list)
    for entry in entries:
        if entry.event == "acknowledged" and entry.process.startswith("deferrer"):
            answers[entry.process].append(entry.monotonic)
    over = [entry.monotonic for entry in entries if entry.event == "undisturbed"]
    return [(_next(begins, end), max(_next(each, end) for each in answers.values())) for end in over]


def _next(moments: list[float], after: float) -> float:
    """Return in how many seconds the next of these moments comes; they are in order."""
    place = bisect.bisect_right(moments, after)
    return moments[place] - after if place < len(moments) else float("inf")
