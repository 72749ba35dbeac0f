"""Online steps: an index of finished jobs is built partition by partition, outside of transactions, while workers go on.

A version of the schema makes the index for the table alone (``create index ... on only``). That is all the record there is: the
catalog says which partitions lack it, so whoever applies the schema next goes on where the last one stopped, and partitions that
are made meanwhile have it from the start.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Container, Sequence

from adjourn import sql
from adjourn._async.connectors.contract import AsyncSession
from adjourn._async.managers.partitions import blockers_async
from adjourn._async.managers.statements import AsyncExecutes
from adjourn._domain.indexes import PartitionIndex
from adjourn._domain.upkeep import named_sessions
from adjourn._runtime import aio as runtime
from adjourn.exceptions import ConnectorException
from adjourn.sql import online

logger = logging.getLogger("adjourn.schema")

ATTEMPTS = 60
"""How often one partition is tried."""
PAUSE = 1.0
"""Seconds before the next attempt."""
WARNED = 3
"""At which attempt a message says who is in the way."""
_HAS_MET_OTHERS = frozenset({"55P03", "40P01", "42P01", "42704", "42P07", "55000"})
"""It was locked, or has been dropped, detached or made meanwhile: look again."""


async def list_parts_async(executes: AsyncExecutes, schema: str) -> list[PartitionIndex]:
    """Return how far each index is that is not on all partitions yet, partition by partition."""
    rows = await executes.execute_async(sql.statements(schema)["list_unbuilt_indexes"], {})
    return [PartitionIndex(**row) for row in rows]


async def build_indexes_async(session: AsyncSession, schema: str) -> list[str]:
    """Build the indexes that partitions lack, one after the other, and return a line for each thing done.

    A build waits for the transactions that are open, and holds nobody up meanwhile. Attaching it waits briefly, and is tried again.

    Parameters
    ----------
    session
        A session without a transaction, which is closed afterwards: that releases its lock.
    schema
        The database schema that holds adjourn's tables.

    Raises
    ------
    ConnectorException
        If the database fails. What is built stays, and the next call goes on from there.
    """
    said: list[str] = []
    left: set[str] = set()
    tried: Counter[tuple[str, str]] = Counter()
    built: Counter[str] = Counter()
    is_alone = False
    while (part := _next(await list_parts_async(session, schema), left)) is not None:
        tried[part.name, part.partition] += 1
        attempt = tried[part.name, part.partition]
        is_alone = is_alone or await _is_alone_async(session, schema)
        if attempt > ATTEMPTS:
            left.add(part.name)
            reason = await _reason_async(session, schema, part, is_alone)
            said.append(f"{reason}; apply the schema again")
        elif part.state == "building" or not is_alone:
            await runtime.sleep(PAUSE)
        else:
            try:
                await session.execute_async(online.step(schema, part))
            except ConnectorException as error:
                if error.sqlstate not in _HAS_MET_OTHERS:
                    raise
                if attempt == WARNED:
                    reason = await _reason_async(session, schema, part, is_alone)
                    logger.warning("Applying the schema: %s", reason, extra={"action": "index_waits"})
                await runtime.sleep(PAUSE)
            else:
                if part.state == "built":
                    built[part.name] += 1
                elif part.state == "attached":
                    left.add(part.name)
    return [f"built index {name} on {number} partitions" for name, number in built.items()] + said


def _next(parts: Sequence[PartitionIndex], left: Container[str]) -> PartitionIndex | None:
    """Return the part that is next: one on which somebody is at work, else one that is not done, else any."""
    parts = [part for part in parts if part.name not in left]
    at_work = [part for part in parts if part.state == "building"]
    undone = [part for part in parts if part.state != "attached"]
    return next(iter((*at_work, *undone, *parts)), None)


async def _is_alone_async(session: AsyncSession, schema: str) -> bool:
    """Return whether no other session builds indexes: two that build the same one would wait for each other."""
    if not session.can_listen:
        # Behind a pooler in transaction mode a session has no lock. Postgres ends one of two that wait for each other.
        return True
    (row,) = await session.execute_async(sql.statements(schema)["try_lock_indexes"], {})
    return bool(row["locked"])


async def _reason_async(session: AsyncSession, schema: str, part: PartitionIndex, is_alone: bool) -> str:
    if part.pid is not None:
        who = f"session {part.pid}, which builds it"
    elif not is_alone:
        who = "another session that applies the schema"
    else:
        who = named_sessions(await blockers_async(session, schema, [part.partition]))
    return f"index {part.name} is not on partition {part.partition} yet, because of {who}"
