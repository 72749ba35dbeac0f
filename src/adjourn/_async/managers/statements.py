"""Run a statement by its name, and explain the error if the schema is missing or old."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Protocol

from adjourn import exceptions, sql
from adjourn._async.connectors.contract import AsyncConnectorSource
from adjourn._domain.checks import check_connector
from adjourn._domain.encodings import is_untranslatable, refused_text
from adjourn._domain.noting import Note
from adjourn._runtime import aio as runtime
from adjourn.types import Parameters, Row, Statement

_HAS_MET_ANOTHER = ("40001", "40P01")
"""A statement that is refused so has had no effect, and may be repeated."""
_PAUSES = [min(0.005 * 2**number, 0.2) for number in range(20)]
"""The most seconds before each repetition."""


class AsyncExecutes(Protocol):
    """A connector or a session: something that executes statements."""

    async def execute_async(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Execute one statement and return its rows."""


class AsyncStatementRunner:
    """Runs the statements of one schema through a connector.

    Parameters
    ----------
    connector
        Executes the statements.
    schema
        The database schema that holds adjourn's tables.

    Raises
    ------
    InvalidOption
        If ``connector`` is not a connector, or ``schema`` cannot be the name of a schema.
    """

    note: Note | None = None
    """For whom it changes what it changes, so that this is noted; None: for nobody in particular."""

    def __init__(self, connector: AsyncConnectorSource, schema: str = sql.DEFAULT_SCHEMA) -> None:
        check_connector(connector)
        self.connector = connector
        self.schema = schema
        sql.statements(schema)  # raises if this cannot be a schema's name

    @property
    def statements(self) -> Mapping[str, Statement]:
        """The statements of the schema, by name."""
        return sql.statements(self.schema)

    async def run_async(self, name: str, parameters: Parameters, connection: Any = None) -> list[Row]:
        """Run a statement by its name, and return its rows.

        On the caller's own connection it runs once. Elsewhere, on a pool of the user's, the isolation may be stricter
        than adjourn needs it, so a statement that was refused because it has met another one is repeated.

        Parameters
        ----------
        name
            The name of one of adjourn's own statements.
        parameters
            Its parameters, by name.
        connection
            The caller's own connection, whose transaction this joins.

        Raises
        ------
        SchemaOutOfDate
            If the database has no adjourn schema, or one that is older than this version of adjourn.
        InvalidOption, InvalidTaskArguments
            If a text has a character that the encoding of the database does not have.
        """
        serving = self.connector.get_async_connector()
        statement = self.statements[name]
        if self.note is not None and (note := self.note.of(name, parameters)) is not None:
            statement, parameters = sql.noted(self.schema)[name], {**parameters, "note": note}
        try:
            for pause in _PAUSES if connection is None else ():
                try:
                    return await serving.execute_async(statement, parameters)
                except exceptions.ConnectorException as error:
                    if error.sqlstate not in _HAS_MET_ANOTHER or error.ended_transaction:
                        raise
                await runtime.sleep(pause * random.random())  # noqa: S311 - no secret
            return await serving.execute_async(statement, parameters, connection=connection)
        except exceptions.ConnectorException as error:
            if is_untranslatable(error):
                raise refused_text(error, parameters) from error
            if sql.lacks_right(error):
                raise sql.missing_grant(error) from error
            if not sql.speaks_of_schema(error):
                raise
            # The caller's transaction has just failed, so its connection cannot be asked for the version.
            in_transaction = connection is not None or error.ended_transaction
            version = None if in_transaction else await schema_version_async(serving, self.schema)
            if version != sql.latest_version():
                raise sql.out_of_date(self.schema, version, self.connector.applies_schema) from error
            if await misplaced_functions_async(serving, self.schema):
                raise sql.renamed(self.schema, self.connector.applies_schema) from error
            raise


async def schema_version_async(executes: AsyncExecutes, schema: str) -> int:
    """Return the version of the schema that the database has, 0 for none."""
    statements = sql.statements(schema)
    (found,) = await executes.execute_async(statements["schema_exists"], {})
    if not found["exists"]:
        return 0
    (row,) = await executes.execute_async(statements["get_schema_version"], {})
    return int(row["version"])


async def misplaced_functions_async(executes: AsyncExecutes, schema: str) -> list[Statement]:
    """Return the statements that make anew those functions which work on another schema, since theirs was renamed."""
    rows = await executes.execute_async(sql.statements(schema)["list_misplaced_functions"], {})
    # A later adjourn may have others, which this one does not call.
    return [function for row in rows if (function := sql.function_of(row["name"], schema)) is not None]
