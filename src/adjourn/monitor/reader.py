"""A session that only reads, each query in a transaction of its own that ends in time."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from adjourn import sql
from adjourn.app import App
from adjourn.connectors.base import SyncSession
from adjourn.exceptions import ConnectorException, InvalidOption
from adjourn.sql import reading
from adjourn.types import Row

LONGEST_QUERY = 2.0
"""The most seconds for one query."""


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
    """

    def __init__(self, app: App, folder: str, name: str = "") -> None:
        if not app.connector.is_shared:
            raise InvalidOption("The app has an in-memory connector: there is no database to look at.")
        self.schema: str = app.job_manager.schema
        self._name = name
        self._queries = {**reading.queries("monitor", self.schema), **reading.queries(folder, self.schema)}
        self._rollback = sql.statements(self.schema)["rollback"]
        self.session: SyncSession = app.connector.session()

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
        limit = min(LONGEST_QUERY, seconds)
        self.session.execute(reading.begin(limit, self._name))
        try:
            rows = self._executed(name, parameters, limit)
        except BaseException:
            # If the connection has failed, it has rolled back by itself.
            with contextlib.suppress(ConnectorException):
                self.session.execute(self._rollback)
            raise
        self.session.execute(self._rollback)
        return [json.loads(row["facts"]) for row in rows]

    def _executed(self, name: str, parameters: dict[str, Any], limit: float) -> list[Row]:
        try:
            return self.session.execute(self._queries[name], parameters)
        except ConnectorException as error:
            if "statement timeout" not in str(error):
                raise
            # The limit is ours, and no setting of the role's.
            raise ConnectorException(
                f"The database has not answered within {limit:g} s: statement timeout.", sqlstate=error.sqlstate
            ) from error
