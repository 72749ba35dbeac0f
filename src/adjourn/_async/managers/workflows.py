"""Workflows: storing their jobs, looking at them, cancelling them and running them again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from adjourn import exceptions
from adjourn._async.managers.batches import AsyncRunsStatements
from adjourn._async.managers.limits import AsyncLimits
from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._domain.arguments import dump_arguments
from adjourn._domain.checks import check_count, check_flag, check_id
from adjourn._domain.graphs import Edge, Graph, PlannedNode, Stored, columns_of, named_empty
from adjourn._domain.jobs import Job
from adjourn._domain.workflows import EMPTY_GROUP, Planned, WorkflowState, WorkflowStatus, by_name
from adjourn._runtime import aio as runtime
from adjourn.types import Parameters, Row

LAST_ID = 2**63 - 1
CHUNK = 10_000
"""How many jobs, or pairs of jobs that wait for each other, one statement stores."""
PAGE = 1_000
"""How many jobs one statement reads."""


async def read_workflow_async(
    run_async: AsyncRunsStatements, workflow_id: int, connection: Any = None
) -> WorkflowState:
    """Return a workflow as it is stored.

    Raises
    ------
    NoResult
        If there is no such workflow.
    """
    asked = {"from_id": workflow_id, "to_id": workflow_id, "status": None, "limit": 1}
    rows = await run_async("list_workflows", asked, connection)
    if not rows:
        raise exceptions.NoResult(f"There is no workflow {workflow_id}.")
    return WorkflowState.from_row(rows[0])


class AsyncWorkflows(AsyncStatementRunner):
    """Stores workflows, and changes them."""

    async def get_workflow_async(self, workflow_id: int, connection: Any = None) -> WorkflowState:
        """Return a workflow: how many of its jobs have ended, and how it has ended.

        Parameters
        ----------
        workflow_id
            The workflow.
        connection
            The caller's own connection, whose transaction this joins.

        Raises
        ------
        NoResult
            If there is no such workflow.
        InvalidOption
            If ``workflow_id`` is not an integer.
        """
        check_id("workflow_id", workflow_id)
        return await read_workflow_async(self.run_async, workflow_id, connection)

    async def list_workflows_async(
        self, *, status: str | None = None, before_id: int | None = None, limit: int = 50
    ) -> list[WorkflowState]:
        """Return the latest workflows, the newest first.

        Parameters
        ----------
        status
            Only those with this `WorkflowStatus`; None (the default) is no filter.
        before_id
            Only those with a lower id: pass that of a page's last one to get the next page. None (the default) begins with the newest.
        limit
            The most to return, 50 by default.

        Raises
        ------
        InvalidOption
            If there is no such status, or ``before_id`` or ``limit`` is not valid.
        """
        if status is not None and status not in list(WorkflowStatus):
            raise exceptions.InvalidOption(f"status={status!r}: pass one of {', '.join(WorkflowStatus)}.")
        if before_id is not None:
            check_id("before_id", before_id)
        check_count("limit", limit)
        to_id = LAST_ID if before_id is None else max(0, before_id - 1)
        parameters = {"from_id": 1, "to_id": to_id, "status": None if status is None else str(status), "limit": limit}
        return [WorkflowState.from_row(row) for row in await self.run_async("list_workflows", parameters)]

    async def cancel_workflow_async(self, workflow_id: int, abort: bool = False) -> int:
        """Cancel the jobs of a workflow that wait, and those that are added later; return how many were cancelled now. It does not stay
        open.

        Parameters
        ----------
        workflow_id
            The workflow. If all of its jobs have ended, nothing changes.
        abort
            Ask running jobs to end, too.

        Raises
        ------
        NoResult
            If there is no such workflow.
        InvalidOption
            If ``workflow_id`` is not an integer, or ``abort`` neither True nor False.
        """
        check_id("workflow_id", workflow_id)
        check_flag("abort", abort)
        cancelled, page = 0, CHUNK
        while page == CHUNK:
            (row,) = await self.run_async("cancel_workflow", {"id": workflow_id, "limit": CHUNK})
            if row["cancelled"] is None:
                raise exceptions.NoResult(f"There is no workflow {workflow_id}.")
            page = int(row["cancelled"])
            cancelled += page
        if abort:
            await self.run_async("abort_workflow", {"id": workflow_id})
        return cancelled

    async def retry_workflow_async(self, workflow_id: int) -> int:
        """Run the jobs of a workflow again that have failed, were aborted or have expired, and those that were cancelled because of it.

        If the workflow was cancelled, what was cancelled with it runs again, too. What was cancelled by hand does not, nor what was
        cancelled because of that. Jobs that have run although others had failed (``run_if``) do not run again.

        Parameters
        ----------
        workflow_id
            The workflow.

        Returns
        -------
        int
            How many jobs run again.

        Raises
        ------
        NoResult
            If there is no such workflow.
        InvalidOption
            If ``workflow_id`` is not an integer.
        """
        check_id("workflow_id", workflow_id)
        (row,) = await self.run_async("retry_workflow", {"id": workflow_id})
        if row["retried"] is None:
            raise exceptions.NoResult(f"There is no workflow {workflow_id}.")
        return int(row["retried"])

    async def close_workflow_async(self, workflow_id: int, connection: Any = None) -> bool:
        """Have a workflow that was stored by `Workflow.open` end with its last job, or a moment later if that has ended.

        Parameters
        ----------
        workflow_id
            The workflow.
        connection
            The caller's own connection: it is closed if the transaction commits.

        Returns
        -------
        bool
            Whether it was open.

        Raises
        ------
        NoResult
            If there is no such workflow.
        InvalidOption
            If ``workflow_id`` is not an integer.
        """
        check_id("workflow_id", workflow_id)
        (row,) = await self.run_async("close_workflow", {"id": workflow_id}, connection)
        if row["closed"] is None:
            raise exceptions.NoResult(f"There is no workflow {workflow_id}.")
        return bool(row["closed"])

    async def get_parent_results_async(self, job_id: int) -> dict[str, Any]:
        """Return the results of those jobs that a job has waited for, and for which it has names.

        Parameters
        ----------
        job_id
            The job.

        Returns
        -------
        dict
            The result of each by its name, and of a group a list of them, which is empty for a group of no jobs. None stands for a job that has no result: it has not
            succeeded, its task does not store results, or the result has lapsed.

        Raises
        ------
        InvalidOption
            If ``job_id`` is not an integer.
        """
        check_id("job_id", job_id)
        rows = await self.run_async("get_parent_results", {"job_id": job_id})
        loads = self.connector.json_loads
        return by_name(rows, lambda row: None if row["result"] is None else loads(row["result"]))

    async def get_parent_jobs_async(self, job_id: int) -> dict[str, Any]:
        """Return those jobs that a job has waited for, and for which it has names: how each has ended, and why.

        Parameters
        ----------
        job_id
            The job.

        Returns
        -------
        dict
            Each `Job` by its name, with its ``status``, its ``errors`` and its ``result``, and of a group a list of them, which is empty for a
            group of no jobs. None stands for one that was deleted.

        Raises
        ------
        InvalidOption
            If ``job_id`` is not an integer.
        """
        check_id("job_id", job_id)
        rows = await self.run_async("get_parent_results", {"job_id": job_id})
        ids = [row["parent_id"] for row in rows if row["place"] != EMPTY_GROUP]
        jobs: dict[int, Job] = {}
        for start in range(0, len(ids), PAGE):
            for row in await self.run_async("read_jobs", {"ids": ids[start : start + PAGE]}):
                jobs[row["id"]] = Job.from_row(row, self.connector.json_loads)
        return by_name(rows, lambda row: jobs.get(row["parent_id"]))

    async def store_workflow_async(
        self,
        plans: Sequence[Planned],
        name: str | None = None,
        extends: int | None = None,
        of_job: int | None = None,
        connection: Any = None,
        *,
        is_open: bool = False,
    ) -> Stored:
        """Store the jobs of a workflow, all or none. `Workflow.defer_async` calls this.

        Parameters
        ----------
        plans
            The jobs, each after those that it waits for.
        name
            The name of a new workflow.
        extends, of_job
            The workflow to which the jobs are added, or a job of it; None for a new one.
        connection
            The caller's own connection, whose transaction this joins.
        is_open
            Whether a new workflow stays open.

        Raises
        ------
        NoResult
            If a job to wait for, or the workflow, does not exist.
        InvalidOption
            If the workflow has ended, so that nothing can be added.
        """
        if of_job is not None:
            (row,) = await self.run_async("get_workflow_of", {"job_id": of_job}, connection)
            extends = row["workflow_id"]
            if extends is None:
                raise exceptions.InvalidOption(f"Job {of_job} is in no workflow, so nothing can be added to one.")
        elif extends is not None:
            await read_workflow_async(self.run_async, extends, connection)
        await self._check_parents_async(plans, connection)
        if connection is not None:
            named = [plan.job.evolve(limit=plan.limit_of(0)) for plan in plans if plan.count]
            await AsyncLimits(self.connector, self.schema).declare_new_async(named)
        count, nobody = sum(plan.count for plan in plans), len(named_empty(plans))
        # A workflow has an id of the same sequence, before those of its jobs.
        (row,) = await self.run_async("reserve_ids", {"count": count + nobody + (extends is None)}, connection)
        reserved: list[int] = json.loads(f"[{row['ids'][1:-1]}]")
        workflow_id = extends if extends is not None else reserved.pop(0)
        nobodies, reserved = reserved[:nobody], reserved[nobody:]
        ids: list[list[int]] = []
        begin = 0
        for plan in plans:
            ids.append(reserved[begin : begin + plan.count])
            begin += plan.count
        last_id = reserved[-1] if reserved else workflow_id
        header = {
            "workflow_id": workflow_id,
            "is_new": extends is None,
            "is_open": is_open,
            "name": name,
            "last_id": last_id,
            "jobs": count,
        }
        graph = Graph(plans, ids, nobodies)
        chunks = await self._chunks_async(graph, header, connection is not None)
        if len(chunks) == 1 or connection is not None:
            for chunk in chunks:
                _check_stored(await self.run_async("store_nodes", chunk, connection), workflow_id)
        else:
            await self._store_chunks_async(chunks, workflow_id)
        return Stored(workflow_id, ids)

    async def _store_chunks_async(self, chunks: Sequence[Parameters], workflow_id: int) -> None:
        session = await self.connector.get_async_connector().session_async()
        try:
            await session.execute_async(self.statements["begin"])
            for chunk in chunks:
                _check_stored(await session.execute_async(self.statements["store_nodes"], chunk), workflow_id)
            await session.execute_async(self.statements["commit"])
        finally:
            # Closing the connection also ends an open transaction.
            await session.close_async()

    async def _check_parents_async(self, plans: Sequence[Planned], connection: Any) -> None:
        known = sorted({parent for plan in plans for parent in plan.parents if isinstance(parent, int)})
        if known:
            rows = await self.run_async("read_jobs", {"ids": known}, connection)
            if gone := set(known).difference(row["id"] for row in rows):
                raise exceptions.NoResult(f"There is no job {min(gone)} to wait for.")

    async def _chunks_async(self, graph: Graph, header: Parameters, own_transaction: bool) -> list[dict[str, Any]]:
        """Return the parameters of the statements that store the jobs."""
        pace = runtime.Pace()
        chunks: list[dict[str, Any]] = []
        nodes: list[PlannedNode] = []
        edges: list[Edge] = []

        def end_chunk() -> None:
            # Only the first makes the workflow, or has it grow.
            first = header if not chunks else {**header, "jobs": None}
            chunks.append({**first, **columns_of(nodes, edges), "own_transaction": own_transaction})
            nodes.clear()
            edges.clear()

        for position, plan in enumerate(graph.plans):
            for number, job_id in enumerate(graph.ids[position]):
                arguments = dump_arguments(plan.job.task_name, plan.arguments_of(number), self.connector.json_dumps)
                nodes.append(graph.node(position, job_id, arguments, plan.limit_of(number)))
                edges += graph.edges(position, job_id)
                if len(nodes) >= CHUNK or len(edges) >= CHUNK:
                    end_chunk()
                if not number % 8:
                    await pace.keep()
        if nodes or not chunks:
            end_chunk()
        return chunks


def _check_stored(rows: Sequence[Row], workflow_id: int) -> None:
    if not rows[0]["stored"]:
        raise exceptions.InvalidOption(
            f"Workflow {workflow_id} has ended, so nothing can be added to it: defer another, or add jobs while one of it runs."
        )
