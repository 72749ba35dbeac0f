"""What happened, written down by those who did it: one file for each process, one line for each event.

A line is written by a single `write` to a file that is opened for appending. So it is whole or missing, and it survives the
process, which may be killed at any moment. Nothing here knows the database: the ledger is compared with it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One event.

    Attributes
    ----------
    event
        What happened, for instance ``begin``.
    process
        Who wrote it: the name of the file.
    monotonic, wall
        When, by the two clocks. The first is the same for all processes of the machine, also for one whose wall clock is wrong.
    facts
        What else is known.
    """

    event: str
    process: str
    monotonic: float
    wall: float
    facts: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.facts[name]

    def get(self, name: str) -> Any:
        """Return a fact, or None."""
        return self.facts.get(name)


class Ledger:
    """A process's file in the directory of a run.

    Parameters
    ----------
    directory
        The run's directory.
    name
        The name of the file, without its ending.
    """

    def __init__(self, directory: Path, name: str) -> None:
        path = directory / f"{name}.jsonl"
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, event: str, **facts: Any) -> float:
        """Write down an event that happens now, and return its monotonic time."""
        now = time.monotonic()
        line = json.dumps({"event": event, "monotonic": now, "wall": time.time(), **facts})
        os.write(self._descriptor, line.encode() + b"\n")
        return now


def read(directory: Path) -> list[Entry]:
    """Return all entries of a run, in the order of the monotonic clock."""
    return sorted(_entries(directory), key=lambda entry: entry.monotonic)


def _entries(directory: Path) -> Iterator[Entry]:
    for path in directory.glob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            facts = json.loads(line)
            yield Entry(facts.pop("event"), path.stem, facts.pop("monotonic"), facts.pop("wall"), facts)
