"""Queries of the user's own, through the app's connector."""

from __future__ import annotations

from typing import Any

from adjourn import exceptions
from adjourn._async.connectors.contract import AsyncConnector
from adjourn.types import Row, Statement


class AsyncQueries(AsyncConnector):
    """Executes SQL text on the connection that adjourn uses."""

    async def execute_query_async(self, query: str, /, **arguments: Any) -> None:
        """Execute a query.

        Parameters
        ----------
        query
            SQL text with ``%(name)s`` where a value goes. Percent signs of its own are doubled, but only if there are
            arguments.
        **arguments
            The values, by name.

        Raises
        ------
        AppNotOpen
            If the app is not open.
        ConnectorException
            For whatever the database had to say.
        """
        await self.execute_query_all_async(query, **arguments)

    async def execute_query_one_async(self, query: str, /, **arguments: Any) -> Row:
        """Execute a query and return its first row. See `execute_query_async`.

        Raises
        ------
        NoResult
            If there is no row.
        """
        rows = await self.execute_query_all_async(query, **arguments)
        if not rows:
            raise exceptions.NoResult()
        return rows[0]

    async def execute_query_all_async(self, query: str, /, **arguments: Any) -> list[Row]:
        """Execute a query and return its rows, an empty list where it returns none. See `execute_query_async`."""
        return await self.execute_async(Statement("query", query), arguments or None)
