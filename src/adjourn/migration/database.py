"""The database of a migration: a session, its transactions, and where Procrastinate's tables are."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from adjourn import sql
from adjourn._domain.callings import connecting_as
from adjourn.app import App
from adjourn.exceptions import ConnectorException
from adjourn.migration.report import MigrationRefused
from adjourn.sql import procrastinate
from adjourn.sql.procrastinate import Source
from adjourn.types import Row, Statement

T = TypeVar("T")

HAS_MET_ANOTHER = ("23505", "40001", "40P01", "55P03")
"""Errors of statements that have met others, or have waited too long for them: they have had no effect."""
TRIES = 30
"""How often such a statement is tried."""
PAUSE = 0.2
"""Seconds between two tries."""
OLDEST = "2.0.3"


class Database:
    """A session for one step, on the app's database.

    Parameters
    ----------
    app
        The app, for its connector and its schema.
    from_schema
        The schema of Procrastinate's tables; None finds it.
    is_trial
        Whether all is one transaction that is rolled back.

    Raises
    ------
    MigrationRefused
        If there are no such tables, several, or those of a Procrastinate that is too old.
    """

    def __init__(self, app: App, from_schema: str | None, *, is_trial: bool) -> None:
        self.schema: str = app.job_manager.schema
        self.is_trial: bool = is_trial
        with connecting_as("migration"):
            self._session = app.connector.session()
        self._own = sql.statements(self.schema)
        self._statements = procrastinate.statements(self.schema, Source(schema=from_schema or ""))
        try:
            self.source: Source = self._find(from_schema)
            self._statements = procrastinate.statements(self.schema, self.source)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the session, which also ends an open transaction."""
        self._session.close()

    def rows(self, name: str, /, **parameters: Any) -> list[Row]:
        """Execute a statement of the migration, and return its rows."""
        return self._session.execute(self._statements[name], parameters)

    def row(self, name: str, /, **parameters: Any) -> Row:
        """Execute a statement of the migration that returns one row."""
        (row,) = self.rows(name, **parameters)
        return row

    def own_row(self, name: str, /, **parameters: Any) -> Row:
        """Execute one of adjourn's own statements, which returns one row."""
        (row,) = self._session.execute(self._own[name], parameters)
        return row

    def forwarded(self, state: Row, ids: Row) -> Row:
        """Count what old producers have stored since the migration began, given the ids of both systems."""
        return self.row("list_forwarded", map_ids=state["map_ids"], their_last=ids["their_last"])

    def run(self, statement: Statement) -> None:
        """Execute a script."""
        self._session.execute(statement)

    def run_bare(self, name: str) -> None:
        """Execute a statement of the migration that cannot be in a transaction, nor have parameters."""
        self._session.execute(procrastinate.bare(name, self.schema, self.source))

    @contextlib.contextmanager
    def trial(self) -> Iterator[None]:
        """Roll back what is done within, if this is a trial."""
        if not self.is_trial:
            yield
            return
        self.run(self._own["begin"])
        try:
            yield
        finally:
            # A failed connection has rolled back by itself.
            with contextlib.suppress(ConnectorException):
                self.run(self._own["rollback"])

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done within, unless it raises. In a trial it is part of that transaction."""
        if self.is_trial:
            yield
            return
        self.run(self._own["begin"])
        try:
            yield
        except BaseException:
            with contextlib.suppress(ConnectorException):
                self.run(self._own["rollback"])
            raise
        self.run(self._own["commit"])

    def read_only(self) -> None:
        """Begin a transaction that sees one state of the database, and cannot change it."""
        self.run(self._own["begin"])
        self.run_bare("read_only")

    def again(self, work: Callable[[], T]) -> T:
        """Do something that has met another transaction again, some times at most; in a trial, only once."""
        for _ in range(0 if self.is_trial else TRIES - 1):
            try:
                return work()
            except ConnectorException as error:
                if error.sqlstate not in HAS_MET_ANOTHER:
                    raise
            time.sleep(PAUSE)
        return work()

    def state(self) -> Row | None:
        """Return what is recorded of the migration; None if it has not been started."""
        return self.row("get_state") if self.row("state_exists")["exists"] else None

    def started_state(self) -> Row:
        """Return what is recorded of the migration.

        Raises
        ------
        MigrationRefused
            If it has not been started, or not with these tables.
        """
        state = self.state()
        if state is None:
            raise MigrationRefused("The migration has not been started here. Run the step `start` first.")
        if state["their_schema"] != self.source.schema:
            raise MigrationRefused(
                f"A migration from the schema {state['their_schema']!r} is under way. Finish it before one from "
                f"{self.source.schema!r}."
            )
        return state

    def _find(self, name: str | None) -> Source:
        found = self.rows("find_source")
        if name is None:
            names = [row["name"] for row in found if row["is_found"]] or [row["name"] for row in found]
            if len(names) > 1:
                raise MigrationRefused(
                    f"Several schemas have tables of Procrastinate: {', '.join(map(repr, names))}. Choose one with "
                    "--from-schema."
                )
            name = next(iter(names), None)
        if name is None or name not in [row["name"] for row in found]:
            where = "" if name is None else f" in the schema {name!r}"
            raise MigrationRefused(
                f"This database has no tables of Procrastinate{where}. If they are in another database, jobs cannot be "
                "moved: let the old workers run what waits there, and deploy the producers with adjourn."
            )
        row = self.row("describe_source", name=name)
        source = Source(
            schema=name, columns=frozenset(row["columns"]), queueing_lock_index=row["queueing_lock_index"] or ""
        )
        if not source.has_priorities:
            raise MigrationRefused(
                f"The tables in the schema {name!r} are those of a Procrastinate before {OLDEST}. Upgrade Procrastinate and "
                "its schema to 2.14 or later first."
            )
        return source
