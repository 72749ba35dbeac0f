"""The operations of a worker on the database, over its own connection."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import attrs

from adjourn import exceptions, sql
from adjourn._async.managers.partitions import blockers_async
from adjourn._async.managers.statements import AsyncExecutes, schema_version_async
from adjourn._domain.arrays import array_of_texts
from adjourn._domain.claimed import ClaimedJob
from adjourn._domain.heartbeats import Heartbeat, Registration
from adjourn._domain.jobs import CLAIMED
from adjourn._domain.outcomes import (
    Claim,
    Exchanged,
    HandedBack,
    Look,
    Outcome,
    Placed,
    dump_outcomes,
)
from adjourn._domain.terms import JobTerms
from adjourn._domain.upkeep import BlockingSession, DeadWorker, Rescue
from adjourn.types import JSONLoads, Row

PLACE_LIMIT = 200
"""How many jobs with locks one transaction places; promotions wait until it ends."""
PATIENCE = 3600.0
"""Seconds that a job waits for a worker that knows its task."""


@functools.lru_cache(maxsize=16)
def _written(queues: tuple[str, ...]) -> str:
    """Return the names of queues as the text of an array: thousands of them are written once."""
    return array_of_texts(queues)


@attrs.define
class AsyncWorkerManager:
    """The operations of one worker, over one session.

    Parameters
    ----------
    session
        The worker's connection, on which only one call may run at a time; or a connector.
    json_loads
        The function that reads the arguments of jobs.
    schema
        The database schema that holds adjourn's tables.
    applying
        What applies that schema, for messages.
    """

    session: AsyncExecutes
    json_loads: JSONLoads
    schema: str = sql.DEFAULT_SCHEMA
    applying: str = sql.APPLYING

    async def register_worker_async(self, name: str, queues: Sequence[str] | None, timeout: float) -> int:
        """Register this worker as `register_async` does, and return its id."""
        return (await self.register_async(name, queues, timeout)).id

    async def register_async(self, name: str, queues: Sequence[str] | None, timeout: float) -> Registration:
        """Register this worker.

        Parameters
        ----------
        name
            A name for logs and lists.
        queues
            The queues that the worker serves; None means all.
        timeout
            Seconds without a heartbeat after which the worker counts as dead.

        Raises
        ------
        SchemaOutOfDate
            If the database has no adjourn schema, or an older one, or one that was renamed.
        """
        parameters = {
            "name": name,
            "queues": None if queues is None else list(queues),
            "timeout": timeout,
            "needed_version": sql.latest_version(),
        }
        try:
            (row,) = await self._run_async("register_worker", **parameters)
        except exceptions.ConnectorException as error:
            if sql.lacks_right(error):
                raise sql.missing_grant(error) from error
            if not sql.speaks_of_schema(error):
                raise
            version = await schema_version_async(self.session, self.schema)
            if version >= sql.latest_version():
                raise
            raise sql.out_of_date(self.schema, version, self.applying) from error
        if row["id"] is None:
            if row["version"] < sql.latest_version():
                raise sql.out_of_date(self.schema, row["version"], self.applying)
            raise sql.renamed(self.schema, self.applying)
        return Registration(row["id"], row["registered_at"], row["expired"])

    async def registered_at_async(self, worker_id: int) -> int | None:
        """Return when the worker of this id has registered, in microseconds since 1970, or None if there is none.

        Ids are given once more by a database that was restored, or that has lost the last commits in a failover.
        """
        rows = await self._run_async("get_registration", worker_id=worker_id)
        return int(rows[0]["registered_at"]) if rows else None

    async def unregister_worker_async(self, worker_id: int, is_done: bool = False) -> None:
        """Remove this worker. Jobs that it still has are rescued.

        Parameters
        ----------
        is_done
            It knows that it has none. Otherwise the database looks through all jobs that are ready.
        """
        await self._run_async("unregister_worker", worker_id=worker_id, is_done=is_done)

    async def heartbeat_async(
        self,
        worker_id: int,
        timeout: float,
        overdue: Sequence[int] = (),
        running: Sequence[Claim] = (),
        details: str | None = None,
    ) -> Heartbeat:
        """Send this worker's heartbeat, and return the answer for the worker.

        Parameters
        ----------
        worker_id
            The worker.
        timeout
            Seconds without a heartbeat after which the worker counts as dead.
        overdue
            Its jobs that were asked to end and have not ended.
        running
            Its claims that run: of these jobs it is known that they have begun.
        details
            What else it says of itself, as JSON; None leaves that as it is.
        """
        (row,) = await self._run_async(
            "heartbeat",
            worker_id=worker_id,
            timeout=timeout,
            overdue=list(overdue),
            running=[job_id for job_id, _ in running],
            claims=[claim for _, claim in running],
            details=details,
        )
        return Heartbeat(row["alive"], tuple(row["aborts"]), row["expired"])

    async def store_progress_async(self, worker_id: int, said: Mapping[Claim, str]) -> None:
        """Store what runs have said of their progress, as JSON, where they still have their jobs.

        Parameters
        ----------
        worker_id
            The worker.
        said
            The text of each run.
        """
        ids, claims = [id_ for id_, _ in said], [claim for _, claim in said]
        await self._run_async(
            "store_progress", worker_id=worker_id, ids=ids, claims=claims, progress=list(said.values())
        )

    async def exchange_async(
        self,
        worker_id: int,
        outcomes: Iterable[Outcome],
        *,
        limit: int,
        queues: Sequence[str] | None,
        busy: bool = False,
        probe: bool = True,
        concurrency: int | None = None,
        running: int = 0,
        apart: int | None = None,
        tasks: Sequence[str] | None = None,
        patience: float = PATIENCE,
        listens: bool = True,
        called: bool = False,
        follow: int = 0,
        floors: str | None = None,
        batches: str | None = None,
    ) -> Exchanged:
        """Store the outcomes of jobs and claim the next jobs, in one round trip and one commit.

        Parameters
        ----------
        worker_id
            The worker. An outcome is stored only if this worker still holds the job by the same claim.
        outcomes
            The outcomes of jobs.
        limit
            How many jobs to claim at most.
        queues
            The queues to claim from; None means all.
        busy
            Whether this worker has been saturated for a while, so that it need not be notified of new jobs.
        probe
            Whether to look also for jobs that are due, jobs that are not placed yet, jobs to run apart, and locks without
            a head.
        concurrency
            How many jobs the worker can run at once, ``limit`` by default.
        running
            How many jobs the worker has.
        apart
            What the last exchange has returned as ``apart``.
        tasks
            Those of the tasks that the last exchange has returned as ``unknown`` that this worker knows.
        patience
            Seconds that a job waits for a worker that knows its task, an hour by default.
        listens
            Whether the worker hears notifications.
        called
            Whether the worker was notified by its id. If it cannot take all there is, another worker is notified.
        follow
            How many of the jobs behind a claimed head of a lock to claim with it, at most: its followers. The worker runs
            them one after the other, in the order of the jobs that are returned.
        floors
            Where to begin to look for ready jobs: the floors of the last look. What has become ready below is missed. None looks at all.
        batches
            How many jobs one call takes of the tasks that take several, by their names, as JSON; None if there are no such tasks.
        """
        rows = await self._run_async(
            "exchange",
            worker_id=worker_id,
            **dump_outcomes(outcomes),
            limit=limit,
            queues=None if queues is None else _written(tuple(queues)),
            busy=busy,
            probe=probe,
            concurrency=limit if concurrency is None else concurrency,
            running=running,
            apart=apart,
            tasks=None if tasks is None else list(tasks),
            patience=float(patience),
            listens=listens,
            called=called,
            follow=follow,
            floors=floors,
            batches=batches,
        )
        claimed = list(map(_values, rows))
        report = json.loads(claimed.pop()[6])
        claimed.sort(key=_by_order)
        jobs = [ClaimedJob.of(values, worker_id, self.json_loads) for values in claimed]
        if told := report["told"]:
            for job in jobs:
                job.terms = JobTerms.of_row(told.get(str(job.id), {}))
        return Exchanged(
            claimed=jobs,
            refused=frozenset(report["refused"] or ()),
            held=frozenset(report["held"] or ()),
            alive=report["alive"],
            repeat=report["repeat"],
            place=bool(report["place"]),
            apart=report["apart"],
            unknown=None if report["unknown"] is None else tuple(sorted(report["unknown"])),
            overdue=frozenset(report["overdue"] or ()),
            look=_look(report["floors"]),
            due_in=report["due_in"],
        )

    async def disown_async(self, worker_id: int, known: Collection[Claim]) -> list[int]:
        """Put back jobs that the database has claimed for this worker but the worker does not know, and return their
        ids.

        Use it after a lost connection, because the answer to a claim may have been lost with it.

        Parameters
        ----------
        worker_id
            The worker.
        known
            The claims that it knows. It may know an older claim of a job, which it has told to be retried, and not the
            latest.
        """
        rows = await self._run_async("disown", worker_id=worker_id, **_columns(known))
        return [row["id"] for row in rows]

    async def list_unknown_claims_async(self, worker_id: int, known: Collection[Claim]) -> list[HandedBack]:
        """Return the outcomes that put back jobs which the database has claimed for this worker but the worker does not
        know. The parameters are those of `disown_async`."""
        rows = await self._run_async("list_unknown_claims", worker_id=worker_id, **_columns(known))
        return [HandedBack(row["id"], row["claim"]) for row in rows]

    async def place_async(self, limit: int) -> Placed:
        """Place locked jobs, and give free places under limits to jobs that wait for them; another worker may be doing so.

        Parameters
        ----------
        limit
            How many new jobs to place at most.
        """
        (row,) = await self._run_async("place", limit=limit)
        moved = bool(row["placed"] or row["promoted"])
        return Placed(moved, is_to_repeat=not moved and (not row["elected"] or row["is_left"]))

    async def heal_async(self, rest: str | None, limit: int) -> tuple[int, str | None]:
        """Look through locks behind which jobs wait for those without a head, and through limits for places that nobody has given, and
        note them for who places jobs next.

        Parameters
        ----------
        rest
            Where to go on, as the call before has returned it; None to begin.
        limit
            At how many to look.

        Returns
        -------
        tuple
            How many were noted, and where to go on; None if there are no more. While another worker looks, it is ``rest``.
        """
        (row,) = await self._run_async("heal", rest=rest, limit=limit)
        return row["noted"], row["rest"]

    async def rescue_async(self, max_losses: int, grace: float, by: str = "somebody", how: str = "program") -> Rescue:
        """Declare workers dead that have stopped sending heartbeats, and free their jobs. Each leaves a note in the audit.

        Parameters
        ----------
        max_losses
            A job that has lost its worker this many times fails.
        grace
            Seconds after the start of the database server during which no worker is declared dead.
        by, how
            Who has noticed, and how we know, for the notes.

        Returns
        -------
        Rescue
            How many jobs were freed and how many failed, and whose they were.
        """
        (row,) = await self._run_async("rescue", max_losses=max_losses, grace=grace, by=by, how=how)
        return Rescue(**{**row, "deaths": [DeadWorker.of(each) for each in json.loads(row["deaths"])]})

    async def make_partitions_async(self, weeks: int) -> list[str]:
        """Make partitions for finished jobs in advance, and return their names; an empty list if the role lacks the
        right."""
        try:
            return [row["name"] for row in await self._run_async("make_partitions", weeks=weeks)]
        except exceptions.ConnectorException as error:
            if sql.lacks_right(error):
                return []
            raise

    async def expire_async(self, limit: int) -> int:
        """End jobs that have expired and that nobody runs, ``limit`` of them at most, and return how many there were."""
        (row,) = await self._run_async("expire_due", until=None, limit=limit)
        return int(row["expired"])

    async def age_async(self, seconds: float, queues: Sequence[str] | None, limit: int) -> int:
        """Raise the priority of ready jobs by one for each ``seconds`` that they have waited, up to the highest of a ready job, and
        return how many there were. Of each priority the first ``limit`` jobs are looked at; of named queues, each has its own highest."""
        given = None if queues is None else list(queues)
        (row,) = await self._run_async("age", seconds=float(seconds), queues=given, limit=limit)
        return int(row["raised"])

    async def forget_keys_async(self, after: str, limit: int) -> tuple[int, str | None]:
        """Look at the next unique keys, and delete those whose jobs do not count any more.

        Parameters
        ----------
        after
            The key to continue after; empty to begin.
        limit
            How many keys to look at.

        Returns
        -------
        tuple
            How many were deleted, and the key to continue after; None if there are no more.
        """
        (row,) = await self._run_async("forget_keys", after=after, limit=limit)
        return row["forgotten"], row["last_key"]

    async def store_statistics_async(self, stats: str) -> None:
        """Store what has become of jobs.

        Parameters
        ----------
        stats
            The rows, as JSON.
        """
        await self._run_async("store_stats", stats=stats)

    async def add_up_statistics_async(self, limit: int) -> int:
        """Add up statistics of the past, and delete old ones; return how many rows of a kind were taken.

        Parameters
        ----------
        limit
            How many to take at most.
        """
        (row,) = await self._run_async("add_up_stats", limit=limit)
        return int(row["taken"])

    async def forget_audit_async(self, days: int, limit: int) -> int:
        """Delete old notes of what people did; return how many.

        Parameters
        ----------
        days
            Their age.
        limit
            How many to look at, the oldest first.
        """
        (row,) = await self._run_async("forget_audit", days=days, limit=limit)
        return int(row["forgotten"])

    async def blockers_async(self, tables: Sequence[str]) -> list[BlockingSession]:
        """Return the sessions that use one of these tables."""
        return await blockers_async(self.session, self.schema, tables)

    async def _run_async(self, statement: str, **parameters: Any) -> list[Row]:
        return await self.session.execute_async(sql.statements(self.schema)[statement], parameters)


def _columns(known: Collection[Claim]) -> dict[str, list[int]]:
    return {"known": [id_ for id_, _ in known], "claims": [claim for _, claim in known]}


def _values(row: Row | Sequence[Any]) -> Sequence[Any]:
    """Return the values of a row of an exchange, which most connectors return as a dictionary."""
    return [row[name] for name in CLAIMED] if isinstance(row, dict) else row


def _look(said: Mapping[str, Any] | None) -> Look | None:
    """Return what a report says of a slow look."""
    if said is None:
        return None
    return Look(float(said["took"]), None if said["floors"] is None else json.dumps(said["floors"]))


def _by_order(values: Sequence[Any]) -> tuple[int, int]:
    """Return what jobs are ordered by: higher priorities come first, then older jobs."""
    return -values[3], values[0]
