"""The steps of the migration from Procrastinate, for any app and any output."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Generator, Iterator
from typing import Any

from adjourn._domain.wording import counted
from adjourn.app import App
from adjourn.exceptions import InvalidOption
from adjourn.migration import ending
from adjourn.migration.database import Database
from adjourn.migration.plan import LISTED, STALLED_AFTER, first_id, make_plan, obstacles
from adjourn.migration.report import MigrationRefused, Report
from adjourn.sql import procrastinate
from adjourn.types import Row, Statement

BATCH = 1000
ID_GAP = 10_000_000
MOST_JOBS = 1_000_000
"""The largest batch."""
LARGEST_GAP = 2**62
"""Half of the ids there are."""
FOLLOW_EVERY = 1.0
"""Seconds between two passes that follow what old workers put back."""
PATIENCE = 0.2
"""Seconds for which a lock is kept from other jobs, to see the one that runs end."""
BUSY_LOCKS = 100
"""How many locks are looked at in one turn."""
ROLLBACK_WAIT = 60.0
"""Seconds that a rollback waits for running jobs."""
NEARLY_FULL = 0.8
"""The share of the ids between theirs and ours after which `status` warns."""


class Migration:
    """The migration of one app's database. Each step may be run again, and goes on where it was interrupted.

    Parameters
    ----------
    app
        The app, open, on the database that has Procrastinate's tables. Its connector opens a session for each step.
    from_schema
        The schema of Procrastinate's tables; None (the default) for the one that the connection's ``search_path`` finds, or
        the only one there is.
    dry_run
        Whether each step only reports what it would do: it is rolled back. False by default.

    Raises
    ------
    SchemaOutOfDate
        If adjourn's schema is missing or old. Each step may raise this, and `MigrationRefused` for what stands in its way.
    """

    def __init__(self, app: App, *, from_schema: str | None = None, dry_run: bool = False) -> None:
        self.app = app
        self.from_schema = from_schema
        self.dry_run = dry_run

    def plan(self, *, id_gap: int = ID_GAP, map_ids: bool = False) -> Report:
        """Look at what there is, and at what stands in the way. Changes nothing.

        Parameters
        ----------
        id_gap, map_ids
            As in `start`.
        """
        with self._database() as database:
            database.read_only()
            return make_plan(self.app, database, id_gap, map_ids=map_ids)

    def start(self, *, forwarding: bool = True, id_gap: int = ID_GAP, map_ids: bool = False) -> Report:
        """Join both to one queue: triggers keep ticks, queueing locks and locks together, and forward new jobs.

        Parameters
        ----------
        forwarding
            Whether new jobs of Procrastinate move to adjourn as they are committed. False prepares all but that; then start
            adjourn's workers, and start once more. True by default.
        id_gap
            How many ids Procrastinate may still use. 10 million by default.
        map_ids
            Whether jobs that move get new ids, which the table ``adjourn_migrated_ids`` records. Needed only if adjourn has
            jobs with ids that are theirs. False by default.
        """
        _check_number("id_gap", id_gap, LARGEST_GAP)
        with self._database() as database:
            reasons = obstacles(database, id_gap, map_ids=map_ids)
            if reasons:
                raise MigrationRefused(reasons)
            if not self.dry_run:
                for row in database.rows("drop_broken_index"):
                    database.run(Statement("drop_index", row["command"]))
                database.run_bare("make_index")
            with database.trial():
                return database.again(lambda: self._start(database, forwarding, id_gap, map_ids))

    def _start(self, database: Database, forwarding: bool, id_gap: int, map_ids: bool) -> Report:
        with database.transaction():
            database.rows("wait_briefly")
            database.run_bare("lock_tables")
            if not database.row("state_exists")["exists"]:
                self._refuse_shared_locks(database)
            before = database.state()
            database.run(procrastinate.beginning(database.schema, database.source))
            if before is None:
                self._settle_ids(database, id_gap, map_ids, forwarding)
            else:
                database.started_state()
                if map_ids and not before["map_ids"]:
                    raise MigrationRefused("The migration was started without --map-ids, and goes on without.")
                database.rows(
                    "keep_state",
                    name=database.source.schema,
                    forwarding=forwarding,
                    map_ids=before["map_ids"],
                    first_id=before["first_id"],
                    their_last_id=before["their_last_id"],
                )
            schedules = database.row("seed_schedules")["schedules"]
            state = database.started_state()
            if state["forwarding"]:
                database.run(procrastinate.forwarding(database.schema, database.source))
            lines = [
                "Started: both are one queue for ticks, locks and queueing locks",
                f"Took over the last ticks of {counted(schedules, 'schedule')}",
                "New jobs of Procrastinate move to adjourn as they are committed"
                if state["forwarding"]
                else "New jobs stay with Procrastinate until `start` is run again, without --no-forwarding",
            ]
            if state["first_id"] is not None:
                lines.append(f"New jobs of adjourn have ids from {state['first_id']} on")
            facts = {"forwarding": state["forwarding"], "first_id": state["first_id"], "schedules": schedules}
            return self._report("start", facts, lines)

    def _settle_ids(self, database: Database, id_gap: int, map_ids: bool, forwarding: bool) -> None:
        ids = database.row("list_ids")
        first = None if map_ids else first_id(ids, id_gap)
        database.rows(
            "keep_state",
            name=database.source.schema,
            forwarding=forwarding,
            map_ids=map_ids,
            first_id=first,
            their_last_id=max(ids["their_highest"], ids["their_last"]),
        )
        if first is not None:
            database.rows("set_sequence", first_id=first)

    def _refuse_shared_locks(self, database: Database) -> None:
        shared = [row["lock"] for row in database.rows("list_shared_locks", limit=LISTED)]
        if shared:
            raise MigrationRefused(
                f"Jobs of these locks are in both already: {', '.join(map(repr, shared))}. Wait until adjourn's have ended, "
                "or cancel them."
            )

    def move(
        self,
        *,
        batch: int = BATCH,
        follow: bool = False,
        queue: str | None = None,
        take_over_stalled: bool = False,
        stalled_after: float | None = None,
    ) -> Generator[Report, None, None]:
        """Move the jobs that wait, and those that old workers put back; yield a report after each pass that moved some.

        Parameters
        ----------
        batch
            How many jobs one transaction moves; jobs of a lock always move together. 1000 by default.
        follow
            Whether to go on until the iterator is closed. False by default: until no more can be moved.
        queue
            Only jobs of this queue; None (the default) for all.
        take_over_stalled
            Whether to take over running jobs whose worker is gone: that attempt counts. False by default.
        stalled_after
            Seconds of silence after which a worker is gone. 30 by default. Releases before 3.1 have no heartbeats: there a job
            is stalled so many seconds after it was started, and this must be passed.
        """
        _check_number("batch", batch, MOST_JOBS)
        with self._database() as database:
            self._require_forwarding(database)
            if take_over_stalled and stalled_after is None:
                if not database.source.has_heartbeats:
                    raise MigrationRefused(
                        "Workers of this Procrastinate send no heartbeats. Say with --stalled-after how many seconds a job may "
                        "run before its worker counts as gone."
                    )
                stalled_after = STALLED_AFTER
            with database.trial():
                after = stalled_after if take_over_stalled else None
                yield from self._move(database, batch, follow, queue, after)

    def _move(
        self, database: Database, batch: int, follow: bool, queue: str | None, stalled_after: float | None
    ) -> Iterator[Report]:
        totals = {"moved": 0, "taken_over": 0, "released": 0}
        while True:
            self._require_forwarding(database)
            moved = 0
            for row in self._batches(database, batch, queue, stalled_after):
                moved += row["moved"]
                totals["taken_over"] += row["taken_over"]
            if not self.dry_run:
                moved += self._move_busy_locks(database, queue)
            let_go = database.again(lambda: database.row("release"))
            totals["moved"] += moved
            totals["released"] += let_go["released"]
            if moved == 0 and not follow:
                break
            if follow:
                if moved:
                    yield self._moved(database, {**totals, "held": let_go["held"]})
                time.sleep(FOLLOW_EVERY)
        yield self._moved(database, {**totals, "held": let_go["held"]})

    def _require_forwarding(self, database: Database) -> None:
        if not database.started_state()["forwarding"]:
            raise MigrationRefused("New jobs are not forwarded. Run `start` without --no-forwarding first.")

    def _batches(self, database: Database, batch: int, queue: str | None, stalled_after: float | None) -> Iterator[Row]:
        last: int | None = 0
        while last is not None:
            after = last
            row = database.again(
                lambda after=after: database.row(  # type: ignore[misc]
                    "move", after=after, limit=batch, queue=queue, stalled_after=stalled_after
                )
            )
            yield row
            last = row["last_id"]

    def _move_busy_locks(self, database: Database, queue: str | None) -> int:
        moved = 0
        busy = database.rows("list_busy_locks", after="", limit=BUSY_LOCKS)
        while busy:
            for row in busy:
                moved += database.again(
                    lambda lock=row["lock"]: database.row("move_lock", lock=lock, queue=queue, patience=PATIENCE)  # type: ignore[misc]
                )["moved"]
            busy = database.rows("list_busy_locks", after=busy[-1]["lock"], limit=BUSY_LOCKS)
        return moved

    def _moved(self, database: Database, totals: dict[str, int]) -> Report:
        left = database.row("count_live")
        lines = [
            f"Moved {counted(totals['moved'], 'job')}, {left['todo']:,} left to move, {left['doing']:,} running there"
        ]
        if totals["taken_over"]:
            lines.append(f"Took over {counted(totals['taken_over'], 'job')} whose worker was gone")
        if left["refused"]:
            lines.append(f"{counted(left['refused'], 'job')} cannot be moved; `plan` says why")
        if totals["held"]:
            lines.append(f"Jobs of adjourn that wait for their locks: {totals['held']:,}")
        return self._report("move", {**totals, "left": dict(left)}, lines)

    def history(self, *, since: datetime.datetime | None = None, batch: int = BATCH) -> Report:
        """Copy the jobs that have ended, with a bookmark, after making the tables of their weeks.

        Parameters
        ----------
        since
            Only those that have ended at this time or later, aware; None (the default) for all.
        batch
            How many jobs one transaction looks at. 1000 by default.
        """
        _check_number("batch", batch, MOST_JOBS)
        with self._database() as database:
            database.started_state()
            with database.trial():
                oldest = database.row("oldest_end", since=since)["at"]
                weeks = database.again(lambda: database.rows("make_old_weeks", since=oldest))
                copied, done = 0, False
                while not done:
                    row = database.again(lambda: database.row("history", limit=batch, since=since))
                    copied, done = copied + row["copied"], row["done"]
                lines = [f"Copied {counted(copied, 'finished job')}, made the tables of {counted(len(weeks), 'week')}"]
                return self._report("history", {"copied": copied, "weeks": len(weeks)}, lines)

    def status(self) -> Report:
        """Look at what is left where, and at what went wrong. Changes nothing."""
        with self._database() as database:
            database.read_only()
            return self._status(database, database.started_state())

    def _status(self, database: Database, state: Row) -> Report:
        ids, left = database.row("list_ids"), database.row("count_live")
        lately = database.forwarded(state, ids)
        workers = database.row("list_workers")["alive"] if database.source.has_heartbeats else None
        problems = database.rows("list_problems")
        facts: dict[str, Any] = {
            "forwarding": state["forwarding"],
            "left": dict(left),
            "forwarded_last_minute": lately["last_minute"],
            "forwarded_last_hour": lately["last_hour"],
            "held": lately["held"],
            "old_workers": workers,
            "problems": problems,
            "history_done": state["history_bookmark"] is not None and state["history_done"],
            "ids_left": None,
        }
        lines = [
            f"With Procrastinate: {left['todo']:,} wait, {left['doing']:,} run, {left['refused']:,} cannot be moved",
            f"Stored by old producers and moved: {lately['last_minute']:,} in the last minute, {lately['last_hour']:,} in the last hour"
            + ("" if state["forwarding"] else "; not started yet"),
        ]
        if lately["held"]:
            lines.append(f"Jobs of adjourn that wait for their locks until a `move`: {lately['held']:,}")
        if workers is not None:
            lines.append(f"{counted(workers, 'old worker')} alive")
        if state["first_id"] is not None:
            used, gap = ids["their_last"] - state["their_last_id"], state["first_id"] - state["their_last_id"]
            facts["ids_left"] = gap - used
            lines.append(f"Procrastinate can store {gap - used:,} more jobs before its ids meet ours")
            if used > NEARLY_FULL * gap:
                lines.append("Warning: its ids have nearly met ours; end its last producers now")
        lines.extend(f"Warning: {row['what']} ({row['times']} times): {row['message']}" for row in problems)
        lines.append("History: copied" if facts["history_done"] else "History: not copied")
        return Report(step="status", facts=facts, lines=lines)

    def finish(self, *, force: bool = False, drop: bool = False) -> Report:
        """End the migration: drop its triggers and, if wanted, everything that Procrastinate has made.

        Parameters
        ----------
        force
            Whether to end it although jobs wait or run there, or old producers have stored jobs within the last hour. False by
            default.
        drop
            Whether to drop Procrastinate's tables, functions and types. False by default: the commands are returned.
        """
        with self._database() as database:
            state = database.started_state()
            with database.trial():
                commands = database.again(lambda: ending.finish(database, state, force=force, drop=drop))
        lines = ["Finished: the triggers are gone"]
        if drop:
            lines.append(f"Dropped {counted(len(commands), 'object')} of Procrastinate")
        else:
            lines.extend(["These commands drop what Procrastinate has made:", *(f"{each};" for each in commands)])
        return self._report("finish", {"dropped": drop, "commands": commands}, lines)

    def rollback(self, *, batch: int = BATCH, wait: float = ROLLBACK_WAIT) -> Report:
        """Go back before `finish`: drop the triggers, and give the jobs that wait back to Procrastinate.

        Parameters
        ----------
        batch
            How many jobs one transaction gives back. 1000 by default.
        wait
            Seconds to wait for running jobs to end. 60 by default.
        """
        _check_number("batch", batch, MOST_JOBS)
        with self._database() as database:
            state = database.started_state()
            with database.trial():
                given = ending.roll_back(database, state, batch=batch, wait=wait)
                return self._report("rollback", {"given_back": given}, [f"Gave {counted(given, 'job')} back"])

    @contextlib.contextmanager
    def _database(self) -> Iterator[Database]:
        self.app.schema_manager.check_version()
        database = Database(self.app, self.from_schema, is_trial=self.dry_run)
        try:
            yield database
        finally:
            database.close()

    def _report(self, step: str, facts: dict[str, Any], lines: list[str]) -> Report:
        if self.dry_run:
            lines = [*lines, "This was a dry run: nothing was changed"]
        return Report(step=step, facts={**facts, "dry_run": self.dry_run}, lines=lines)


def _check_number(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise InvalidOption(f"{name}={value!r}: pass a whole number from one to {most:,}.")
