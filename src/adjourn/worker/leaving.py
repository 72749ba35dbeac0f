"""The last thing that a worker tells the database: what became of its jobs, and that it is gone."""

from __future__ import annotations

import asyncio

from adjourn.exceptions import ConnectorException
from adjourn.worker.connection import Connection
from adjourn.worker.outbox import Outbox
from adjourn.worker.tally import RunTally
from adjourn.worker.watch import ended, leave


async def leave_within(
    seconds: float,
    connection: Connection,
    outbox: Outbox,
    tally: RunTally | None,
    worker_id: int,
    registered_at: int | None,
    *,
    is_in_doubt: bool,
    knows_all: bool,
) -> None:
    """Store the outcomes that are left, unregister, and store what has become of jobs.

    At half time a connection that does not answer is given up, and another one tried.

    Parameters
    ----------
    seconds
        How long this may take.
    connection
        The exchange's connection.
    outbox
        The outcomes of all jobs that the worker still has.
    tally
        What has become of its jobs; None if that is not counted.
    worker_id, registered_at
        The worker, and when it has registered: if the worker of this id has done so at another time, it is another one.
    is_in_doubt
        Whether jobs may have been claimed without the worker knowing it.
    knows_all
        Whether what it has are those outcomes, and certainly nothing else.

    Raises
    ------
    ConnectorException
        If the database does not answer. Any other exception of a driver is raised, too.
    """
    leaving = asyncio.ensure_future(_leave(connection, outbox, tally, worker_id, registered_at, is_in_doubt, knows_all))
    await ended(leaving, seconds, connection.give_up)
    if not leaving.done():
        leave(leaving)
        raise stopping()
    leaving.result()


def stopping() -> ConnectorException:
    """Return the error that means that the database is silent, and that the worker does not wait for it any longer."""
    return ConnectorException("The database has not answered this worker, which is stopping.")


async def _leave(
    connection: Connection,
    outbox: Outbox,
    tally: RunTally | None,
    worker_id: int,
    registered_at: int | None,
    is_in_doubt: bool,
    knows_all: bool,
) -> None:
    is_fresh = connection.manager is None
    try:
        manager = await connection.manager_async()
        if is_fresh and await manager.registered_at_async(worker_id) != registered_at:
            return
        if is_fresh or is_in_doubt:
            # The answer to a claim may have been lost, with an earlier connection or by a cancellation.
            await manager.disown_async(worker_id, outbox.claims)
        outbox.hurry()
        while batch := outbox.next_batch():
            try:
                exchanged = await manager.exchange_async(worker_id, batch, limit=0, queues=None, probe=False)
            except Exception as error:
                if not outbox.not_stored(batch, error):
                    raise
            else:
                outbox.stored(batch, exchanged.held)
        is_done = knows_all and not is_fresh and not outbox.waiting
        await manager.unregister_worker_async(worker_id, is_done)
        if tally is not None:
            await tally.store_async(manager.store_statistics_async)
    except Exception:
        if is_fresh:
            raise
        # What has failed may be the connection alone: a cancellation in the middle of a statement ends it, too.
        await connection.close()
        await _leave(connection, outbox, tally, worker_id, registered_at, is_in_doubt, knows_all)
