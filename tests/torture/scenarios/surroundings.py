"""What is strange all the time: settings, clocks, and somebody's old transaction."""

from __future__ import annotations

from pathlib import Path

import psycopg

from torture import programs
from torture.load import LEASE
from torture.postgres import DATABASE
from torture.scenarios.registry import scenario
from torture.trial import Trial

SETTINGS = {
    "datestyle": "'SQL, DMY'",
    "intervalstyle": "'sql_standard'",
    "timezone": "'Asia/Kathmandu'",
    "standard_conforming_strings": "off",
    "default_transaction_isolation": "'serializable'",
    "bytea_output": "'escape'",
    "extra_float_digits": "-15",
    "search_path": "'nowhere'",
    "jit": "on",
    "jit_above_cost": "0",
    "client_encoding": "'LATIN1'",
}


@scenario("strange settings")
def strange_settings(trial: Trial) -> None:
    """The database has unusual settings of dates, encoding, isolation, strings and search path, and workers are killed."""
    with trial.server() as server:
        with server.connect("postgres") as connection:
            for name, value in SETTINGS.items():
                connection.execute(f"alter database {DATABASE} set {name} = {value}".encode())
        with trial.load(server.dsn) as load:
            for _ in trial.rounds(2, 3):
                load.kill_worker()


@scenario("wrong clocks", seconds=25)
def wrong_clocks(trial: Trial) -> None:
    """The clock of one worker is ten minutes ahead and that of another ten minutes behind. Now and then a worker is suspended."""
    programs.need("faketime", "faketime")
    library = str(next(Path("/usr/lib").glob("**/libfaketime.so.1")))
    clocks = [
        {"LD_PRELOAD": library, "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"} for offset in ("+10m", "-10m")
    ]
    with trial.server() as server, trial.load(server.dsn, environments=clocks) as load:
        for _ in trial.rounds(1, 3):
            load.pause_worker(LEASE + 1)


@scenario("old transaction", seconds=25)
def old_transaction(trial: Trial) -> None:
    """A transaction stays open all the time, so that vacuum can remove no dead row."""
    with trial.server(autovacuum_naptime="1") as server, psycopg.connect(server.dsn, application_name="bench") as old:
        old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        old.execute("select count(*) from adjourn.adjourn_jobs")
        with trial.load(server.dsn, rate=60) as load:
            for _ in trial.rounds(3, 4):
                load.kill_worker()
        old.rollback()
