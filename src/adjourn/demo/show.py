"""The steps of the demo."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import Protocol

from rich.console import Console

import adjourn
from adjourn import embedded
from adjourn.demo import interrupts, library, report, tasks
from adjourn.demo.programs import Programs
from adjourn.exceptions import AdjournException

APP = "adjourn.demo.office.app"
COUNTING = tasks.count_definitions.name
VICTIM, SURVIVOR = WORKERS = ("worker 1", "worker 2")
CONCURRENCY = 4
HEARTBEAT_INTERVAL = 0.5
STALLED_WORKER_TIMEOUT = 3.0
"""In seconds: a tenth of the default, to keep the demo short."""
POLL_INTERVAL = 0.05
PROGRESS_TIMEOUT = 60.0
"""Seconds without any progress after which the demo fails."""
SETTLING_TIME = 0.1
"""Seconds within which the database completes the last statement of a worker that was paused."""


class DemoProgress(Protocol):
    """Says how far it is, on stderr."""

    def __call__(self, done: int) -> None:
        """Say how much is done."""

    def aside(self) -> contextlib.AbstractContextManager[None]:
        """Let something else be printed meanwhile."""


class StartsProgress(Protocol):
    """Makes what says how far something is, for the body of a ``with``."""

    def __call__(self, what: str, *, total: int) -> contextlib.AbstractContextManager[DemoProgress]:
        """Make it."""


def run(limit: int | None, web: str | None, progress: StartsProgress) -> int:
    """Run the demo; return 0 if every file was counted exactly once, 1 if not.

    Parameters
    ----------
    limit
        How many files to count; None means all.
    web
        Where to show a dashboard, such as ``"127.0.0.1:8180"``, until a signal ends the demo; None for nowhere.
    progress
        Makes what says how far it is.
    """
    console = Console(highlight=False)
    paths = library.source_files(limit)
    console.print("Starting a Postgres server")
    with interrupts.raised(), embedded.Server() as server:
        app = tasks.app.with_connector(adjourn.SyncPsycopgConnector(server.dsn))
        with app.open(), Programs(server.dsn) as programs:
            app.schema_manager.apply_schema()
            app.connector.execute_query(tasks.CREATE_TABLE)
            console.print(
                f"PostgreSQL {server.version} is running; deferring one job for each of {len(paths):,} files, half of "
                f"them synchronously and half asynchronously; two workers run {CONCURRENCY} jobs at once each"
            )
            return Show(app, programs, console, paths, progress, web).run()


class Show:
    """Runs the programs and the workers, and kills a worker.

    Parameters
    ----------
    app
        The app, which must be open.
    programs
        Starts and ends the processes.
    console
        Where to print.
    paths
        The files to count.
    progress
        Makes what says how far it is.
    web
        Where to show a dashboard; None for nowhere.
    """

    def __init__(
        self,
        app: adjourn.App,
        programs: Programs,
        console: Console,
        paths: list[str],
        progress: StartsProgress,
        web: str | None = None,
    ) -> None:
        self.app = app
        self.programs = programs
        self.console = console
        self.paths = paths
        self.progress = progress
        self.web = web
        self.workers: list[str] = list(WORKERS)

    def run(self) -> int:
        """Run the demo, print the results, and return the exit code."""
        if self.web is not None:
            self.start_dashboard(self.web)
        for name in self.workers:
            self.start_worker(name)
        began = time.monotonic()
        self.start_deferring()
        self.watch()
        seconds = time.monotonic() - began
        if self.web is not None:
            code = self.report(seconds)
            self.keep_shop()
            return code
        for name in self.workers:
            self.programs.stop(name)
        return self.report(seconds)

    def start_dashboard(self, address: str) -> None:
        """Run ``adjourn web``, and say where it is."""
        self.programs.start("dashboard", "adjourn", f"--app={APP}", "web", f"--bind={address}", "--title=demo")
        deadline = time.monotonic() + PROGRESS_TIMEOUT
        while not (said := self.programs.output("dashboard")).endswith("\n"):
            self.programs.check()
            if time.monotonic() > deadline:
                raise AdjournException(f"The dashboard has not begun within {PROGRESS_TIMEOUT:g} s.")
            time.sleep(POLL_INTERVAL)
        self.console.print(f"[bold]{said.strip()}[/]")

    def keep_shop(self) -> None:
        """Have a small shop make work, until a signal ends it."""
        if VICTIM not in self.workers:
            self.start_worker(VICTIM)
        self.programs.start("orders", "adjourn.demo.orders")
        self.console.print("Now orders come in at a small shop. Look at the dashboard; Ctrl-C ends it.")
        try:
            while True:
                self.programs.check()
                time.sleep(1.0)
        except KeyboardInterrupt:
            self.console.print("The shop is closed.")

    def report(self, seconds: float) -> int:
        """Print and check the results of a run that took this many seconds, and return the exit code."""
        jobs = self.app.job_manager.list_jobs(task=COUNTING)
        # Not only those that had begun.
        rescued = sum(job.claim > 1 for job in jobs)
        killed = VICTIM not in self.workers
        self.console.print(report.results(report.counts_by_package(self.app)))
        self.console.print(
            f"{len(jobs):,} jobs in {seconds:.1f} s, {len(jobs) / seconds:,.0f} jobs a second; "
            + (f"{rescued} jobs of the killed worker were rescued." if killed else "too few jobs to kill a worker.")
        )
        found = report.problems(self.app, self.paths, jobs)
        report.print_verdict(self.console, found, len(self.paths))
        return 1 if found else 0

    def start_worker(self, name: str) -> None:
        """Run ``adjourn worker``."""
        command = ["adjourn", f"--app={APP}", "--log-level=WARNING", "worker"]
        options = [
            f"--name={name}",
            f"--concurrency={CONCURRENCY}",
            f"--update-heartbeat-interval={HEARTBEAT_INTERVAL}",
            f"--stalled-worker-timeout={STALLED_WORKER_TIMEOUT}",
        ]
        self.programs.start(name, *command, *options)

    def start_deferring(self) -> None:
        """Run the two programs that defer jobs, with half of the files each."""
        programs = ("synchronous_program", "asynchronous_program")
        for name, half in zip(programs, (self.paths[::2], self.paths[1::2]), strict=True):
            self.programs.start(name, f"adjourn.demo.{name}", text="\n".join(half))

    def watch(self) -> None:
        """Show the progress until all jobs have ended, and kill a worker half-way."""
        total = len(self.paths)
        done, progress_at = 0, time.monotonic()
        with self.progress("Counting", total=total) as progress:
            while done < total:
                time.sleep(POLL_INTERVAL)
                self.programs.check()
                before, done = done, self.finished()
                progress(done)
                if done > before:
                    progress_at = time.monotonic()
                if time.monotonic() > progress_at + PROGRESS_TIMEOUT:
                    raise AdjournException(f"No job has ended for {PROGRESS_TIMEOUT:g} s; {total - done} are left.")
                if VICTIM in self.workers and total / 2 <= done < total:
                    self.kill_if_busy(VICTIM, progress)

    def finished(self) -> int:
        """Count the jobs that have succeeded or failed."""
        return sum(row["succeeded"] + row["failed"] for row in self.app.job_manager.list_queues(task=COUNTING))

    def kill_if_busy(self, name: str, progress: DemoProgress) -> None:
        """Kill a worker if it is running jobs, and say so aside from what says how far it is."""
        # Pause it first, so that the jobs that are counted are still running when it is killed.
        self.programs.send(name, signal.SIGSTOP)
        time.sleep(SETTLING_TIME)
        running = self.running_jobs(name)
        if not running:
            self.programs.send(name, signal.SIGCONT)
            return
        self.programs.kill(name)
        self.workers.remove(name)
        with progress.aside():
            self.console.print(
                f"[red]kill -9[/] of {name}, which was running {running} jobs; {SURVIVOR} will take them over "
                f"{STALLED_WORKER_TIMEOUT:g} s after the last heartbeat of {name}"
            )

    def running_jobs(self, name: str) -> int:
        """Count the jobs that a worker is running."""
        query = "select id from adjourn.adjourn_workers where name = %(name)s"
        ids = [row["id"] for row in self.app.connector.execute_query_all(query, name=name)]
        return sum(len(self.app.job_manager.list_jobs(worker_id=each, status="doing")) for each in ids)
