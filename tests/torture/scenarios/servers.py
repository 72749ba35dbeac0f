"""A server that crashes, freezes, is full, or ends sessions."""

from __future__ import annotations

import time

from torture.postgres import NOT_OURS
from torture.scenarios.registry import scenario
from torture.trial import Trial


@scenario("crashed server", seconds=30)
def crashed_server(trial: Trial) -> None:
    """The server crashes (an immediate shutdown), and starts again half a second later."""
    with trial.server() as server, trial.load(server.dsn):
        for _ in trial.rounds(2, 4):
            with trial.disturbed("crash"):
                server.crash()
                time.sleep(0.5)
                server.start()


@scenario("killed backends")
def killed_backends(trial: Trial) -> None:
    """Sessions of workers and deferrers are ended by the dozen (pg_terminate_backend)."""
    trial.allowed = {"is not a PostgreSQL backend process": "a session has ended just before the bench ends it"}
    ended = f"select pg_terminate_backend(pid) from pg_stat_activity where {NOT_OURS} and random() < 0.7"
    with trial.server() as server, trial.load(server.dsn):
        for _ in trial.rounds(0.3, 1):
            with server.connect() as connection:
                connection.execute(ended.encode())
            trial.did("sessions ended")


@scenario("paused server", seconds=30)
def paused_server(trial: Trial) -> None:
    """All processes of the server are suspended (SIGSTOP) for five seconds: TCP acknowledges what arrives, and nothing answers."""
    with trial.server() as server, trial.load(server.dsn):
        for _ in trial.rounds(3, 4):
            with trial.disturbed("pause"):
                server.pause()
                time.sleep(5)
                server.resume()


@scenario("outage of a minute", seconds=65)
def outage(trial: Trial) -> None:
    """The server is away for sixty seconds."""
    with trial.server() as server, trial.load(server.dsn):
        with trial.disturbed("outage"):
            server.stop()
            time.sleep(60)
            server.start()
        time.sleep(5)
