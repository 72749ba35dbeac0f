"""pgbouncer between the load and the server."""

from __future__ import annotations

from torture.load import OPTIONS
from torture.pgbouncer import Pgbouncer
from torture.scenarios.registry import scenario
from torture.trial import Trial


@scenario("pgbouncer", seconds=25)
def pgbouncer(trial: Trial) -> None:
    """All connections go through pgbouncer in transaction mode, with `pooler=True`. Now and then it is killed and started again."""
    with (
        trial.server() as server,
        Pgbouncer(trial.directory, server) as pooler,
        trial.load(pooler.dsn, lambda: server.dsn, pooler.kill, options={**OPTIONS, "pooler": True}),
    ):
        for _ in trial.rounds(3, 5):
            with trial.disturbed("pooler killed"):
                pooler.kill()
                pooler.start()


@scenario("pgbouncer unannounced", seconds=20)
def pgbouncer_unannounced(trial: Trial) -> None:
    """All connections go through pgbouncer in transaction mode, and no option says so."""
    trial.allowed = {"prepared statement": "that is how it is found out"}
    with (
        trial.server() as server,
        Pgbouncer(trial.directory, server) as pooler,
        trial.load(pooler.dsn, lambda: server.dsn, pooler.kill),
    ):
        for _ in trial.rounds(1, 1):
            pass
