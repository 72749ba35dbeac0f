"""Why jobs of a queue wait that could run otherwise, in words: the same for all who tell it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from adjourn._domain.wording import counted, shown, verb
from adjourn.monitor.slots import SlotCount, queues_by_worker, serving_of, slots_of

NOTICEABLE = 10.0
"""From how many seconds on a wait is worth a look."""
UNSERVED = "no worker that is alive serves it"
"""Why jobs of a queue wait that nobody serves."""
SAMPLE = 1_000
"""Of how many jobs that wait for a limit ``sql/monitor/limits`` says in which queues they are."""


@attrs.frozen(kw_only=True)
class Held:
    """What a limit holds back in a queue.

    Attributes
    ----------
    scope, name
        Whose limit it is: ``"queue"``, ``"task"`` or ``"key"``, and its name.
    jobs
        How many jobs of the queue wait for it.
    is_capped
        Whether there may be more.
    """

    scope: str
    name: str
    jobs: int
    is_capped: bool = False

    @property
    def told(self) -> str:
        """The limit and how many jobs it holds back: ``the limit of task send holds back 3 jobs``."""
        return f"{told_limit(self.scope, self.name, is_own=True)} holds back {counted(self.jobs, 'job')}{' or more' if self.is_capped else ''}"


def told_limit(scope: str, name: str, *, is_own: bool = False) -> str:
    """Return what a limit is called: ``the limit of task send``, ``limit tenant``.

    Parameters
    ----------
    is_own
        Whether the sentence is about the queue whose limit it is.
    """
    if scope == "key":
        return f"limit {shown(name)}"
    return "its limit" if scope == "queue" and is_own else f"the limit of {scope} {shown(name)}"


def held_back(limits: Iterable[Mapping[str, Any]]) -> Mapping[str, Sequence[Held]]:
    """Return what limits hold back in each queue, those that hold back most first, from rows of ``sql/monitor/limits``."""
    found: dict[str, list[Held]] = {}
    for row in limits:
        own = {row["name"]: row["waiting"]} if row["scope"] == "queue" else {}
        capped = row["is_capped"] if own else row["waiting"] >= SAMPLE
        for queue, jobs in (own or row["queues"] or {}).items():
            if jobs:
                held = Held(scope=row["scope"], name=row["name"], jobs=jobs, is_capped=capped)
                found.setdefault(queue, []).append(held)
    return {queue: sorted(each, key=lambda held: (-held.jobs, held.scope, held.name)) for queue, each in found.items()}


def told_held(held: Sequence[Held]) -> str:
    """Return what limits hold back in a queue; empty for none."""
    if not held:
        return ""
    first, *others = held
    text = first.told
    return f"{text}; so {verb(len(others), 'does', 'do')} {counted(len(others), 'other limit')}" if others else text


def why_late(slots: SlotCount, held: Sequence[Held], *, is_served: bool) -> str:
    """Return why jobs of a queue wait that are ready; empty if what is told besides says it.

    Parameters
    ----------
    slots
        The slots of the workers that serve the queue.
    held
        What limits hold back there, which is told besides.
    is_served
        Whether a worker that is alive serves it; if none does, that is told besides.
    """
    if not is_served:
        return ""
    # A job that is ready has passed its limits, so what they hold back is never why it waits.
    return slots.told


def why_waits(
    crew: Sequence[Mapping[str, Any]], working: Iterable[Mapping[str, Any]], queue: str, seconds: float
) -> str:
    """Return why a job of a queue waits that is ready and not paused, as the queue's page says it; empty if a worker is about to take it.

    Parameters
    ----------
    crew, working
        Rows of ``sql/monitor/crew`` and of ``sql/monitor/working``.
    queue
        Its queue.
    seconds
        For how long it has been ready.
    """
    if not serving_of(crew, queue):
        return UNSERVED
    slots = slots_of(crew, queues_by_worker(working), queue)
    return slots.told if slots.are_full or seconds >= NOTICEABLE else ""
