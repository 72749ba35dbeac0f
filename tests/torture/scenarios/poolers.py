"""pgbouncer between the load and the server."""

from __future__ import annotations

import inspect

import adjourn
from torture.pgbouncer import Pgbouncer
from torture.scenarios.registry import scenario
from torture.trial import NotRun, Trial


@scenario("pgbouncer", seconds=25)
def pgbouncer(trial: Trial) -> None:
    """All go through pgbouncer in transaction mode, with `pooler=True`; it is killed and started now and then."""
    if "pooler" not in inspect.signature(adjourn.PsycopgConnector).parameters:
        raise NotRun("this version has no option for a pooler")
    with (
        trial.server() as server,
        Pgbouncer(trial.directory, server) as pooler,
        trial.load(pooler.dsn, lambda: server.dsn, options={"timeout": 10, "pooler": True}),
    ):
        for _ in trial.rounds(3, 5):
            with trial.disturbed("pooler killed"):
                pooler.kill()
                pooler.start()


@scenario("pgbouncer unannounced", seconds=20)
def pgbouncer_unannounced(trial: Trial) -> None:
    """All go through pgbouncer in transaction mode, and nobody has told them."""
    trial.allowed = {"prepared statement": "that is how it is found out"}
    with (
        trial.server() as server,
        Pgbouncer(trial.directory, server) as pooler,
        trial.load(pooler.dsn, lambda: server.dsn),
    ):
        for _ in trial.rounds(1, 1):
            pass
