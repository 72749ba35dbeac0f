"""Making the partitions of finished jobs, and finding out for whom that has to wait."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from adjourn import sql
from adjourn._async.managers.statements import AsyncExecutes
from adjourn._domain.times import time_or_none
from adjourn._domain.upkeep import BlockingSession, named_sessions
from adjourn.exceptions import ConnectorException
from adjourn.sql.constants import WEEKS_AHEAD

logger = logging.getLogger("adjourn.schema")

ATTEMPTS = 6
"""How often the partitions are tried when a schema is applied; each attempt waits for half a second."""
CONTESTED = ("adjourn_finished_jobs", "adjourn_finished_jobs_default")
"""The tables that a new partition locks."""


async def make_partitions_async(executes: AsyncExecutes, schema: str) -> list[str]:
    """Make the partitions of the weeks ahead, in a transaction of its own, and return a line for each thing done.

    Whoever uses the table meanwhile is waited for, for some seconds at most. Without the partitions all goes on: workers
    try again, and until then finished jobs go to the default partition.

    Parameters
    ----------
    executes
        A session without a transaction.
    schema
        The database schema that holds adjourn's tables.

    Raises
    ------
    ConnectorException
        If the database fails.
    """
    statement, waits_for = sql.statements(schema)["make_partitions"], ""
    for attempt in range(ATTEMPTS):
        try:
            rows = await executes.execute_async(statement, {"weeks": WEEKS_AHEAD})
        except ConnectorException as error:
            if sql.lacks_right(error):
                return ["made no partitions for the weeks ahead: only the owner of the tables may make them"]
            if not sql.found_locked(error):
                raise
        else:
            return [f"made partition {row['name']}" for row in rows]
        waits_for = named_sessions(await blockers_async(executes, schema, CONTESTED))
        if attempt == 0:
            logger.warning("Making partitions waits for %s", waits_for, extra={"action": "partitions_wait"})
    return [f"made no partitions for the weeks ahead, because of {waits_for}; workers try again, and so may you"]


async def blockers_async(executes: AsyncExecutes, schema: str, tables: Sequence[str]) -> list[BlockingSession]:
    """Return the sessions that use one of these tables, which keeps others from locking it."""
    rows = await executes.execute_async(sql.statements(schema)["list_blockers"], {"tables": list(tables)})
    return [BlockingSession(**{**row, "since": time_or_none(row["since"])}) for row in rows]
