"""A session that only reads, each query in a transaction of its own that ends in time."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

from adjourn import sql
from adjourn._domain.callings import connecting_as
from adjourn.app import App
from adjourn.connectors.base import SyncSession
from adjourn.exceptions import ConnectorException, InvalidOption
from adjourn.sql import reading
from adjourn.types import Parameters, Row, Statement

LONGEST_QUERY = 2.0
"""The most seconds for one query."""
LOCK_TIMEOUT = "55P03"
"""What Postgres calls the end of a wait for a lock."""
ON_THE_WAY = 0.5
"""Seconds by which an answer may be later than the server ends a query. Then the server is taken for silent."""


class Reader:
    """Reads from an app's database, on a connection of its own.

    Parameters
    ----------
    app
        The app, for its connector and its schema. It need not be open.
    folder
        Where the queries are: ``"monitor"``, or ``"doctor"`` for its own and these.
    name
        What the server calls this session while it reads; empty for what the connector says.

    Raises
    ------
    InvalidOption
        If the app has no database.
    ConnectorException
        If the database cannot be reached.

    Attributes
    ----------
    session
        The connection.
    is_lost
        Whether the connection has ended, or the server said nothing for so long that it was given up.
    """

    def __init__(self, app: App, folder: str, name: str = "") -> None:
        if not app.connector.is_shared:
            raise InvalidOption("The app has an in-memory connector: there is no database to look at.")
        self.schema: str = app.job_manager.schema
        self._name = name
        self._queries = {**reading.queries("monitor", self.schema), **reading.queries(folder, self.schema)}
        statements = sql.statements(self.schema)
        self._rollback, self._commit = statements["rollback"], statements["commit"]
        with connecting_as(name.removeprefix("adjourn ") or folder):
            self.session: SyncSession = app.connector.session()
        self.is_lost: bool = False

    def close(self) -> None:
        """Close the connection."""
        self.session.close()

    def rows(self, name: str, seconds: float = LONGEST_QUERY, /, **parameters: Any) -> list[Row]:
        """Execute a query, and return its rows.

        Parameters
        ----------
        name
            The query, a file of the folder.
        seconds
            How long it may take; two seconds at most.
        **parameters
            What it asks for.

        Raises
        ------
        ConnectorException
            If the database refuses, or does not answer within so many seconds.
        """
        return [json.loads(row["facts"]) for row in self.execute(self._queries[name], parameters, seconds)]

    def execute(
        self, statement: Statement, parameters: Parameters | None = None, seconds: float = LONGEST_QUERY
    ) -> list[Row]:
        """Execute any statement that only reads, in a transaction of its own, and return its rows.

        Parameters
        ----------
        statement
            The statement.
        parameters
            Its parameters, by name.
        seconds
            How long it may take; two seconds at most.

        Raises
        ------
        ConnectorException
            If the database refuses, or does not answer within so many seconds.
        """
        return self._executed(statement, parameters, seconds, self._rollback)

    def tell(self, statement: Statement, parameters: Parameters, seconds: float = LONGEST_QUERY) -> None:
        """Execute a statement that sends a notification, as `execute` does, and commit it. It can store nothing."""
        self._executed(statement, parameters, seconds, self._commit)

    def _executed(
        self, statement: Statement, parameters: Parameters | None, seconds: float, end: Statement
    ) -> list[Row]:
        limit = min(LONGEST_QUERY, seconds)
        with self._answering(limit):
            try:
                self.session.execute(reading.begin(limit, self._name))
                with _blaming(limit):
                    rows = self.session.execute(statement, parameters)
            except BaseException:
                try:
                    self.session.execute(self._rollback)
                except ConnectorException:
                    self.is_lost = True  # no server refuses a rollback; the connection has rolled back by itself
                raise
            self.session.execute(end)
        return rows

    @contextlib.contextmanager
    def _answering(self, limit: float) -> Iterator[None]:
        """Give the connection up if the server says nothing: it cannot end a query that it does not hear of."""

        is_silent = False

        def give_up() -> None:
            nonlocal is_silent
            is_silent = self.is_lost = True
            self.session.abandon()

        timer = threading.Timer(limit + ON_THE_WAY, give_up)
        timer.daemon = True
        # A process that can have no more threads still has the connector's response_timeout.
        with contextlib.suppress(RuntimeError):
            timer.start()
        try:
            yield
        except ConnectorException as error:
            if not is_silent:
                raise
            raise ConnectorException(
                f"The database has not answered within {limit + ON_THE_WAY:g} s, so this connection was given up."
            ) from error
        finally:
            timer.cancel()


@contextlib.contextmanager
def _blaming(limit: float) -> Iterator[None]:
    """Say of a timeout that the limit is ours, and no setting of the role's."""
    try:
        yield
    except ConnectorException as error:
        if "statement timeout" in str(error):
            text = f"The database has not answered within {limit:g} s: statement timeout."
        elif error.sqlstate == LOCK_TIMEOUT:
            waited = min(limit, reading.LOCK_WAIT)
            text = f"Another session has locked what is to be read, and was waited for {waited:g} s: lock timeout."
        else:
            raise
        raise ConnectorException(text, sqlstate=error.sqlstate) from error
