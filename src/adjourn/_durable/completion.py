"""Ending a job in a transaction of the task's own, together with its effects."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from adjourn._durable.hand import Hand

__all__ = ["CompletesJobs"]


class CompletesJobs:
    """The part of a context that ends its job in a transaction."""

    def _hand(self) -> Hand:
        raise NotImplementedError

    def complete(self, connection: Any, result: Any = None) -> None:
        """End the job as succeeded in the transaction that is open on a connection of yours.

        If the transaction commits, its effects and the end of the job are stored together, once: a run whose worker was taken
        for dead is refused, and its effects are rolled back. Call it as the last thing before you commit, and commit before
        the task returns. After the commit nothing that the task does changes the job's end: an error is logged.

        Parameters
        ----------
        connection
            A connection or session of the kind that ``task.configure(connection=...)`` takes, to the app's database. A transaction of
            isolation READ COMMITTED, Postgres's default, is open on it.
        result
            The job's result, which is stored if it is not None or the task stores results. What the task returns is not.

        Raises
        ------
        JobLost
            If the job is no longer this run's. Let the transaction roll back.
        InvalidConnection
            If the connection is not one of that kind, is to another database or in autocommit mode, or its transaction is stricter
            than READ COMMITTED.
        InvalidResult
            If the result cannot be stored.
        """
        hand = self._hand()
        text, ttl = _stored_result(hand, result)
        hand.durable.completions += 1
        if hand.run.is_stored:
            hand.given.complete(hand.job, connection, result=text, ttl=ttl, keep=hand.keeps)

    async def complete_async(self, connection: Any, result: Any = None) -> None:
        """End the job as succeeded in the transaction that is open on an asynchronous connection of yours. See `complete`."""
        hand = self._hand()
        text, ttl = _stored_result(hand, result)
        hand.durable.completions += 1
        if hand.run.is_stored:
            await hand.given.complete_async(hand.job, connection, result=text, ttl=ttl, keep=hand.keeps)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Any]:
        """End the job in a transaction on a connection of the app's connector: ``with context.transaction() as connection:``.

        The transaction begins with the block. At its end the job is completed, as `complete` does it, and the transaction is committed; if
        the block raises, it is rolled back. Call `complete` in the block yourself to store a result.

        The connection is one of the driver's: of psycopg for `PsycopgConnector` and the connectors for SQLAlchemy, of psycopg2
        for `Psycopg2Connector`; in Django it is Django's own. It is made for the block, unless it is Django's.

        Raises
        ------
        JobLost
            At the end of the block, if the job is no longer this run's.
        InvalidConnection
            If the connector has no transactions, as in memory.
        """
        hand = self._hand()
        with hand.connector.transaction() as connection:
            before = hand.durable.completions
            yield connection
            if hand.durable.completions == before:
                self.complete(connection)

    @contextlib.asynccontextmanager
    async def transaction_async(self) -> AsyncIterator[Any]:
        """End the job in a transaction on an asynchronous connection of the app's connector. See `transaction`."""
        hand = self._hand()
        async with hand.connector.transaction_async() as connection:
            before = hand.durable.completions
            yield connection
            if hand.durable.completions == before:
                await self.complete_async(connection)


def _stored_result(hand: Hand, result: Any) -> tuple[str | None, float | None]:
    """Return a result as JSON, and the seconds until it lapses; a run that sleeps has none."""
    hand.durable.check_goes_on()
    if result is None and not hand.rule.store:
        return None, None
    return hand.rule.dump(result, hand.json_dumps), hand.rule.seconds
