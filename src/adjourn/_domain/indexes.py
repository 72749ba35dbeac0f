"""Indexes that a version of the schema adds to finished jobs, partition by partition, and how far they are."""

from __future__ import annotations

from collections.abc import Sequence

import attrs


@attrs.frozen(kw_only=True)
class PartitionIndex:
    """An index on one partition.

    Attributes
    ----------
    name
        The index of the whole table.
    partition
        The partition.
    child
        What the index on the partition is called, or will be.
    state
        ``"missing"``, ``"building"``, ``"invalid"`` if a build was interrupted, ``"built"``, or ``"attached"``, which is the end.
    definition
        Its definition, from ``USING`` on.
    pid, phase, percent, waits_for
        While it is built: the session that does so, what it does, how much of that is done, and the session that it waits for.
    """

    name: str
    partition: str
    child: str
    state: str
    definition: str
    pid: int | None
    phase: str | None
    percent: int | None
    waits_for: int | None


@attrs.frozen(kw_only=True)
class UnbuiltIndex:
    """An index that is not on all partitions of finished jobs yet. What it is for is slow until then, and nothing else.

    Attributes
    ----------
    name
        The index.
    partitions
        How many partitions there are.
    built
        How many of them have it.
    building
        The partition whose index is being built just now, or None.
    phase
        What Postgres does there, in its words, such as ``"building index: scanning table"``; None if nothing is being built.
    percent
        How much of that is done, None if unknown.
    waits_for
        The session whose transaction has to end first, as its process on the server; None if there is none.
    """

    name: str
    partitions: int
    built: int
    building: str | None = None
    phase: str | None = None
    percent: int | None = None
    waits_for: int | None = None

    def __str__(self) -> str:
        words = [f"index {self.name} is on {self.built} of {self.partitions} partitions"]
        if self.building is not None:
            percent = "" if self.percent is None else f" {self.percent} %"
            words.append(f"{self.building}: {self.phase}{percent}")
        if self.waits_for is not None:
            words.append(f"waits for session {self.waits_for}")
        return ", ".join(words)


def unbuilt(parts: Sequence[PartitionIndex]) -> list[UnbuiltIndex]:
    """Return the indexes of these parts, by name."""
    found = []
    for name in sorted({part.name for part in parts}):
        own = [part for part in parts if part.name == name]
        at_work = next((part for part in own if part.pid is not None), None)
        index = UnbuiltIndex(name=name, partitions=len(own), built=sum(part.state == "attached" for part in own))
        if at_work is not None:
            index = attrs.evolve(
                index,
                building=at_work.partition,
                phase=at_work.phase,
                percent=at_work.percent,
                waits_for=at_work.waits_for,
            )
        found.append(index)
    return found
