"""Workflows: jobs that wait for each other, and are stored together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from adjourn._domain.checks import check_id, check_name
from adjourn._domain.graphs import Stored
from adjourn._domain.job_limits import JobLimit
from adjourn._domain.jobs import Job
from adjourn._domain.wording import counted
from adjourn._domain.workflows import Planned, WorkflowState, WorkflowStatus, number_of_rule
from adjourn.exceptions import InvalidOption
from adjourn.manager import JobDeferrer, JobManager
from adjourn.tasks import Task
from adjourn.types import JSONDict

__all__ = ["Node", "RunIf", "StoredWorkflow", "Workflow", "WorkflowState", "WorkflowStatus"]

RunIf: TypeAlias = Literal["all_succeeded", "all_done", "any_failed"]
"""When a job runs, by what has become of the jobs that it waits for."""


class Node:
    """A job of a workflow, or a group of jobs of one task, to be named in ``depends_on``. `Workflow.add` and its like return one.

    Parameters
    ----------
    workflow
        The workflow to which it was added.
    plan
        What is stored of it.
    """

    def __init__(self, workflow: Workflow, plan: Planned) -> None:
        self._workflow = workflow
        self._plan = plan

    def __repr__(self) -> str:
        what = "a job" if self._plan.kwargs is None else f"{self._plan.count} jobs"
        return f"<{what} of task {self._plan.job.task_name}>"


Parent: TypeAlias = Node | int
"""What a job can wait for: a node of the same workflow, or the id of a job that is stored."""
Parents: TypeAlias = Parent | Iterable[Parent] | Mapping[str, Parent] | None
"""What ``depends_on`` takes: one or several, perhaps with the names under which their results are found."""
Work: TypeAlias = Task[Any, Any, Any] | JobDeferrer[Any]
"""A task, or what its ``configure`` returns."""


class StoredWorkflow:
    """A workflow that was stored, or the jobs that were added to one. `Workflow.defer` returns one.

    Parameters
    ----------
    stored
        The ids of the workflow and of its jobs.
    nodes
        The nodes that were stored, in the order of these ids.

    Attributes
    ----------
    id
        The id of the workflow.
    """

    def __init__(self, stored: Stored, nodes: Sequence[Node]) -> None:
        self.id: int = stored.workflow_id
        self._ids: dict[Node, list[int]] = dict(zip(nodes, stored.ids, strict=True))

    def __repr__(self) -> str:
        return f"<workflow {self.id}, {counted(sum(map(len, self._ids.values())), 'job')} stored>"

    def job_id(self, node: Node) -> int:
        """Return the id of the job that a node stands for.

        Raises
        ------
        InvalidOption
            If it is a node of another workflow, or a group: `job_ids` has the ids of its jobs.
        """
        ids = self.job_ids(node)
        if node._plan.kwargs is not None:
            raise InvalidOption(f"node={node!r}: it is a group; job_ids(node) returns the ids of its jobs.")
        return ids[0]

    def job_ids(self, node: Node) -> list[int]:
        """Return the ids of the jobs that a node stands for, in order.

        Raises
        ------
        InvalidOption
            If it is a node of another workflow.
        """
        if node not in self._ids:
            raise InvalidOption(f"node={node!r}: it is not of this workflow, or was added to it since.")
        return list(self._ids[node])


class Workflow:
    """Jobs that wait for each other. `App.workflow` makes one; nothing is stored before `defer`.

    Parameters
    ----------
    job_manager
        The manager that stores the jobs.
    name
        A name for people; None for none.
    extends
        The id of a workflow to which the jobs are added; None for a new one.
    of_job
        The id of a job of that workflow, instead.
    """

    def __init__(
        self, job_manager: JobManager, name: str | None = None, *, extends: int | None = None, of_job: int | None = None
    ) -> None:
        check_name("name", name, optional=True)
        if extends is not None:
            check_id("extends", extends)
            if name is not None:
                raise InvalidOption(
                    f"name={name!r}: leave it out with extends; the workflow has a name already, or none."
                )
        self._job_manager = job_manager
        self._name = name
        self._extends = extends
        self._of_job = of_job
        self._nodes: list[Node] = []
        self._is_stored = False

    def add(
        self,
        task: Work,
        *,
        depends_on: Parents = None,
        run_if: RunIf = "all_succeeded",
        task_kwargs: JSONDict | None = None,
    ) -> Node:
        """Add a job, and return its node.

        Parameters
        ----------
        task
            The task, or ``task.configure(...)``.
        depends_on
            What it waits for: nodes of this workflow, ids of jobs that are stored, a list of these, or a dictionary of these by the names
            under which `JobContext.parent_results` has their results. None (the default) for nothing.
        run_if
            When it runs: ``"all_succeeded"`` (the default) once all of them have succeeded; if one ends otherwise, it is cancelled at
            once, and so are those that wait for it. ``"all_done"`` once all have ended, however. ``"any_failed"`` once all have ended
            and one has failed, was cancelled or aborted; otherwise it is cancelled, since it was not needed. That is no failure: one that
            waits for it with ``"any_failed"`` is not needed for its sake, one with ``"all_succeeded"`` neither, unless another that it
            waits for fails.
        task_kwargs
            Its arguments, beside those of ``configure``.

        Raises
        ------
        InvalidOption
            If an option is not valid, or a node is of another workflow.
        InvalidTaskArguments
            If the task does not take the arguments.
        """
        deferrer = self._deferrer("task", task)
        return self._add(deferrer.make_new_job(**(task_kwargs or {})), None, depends_on, run_if)

    def map(
        self,
        task: Work,
        task_kwargs: Iterable[JSONDict],
        *,
        depends_on: Parents = None,
        run_if: RunIf = "all_succeeded",
    ) -> Node:
        """Add a group: a job of one task for each dictionary of arguments. Return the node that stands for all of them.

        What depends on it waits for all of its jobs; of an empty group, for nothing. A million of them is fine.

        Parameters
        ----------
        task
            The task, or ``task.configure(...)``.
        task_kwargs
            The arguments of each job, beside those of ``configure``.
        depends_on, run_if
            What each of them waits for, as in `add`.

        Raises
        ------
        InvalidOption
            If an option is not valid, or a node is of another workflow.
        InvalidTaskArguments
            If the task does not take the arguments.
        """
        deferrer = self._deferrer("task", task)
        given = list(task_kwargs)
        limits = [deferrer.make_new_job(**kwargs).limit for kwargs in given]
        return self._add(deferrer.job, given, depends_on, run_if, limits if any(limits) else None)

    def chain(self, *tasks: Work, depends_on: Parents = None) -> Node:
        """Add jobs, each of which waits for the one before, and return the node of the last.

        Parameters
        ----------
        *tasks
            The tasks, or what ``task.configure(...)`` returns; ``task_kwargs`` of ``configure`` are a job's arguments.
        depends_on
            What the first of them waits for, as in `add`.

        Raises
        ------
        InvalidOption
            If there is none, or an option is not valid.
        """
        if not tasks:
            raise InvalidOption("tasks=(): pass at least one task.")
        node = self.add(tasks[0], depends_on=depends_on)
        for task in tasks[1:]:
            node = self.add(task, depends_on=node)
        return node

    def defer(self, connection: Any = None) -> StoredWorkflow:
        """Store all of its jobs in one transaction, or none, and return what was stored. Blocks. See `defer_async`."""
        stored = self._job_manager.workflows.store_workflow(*self._what(), connection=connection)
        return self._stored(stored)

    async def defer_async(self, connection: Any = None) -> StoredWorkflow:
        """Store all of its jobs in one transaction, or none, and return what was stored.

        Parameters
        ----------
        connection
            The caller's own connection: the jobs are stored in the transaction that is open on it. None uses the app's.

        Raises
        ------
        NoResult
            If a job that it is to wait for, or the workflow to which it adds, does not exist.
        InvalidOption
            If it was stored before, or the workflow to which it adds has ended.
        InvalidTaskArguments
            If the arguments of a job cannot be stored as JSON.
        """
        stored = await self._job_manager.workflows.store_workflow_async(*self._what(), connection=connection)
        return self._stored(stored)

    def open(self, connection: Any = None) -> StoredWorkflow:
        """Store it as `defer` does, and have it stay open for jobs that are added. Blocks. See `open_async`."""
        self._check_opened()
        stored = self._job_manager.workflows.store_workflow(*self._what(), connection=connection, is_open=True)
        return self._stored(stored)

    async def open_async(self, connection: Any = None) -> StoredWorkflow:
        """Store it as `defer_async` does, and have it stay open: it has not ended, even if all of its jobs have, before
        `JobManager.close_workflow` is called.

        Until then programs add jobs with ``app.workflow(extends=stored.id)``. It may have no jobs at first.

        Parameters
        ----------
        connection
            The caller's own connection: the jobs are stored in the transaction that is open on it. None uses the app's.

        Raises
        ------
        InvalidOption
            If it adds to a workflow, or was stored before.
        NoResult, InvalidTaskArguments
            As `defer_async` raises them.
        """
        self._check_opened()
        stored = await self._job_manager.workflows.store_workflow_async(
            *self._what(), connection=connection, is_open=True
        )
        return self._stored(stored)

    def _check_opened(self) -> None:
        if self._extends is not None or self._of_job is not None:
            raise InvalidOption(
                "This adds jobs to a workflow that is stored: call defer. Only a new one can be opened."
            )

    def _what(self) -> tuple[list[Planned], str | None, int | None, int | None]:
        if self._is_stored:
            raise InvalidOption(
                "This workflow is stored already: make another, or add to it with app.workflow(extends=...)."
            )
        return [node._plan for node in self._nodes], self._name, self._extends, self._of_job

    def _stored(self, stored: Stored) -> StoredWorkflow:
        self._is_stored = True
        return StoredWorkflow(stored, self._nodes)

    def _deferrer(self, argument: str, task: Any) -> JobDeferrer[Any]:
        deferrer = task.configure() if isinstance(task, Task) else task
        if not isinstance(deferrer, JobDeferrer):
            raise InvalidOption(f"{argument}={task!r}: pass a task, or what task.configure(...) returns.")
        if deferrer.connection is not None:
            raise InvalidOption("connection: pass it to the workflow's defer, which stores all of its jobs.")
        if deferrer.job.queueing_lock is not None:
            raise InvalidOption(
                f"queueing_lock={deferrer.job.queueing_lock!r}: a job of a workflow cannot have one, because the others would be stored "
                "without it."
            )
        if deferrer.job.unique is not None:
            raise InvalidOption(
                f"unique={deferrer.job.unique!r}: a job of a workflow cannot be unique, because a workflow stores all of its jobs. Add a task "
                "without it, which may call the same function, or have the workflow deferred by a unique job."
            )
        return deferrer

    def _add(
        self,
        job: Job,
        kwargs: list[JSONDict] | None,
        depends_on: Parents,
        run_if: str,
        limits: list[JobLimit | None] | None = None,
    ) -> Node:
        if self._is_stored:
            raise InvalidOption("This workflow is stored already: add to it with app.workflow(extends=...).")
        parents: list[Planned | int] = []
        names: list[str | None] = []
        seen: set[int | Planned] = set()
        for name, parent in _named(depends_on):
            if isinstance(parent, Node):
                if parent._workflow is not self:
                    raise InvalidOption(
                        f"depends_on={parent!r}: it is a node of another workflow. Pass one of this, or the id of a job that is stored."
                    )
                plan: Planned | int = parent._plan
            else:
                check_id("depends_on", parent)
                plan = parent
            if plan in seen:
                raise InvalidOption(f"depends_on={parent!r}: it is there twice.")
            seen.add(plan)
            parents.append(plan)
            names.append(name)
        node = Node(self, Planned(job, kwargs, parents, names, number_of_rule(run_if, bool(parents)), limits))
        self._nodes.append(node)
        return node


def _named(depends_on: Any) -> list[tuple[str | None, Any]]:
    if depends_on is None:
        return []
    if isinstance(depends_on, Mapping):
        for name in depends_on:
            check_name("depends_on", name)
        return list(depends_on.items())
    if isinstance(depends_on, Iterable) and not isinstance(depends_on, str | bytes):
        return [(None, each) for each in depends_on]
    return [(None, depends_on)]
