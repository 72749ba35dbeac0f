"""The forms of workflows, and what each job of one tells of itself in its arguments."""

from __future__ import annotations

import random
from typing import Any

import adjourn
from adjourn.workflows import Node, RunIf, Workflow

GROUP = 3


def make(app: adjourn.App, key: str, chance: random.Random) -> tuple[Workflow, dict[str, tuple[Node, int]]]:
    """Return a workflow of a form that chance chooses, and for each of its jobs the node, and the place in a group."""
    drawing = Drawing(app, key, chance)
    form = chance.choice([drawing.chain, drawing.group, drawing.diamond, drawing.failing])
    form()
    return drawing.flow(), drawing.nodes


class Drawing:
    """A workflow that is being drawn.

    A job's arguments say whom it waits for, under which rule, whether it fails, and how many jobs the workflow has. So the
    checker can judge workflows of which no deferrer knows whether they were stored.

    Parameters
    ----------
    app
        The app whose tasks they are.
    key
        The name of the workflow; those of its jobs begin with it.
    chance
        What chooses their tasks.
    """

    def __init__(self, app: adjourn.App, key: str, chance: random.Random) -> None:
        self._app = app
        self._key = key
        self._chance = chance
        self._plan: list[tuple[list[list[str]], RunIf, list[dict[str, Any]]]] = []
        self._jobs = 0
        self.nodes: dict[str, tuple[Node, int]] = {}

    def chain(self) -> None:
        """One after the other."""
        last = self._add()
        for _ in range(2):
            last = self._add(last)

    def group(self) -> None:
        """A group, and a callback."""
        self._add(self._add(count=GROUP))

    def diamond(self) -> None:
        """One, two that wait for it, and one that waits for both."""
        top = self._add()
        self._add(self._add(top), self._add(top))

    def failing(self) -> None:
        """A group of which one fails, and all that may wait for it."""
        group = self._add(count=GROUP, fails=1)
        cancelled = self._add(group)
        self._add(cancelled)
        self._add(group, run_if="all_done")
        self._add(group, run_if="any_failed")
        fine = self._add()
        self._add(fine, run_if="any_failed")

    def _add(self, *after: list[str], run_if: RunIf = "all_succeeded", count: int = 1, fails: int = 0) -> list[str]:
        names = [f"{self._key}/{self._jobs + n}" for n in range(count)]
        self._jobs += count
        parents = [name for each in after for name in each]
        jobs = [
            {"key": name, "flow": self._key, "after": parents, "run_if": run_if, "fails": n < fails}
            for n, name in enumerate(names)
        ]
        self._plan.append((list(after), run_if, jobs))
        return names

    def flow(self) -> Workflow:
        """Return the workflow."""
        flow = self._app.workflow(self._key)
        for after, run_if, jobs in self._plan:
            task = self._app.configure_task(self._chance.choice(["node_async", "node_sync"]))
            parents = [self.nodes[names[0]][0] for names in after]
            arguments = [{**each, "of": self._jobs} for each in jobs]
            # With a name they are stored in another way.
            is_named = self._chance.random() < 0.3
            waits = {f"parent {n}": parent for n, parent in enumerate(parents)} if is_named else parents
            rule: dict[str, Any] = {"depends_on": waits, "run_if": run_if} if parents else {}
            if len(arguments) == 1:
                node = flow.add(task, task_kwargs=arguments[0], **rule)
            else:
                node = flow.map(task, arguments, **rule)
            self.nodes |= {each["key"]: (node, n) for n, each in enumerate(jobs)}
        return flow
