"""Workers that are killed and stopped."""

from __future__ import annotations

from torture.load import LEASE
from torture.scenarios.registry import scenario
from torture.trial import Trial


@scenario("quiet")
def quiet(trial: Trial) -> None:
    """The load runs undisturbed."""
    with trial.server() as server, trial.load(server.dsn):
        for _ in trial.rounds(1, 1):
            pass


@scenario("killed workers")
def killed_workers(trial: Trial) -> None:
    """A worker is killed (kill -9) about every second, and another started in its place."""
    with trial.server() as server, trial.load(server.dsn) as load:
        for _ in trial.rounds(0.5, 1.5):
            load.kill_worker()


@scenario("stopped workers")
def stopped_workers(trial: Trial) -> None:
    """A worker is suspended (SIGSTOP) for longer than its lease. When it goes on, other workers have its jobs."""
    with trial.server() as server, trial.load(server.dsn) as load:
        for _ in trial.rounds(0.1, 0.5):
            load.pause_worker(trial.chance.uniform(LEASE + 0.2, LEASE + 2))


@scenario("short jobs in line")
def short_jobs_in_line(trial: Trial) -> None:
    """Short jobs of two locks wait in line while workers are killed (kill -9) or suspended for longer than their lease."""
    with trial.server() as server, trial.load(server.dsn, is_in_line=True, rate=60.0) as load:
        for _ in trial.rounds(0.5, 1.5):
            if trial.chance.random() < 0.7:
                load.kill_worker()
            else:
                load.pause_worker(trial.chance.uniform(LEASE + 0.2, LEASE + 2))
