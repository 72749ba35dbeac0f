"""How a migration ends: finished, or rolled back."""

from __future__ import annotations

import time

from adjourn._domain.wording import counted, verb
from adjourn.migration.database import Database
from adjourn.migration.plan import LISTED
from adjourn.migration.report import MigrationRefused
from adjourn.sql import procrastinate
from adjourn.sql.constants import MOST_LOSSES
from adjourn.types import Row, Statement


def finish(database: Database, state: Row, *, force: bool, drop: bool) -> list[str]:
    """Drop the triggers, and all that Procrastinate has made if that is wanted, in one transaction.

    Returns
    -------
    list of str
        The commands that drop what Procrastinate has made.

    Raises
    ------
    MigrationRefused
        If jobs are left, or old producers are at work.
    """
    with database.transaction():
        database.rows("wait_briefly")
        database.run_bare("lock_tables")
        left = database.row("count_live")
        lately = database.forwarded(state, database.row("list_ids"))
        if left["todo"] + left["doing"] and (drop or not force):
            raise MigrationRefused(
                f"Jobs are left with Procrastinate: {left['todo']:,} wait, {left['doing']:,} run. Move them, let the old workers run "
                "them, or cancel them" + (": --drop would delete them." if drop else "; --force leaves them.")
            )
        if lately["last_hour"] and not force:
            raise MigrationRefused(
                f"Old producers have stored {counted(lately['last_hour'], 'job')} within the last hour. Deploy them with "
                "adjourn first; --force ends the migration nevertheless."
            )
        database.run(procrastinate.stopping(database.schema, database.source))
        database.run(procrastinate.forgetting(database.schema, database.source))
        commands = [row["command"] for row in database.rows("list_their_objects")]
        for command in commands if drop else ():
            database.run(Statement("drop", command, may_take_long=True))
    return commands


def roll_back(database: Database, state: Row, *, batch: int, wait: float) -> int:
    """Drop the triggers, give the jobs that wait back to Procrastinate, and return how many these were.

    Raises
    ------
    MigrationRefused
        If workers of adjourn do not end within ``wait`` seconds, or others take the jobs.
    """
    _wait_for_workers(database, wait)
    database.again(lambda: _stop(database))
    given = 0
    while number := database.again(lambda: database.row("give_back", limit=batch))["given"]:
        given += number
        if database.started_state()["forwarding"]:
            raise MigrationRefused("The step `start` was run meanwhile. Run `rollback` again to go back.")
    left = database.row("list_our_workers")
    if left["todo"] + left["doing"]:
        raise MigrationRefused(
            f"Others use {counted(left['todo'] + left['doing'], 'job')}, so that not all were given back. Stop adjourn's "
            "workers, and run `rollback` again."
        )
    with database.transaction():
        if not state["map_ids"]:
            database.rows("raise_their_sequence")
        database.rows("give_ticks_back")
        database.run(procrastinate.forgetting(database.schema, database.source))
    return given


def _wait_for_workers(database: Database, wait: float) -> None:
    """Wait until no worker of adjourn is alive and no job of it runs."""
    until = time.monotonic() + wait
    while True:
        database.own_row("rescue", max_losses=MOST_LOSSES, grace=0, by="migrate-from-procrastinate", how="command")
        ours = database.row("list_our_workers")
        if ours["too_long"]:
            ids = ", ".join(str(row["id"]) for row in database.rows("list_too_long", limit=LISTED))
            raise MigrationRefused(
                f"{counted(ours['too_long'], 'job')} {verb(ours['too_long'], 'has', 'have')} a queue or a task of more than 128 "
                f"characters, which Procrastinate cannot store: {ids}. Run or cancel them first."
            )
        if not ours["alive"] and not ours["doing"]:
            return
        if time.monotonic() >= until:
            raise MigrationRefused(
                f"Workers of adjourn are alive, or jobs run: {counted(ours['alive'], 'worker')}, {counted(ours['doing'], 'job')}. Stop "
                "the workers first: a rollback waits until they have ended."
            )
        time.sleep(min(1.0, wait))


def _stop(database: Database) -> None:
    """Drop the triggers."""
    with database.transaction():
        database.rows("wait_briefly")
        database.run_bare("lock_tables")
        database.run(procrastinate.stopping(database.schema, database.source))
        database.rows("stop_forwarding")
