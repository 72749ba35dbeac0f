"""Which jobs of a workflow wait for which, as it is stored."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence

import attrs

from adjourn._domain.arrays import array_of_flags, array_of_numbers, array_of_texts
from adjourn._domain.headers import dump_headers
from adjourn._domain.job_limits import JobLimit
from adjourn._domain.workflows import EMPTY_GROUP, Planned
from adjourn.types import JSONDict


@attrs.frozen
class Stored:
    """What was stored of a workflow.

    Attributes
    ----------
    workflow_id
        Its id.
    ids
        The ids of the jobs of each plan.
    """

    workflow_id: int
    ids: list[list[int]]


@attrs.frozen
class PlannedNode:
    """A job of a workflow, as it is stored."""

    id: int
    plan: Planned
    arguments: str
    pending: int | None
    is_unlinked: bool
    next_id: int | None
    has_dependents: bool
    limit: JobLimit | None

    @property
    def terms(self) -> JSONDict:
        """What else it has: its terms, and the limit of its key."""
        terms, limit = self.plan.job.terms, self.limit
        return {**({} if terms is None else terms.members()), **({} if limit is None else limit.members())}


@attrs.frozen
class Edge:
    """A job that waits for another, as it is stored."""

    parent_id: int
    child_id: int
    name: str | None
    place: int | None
    is_linked: bool


class Graph:
    """Which jobs of a workflow wait for which.

    Parameters
    ----------
    plans
        The jobs, each after those that it waits for.
    ids
        The ids of the jobs of each plan.
    reserved
        An id for each of `named_empty`.
    """

    def __init__(self, plans: Sequence[Planned], ids: Sequence[Sequence[int]], reserved: Sequence[int] = ()) -> None:
        self.plans = plans
        self.ids = ids
        self._empty = {id(plan): id_ for plan, id_ in zip(named_empty(plans), reserved, strict=True)}
        self._positions = {id(plan): position for position, plan in enumerate(plans)}
        self._children: dict[int, list[tuple[int, bool]]] = {}
        for position, plan in enumerate(plans):
            for parent, name in zip(plan.parents, plan.names, strict=True):
                if not isinstance(parent, int):
                    children = self._children.setdefault(self._positions[id(parent)], [])
                    children.append((position, name is not None))

    def _only_child(self, position: int) -> int | None:
        """Return the one job that waits for the jobs of a plan, if it is one and asks for no result."""
        children = self._children.get(position, [])
        if len(children) == 1 and not children[0][1]:
            ids = self.ids[children[0][0]]
            return ids[0] if len(ids) == 1 else None
        return None

    def node(self, position: int, job_id: int, arguments: str, limit: JobLimit | None) -> PlannedNode:
        """Return one of the jobs of a plan."""
        plan, next_id = self.plans[position], self._only_child(position)
        pending = sum(1 if isinstance(each, int) else len(self.ids[self._positions[id(each)]]) for each in plan.parents)
        return PlannedNode(
            job_id,
            plan,
            arguments,
            pending or None,
            any(isinstance(parent, int) for parent in plan.parents),
            next_id,
            next_id is None and any(self.ids[child] for child, _ in self._children.get(position, ())),
            limit,
        )

    def edges(self, position: int, job_id: int) -> list[Edge]:
        """Return whom one of the jobs of a plan waits for, as far as they do not know of it as the only one."""
        plan, found = self.plans[position], []
        for parent, name in zip(plan.parents, plan.names, strict=True):
            if isinstance(parent, int):
                found.append(Edge(parent, job_id, name, None, False))
                continue
            at = self._positions[id(parent)]
            if name is not None and id(parent) in self._empty:
                found.append(Edge(self._empty[id(parent)], job_id, name, EMPTY_GROUP, True))
            if self._only_child(at) is None:
                is_group = parent.kwargs is not None and name is not None
                found += [
                    Edge(parent_id, job_id, name, place if is_group else None, True)
                    for place, parent_id in enumerate(self.ids[at])
                ]
        return found


def named_empty(plans: Sequence[Planned]) -> list[Planned]:
    """Return the groups of no jobs for which others have names. An id stands for each, which no job has, so that its name is stored."""
    found: dict[int, Planned] = {}
    for plan in plans:
        for parent, name in zip(plan.parents, plan.names, strict=True):
            if name is not None and not isinstance(parent, int) and not parent.count:
                found[id(parent)] = parent
    return list(found.values())


def columns_of(nodes: Sequence[PlannedNode], edges: Sequence[Edge]) -> dict[str, str | None]:
    """Return jobs, and who waits for whom, as arrays for the statement that stores them; None for one that holds nothing."""
    jobs = [node.plan.job for node in nodes]
    terms = [node.terms for node in nodes]
    columns: dict[str, str | None] = {
        "ids": array_of_numbers([node.id for node in nodes]),
        "queues": array_of_texts([job.queue for job in jobs]),
        "task_names": array_of_texts([job.task_name for job in jobs]),
        "priorities": array_of_numbers([job.priority for job in jobs]),
        "locks": array_of_texts([job.lock for job in jobs]) if any(job.lock for job in jobs) else None,
        "args": array_of_texts([node.arguments for node in nodes]),
        "headers": array_of_texts([None if job.headers is None else dump_headers(job.headers) for job in jobs])
        if any(job.headers for job in jobs)
        else None,
        "scheduled_at": array_of_texts([_iso(job.scheduled_at) for job in jobs])
        if any(job.scheduled_at for job in jobs)
        else None,
        "schedule_in": array_of_numbers([job.schedule_in for job in jobs])
        if any(job.schedule_in is not None for job in jobs)
        else None,
        "terms": array_of_texts([json.dumps(each) if each else None for each in terms]) if any(terms) else None,
        "pending": array_of_numbers([node.pending for node in nodes]),
        "run_ifs": array_of_numbers([node.plan.run_if for node in nodes]),
        "unlinked": array_of_flags([node.is_unlinked or None for node in nodes]),
        "nexts": array_of_numbers([node.next_id for node in nodes]),
        "has_dependents": array_of_flags([node.has_dependents or None for node in nodes]),
    }
    none = dict.fromkeys(("parents", "children", "names", "places", "linked"))
    if not edges:
        return {**columns, **none}
    return {
        **columns,
        "parents": array_of_numbers([edge.parent_id for edge in edges]),
        "children": array_of_numbers([edge.child_id for edge in edges]),
        "names": array_of_texts([edge.name for edge in edges]),
        "places": array_of_numbers([edge.place for edge in edges]),
        "linked": array_of_flags([edge.is_linked for edge in edges]),
    }


def _iso(at: datetime.datetime | None) -> str | None:
    return None if at is None else at.astimezone(datetime.UTC).isoformat()
