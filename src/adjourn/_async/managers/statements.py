"""Run a statement by its name, and explain the error if the schema is missing or old."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from adjourn import exceptions, sql
from adjourn._async.connectors.contract import AsyncConnectorSource
from adjourn._domain.checks import check_connector
from adjourn.types import Parameters, Row, Statement


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
        """
        serving = self.connector.get_async_connector()
        try:
            return await serving.execute_async(self.statements[name], parameters, connection=connection)
        except exceptions.ConnectorException as error:
            if not sql.speaks_of_schema(error):
                raise
            # The caller's transaction has just failed, so its connection cannot be asked for the version.
            version = None if connection is not None else await schema_version_async(serving, self.schema)
            if version == sql.latest_version():
                raise
            raise sql.out_of_date(self.schema, version) from error


async def schema_version_async(executes: AsyncExecutes, schema: str) -> int:
    """Return the version of the schema that the database has, 0 for none."""
    statements = sql.statements(schema)
    (found,) = await executes.execute_async(statements["schema_exists"], {})
    if not found["exists"]:
        return 0
    (row,) = await executes.execute_async(statements["get_schema_version"], {})
    return int(row["version"])
