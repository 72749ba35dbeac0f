"""The numbers that SQL and Python share. SQL text uses them by name: ``@ready``, ``@most_errors``, ...

A number that has been released does not change: rows hold it, and functions of an older release compare with it.
"""

from __future__ import annotations

import enum

from adjourn._domain.workflows import EMPTY_GROUP


class Hold(enum.IntEnum):
    """The column ``hold`` of a job: whether it can be claimed, and if not, what it waits for."""

    READY = 0
    """The job can be claimed, or runs."""
    SCHEDULED = 1
    """It is not due yet."""
    BEHIND = 2
    """It waits behind its lock's head."""
    UNPLACED = 3
    """It has a lock, and no worker has placed it yet."""
    APART = 4
    """It is ready, but its workers have died, perhaps because of it: it is claimed apart from other jobs."""
    UNKNOWN = 5
    """It is ready, and a worker that has claimed it does not know its task: it waits for one that does."""
    HELD = 6
    """Jobs of its lock are still in tables of Procrastinate, from which they are being moved."""
    GATE = 7
    """It waits for a place under the limit ``gate_id``."""
    PAUSED = 8
    """Its queue or task was paused when it was looked at."""
    PARENTS = 10
    """It waits for other jobs to end."""


HEADS = (Hold.READY, Hold.APART, Hold.UNKNOWN, Hold.GATE, Hold.PAUSED)
"""The head of a lock has one of these."""


class RunIf(enum.IntEnum):
    """The column ``run_if`` of a job that waits for others; null for one that runs if they all succeed."""

    ALL_DONE = 1
    """It runs when they have ended."""
    ANY_FAILED = 2
    """It runs when they have ended and one has not succeeded."""


RESCUED_NAMES = 5
"""So many workers that have died a rescue names."""
RESCUED_IDS = 20
"""So many of their jobs it names: the first that are freed, and the first that fail."""
NOTED_IDS = 1_000
"""So many of the jobs of a worker that has died are in its note."""
NOTED_TEXT = 100
"""So many characters of its name, and of that of its host, are in the outcome of the note."""
MOST_LOSSES = 5
"""A job whose worker has died this many times while it ran the job fails."""
APART_FROM = 2
"""A job that so many workers had when they died is claimed apart from others, in company that shrinks with each death."""
FEW_QUEUES = 20
"""A worker of more named queues than these finds out first which of them have jobs."""
FEW_USED = 100
"""Into so many queues that have jobs it looks one by one."""
MOST_WOKEN = 50
"""Of more new jobs than these, all workers that are hungry are notified."""
MOST_FOLLOWERS = 400
"""How many jobs behind the heads of locks one exchange claims, or one behind each head."""
SLOW_LOOK = "5 ms"
"""After a look for ready jobs that takes longer, a worker is told where the next may begin."""
MOST_FLOORS = 50
"""How many priorities, or priorities of queues, have a floor."""
MOST_ERRORS = 10
"""How many errors of a job are kept: the first, and the last ones."""
MANY_DEPENDENTS = 1000
"""If more jobs than these wait for one, the worker that places jobs tells them."""
TURN_WINDOW = 100
"""A job that a limit admits waits for no more than about so many jobs without one, whatever its turn is."""
MOST_PLACED = 1000
"""To so many jobs of a key one transaction gives places, and so many it sets aside."""
MOST_NOTES = 4000
"""So many notes of limits with a free place one transaction reads."""
MOST_KEYS = 200
"""At so many of them it looks."""
BEGUN = 4
"""Added to ``run_if`` of a job that waits in its run for others: those for which it has waited before do not matter any more."""
DUE_LIMIT = 1000
"""How many due jobs one exchange makes ready."""
WEEKS_AHEAD = 8
"""For how many weeks in advance partitions for finished jobs are made."""
RESTING = -1
"""What a worker says that has waited too long for its jobs to end, before it runs one apart: it claims others for a while."""
CLOCK_TOLERANCE = 600
"""Seconds that the server's clock may have been ahead of what it says now; ticks that were recorded from beyond that are
not believed."""
LARGEST_ID = 2**63 - 1
"""The largest number of type bigint."""
LEAST_INTEGER, GREATEST_INTEGER = -(2**31), 2**31 - 1
"""The least and the largest number of type integer."""

NUMBERS: dict[str, int | str] = {
    **{hold.name.lower(): int(hold) for hold in Hold},
    **{rule.name.lower(): int(rule) for rule in RunIf},
    "heads": ", ".join(str(int(hold)) for hold in HEADS),
    "most_losses": MOST_LOSSES,
    "rescued_names": RESCUED_NAMES,
    "rescued_ids": RESCUED_IDS,
    "noted_ids": NOTED_IDS,
    "noted_text": NOTED_TEXT,
    "apart_from": APART_FROM,
    "resting": RESTING,
    "few_queues": FEW_QUEUES,
    "few_used": FEW_USED,
    "most_woken": MOST_WOKEN,
    "most_followers": MOST_FOLLOWERS,
    "slow_look": SLOW_LOOK,
    "most_floors": MOST_FLOORS,
    "most_errors": MOST_ERRORS,
    "turn_window": TURN_WINDOW,
    "most_placed": MOST_PLACED,
    "most_notes": MOST_NOTES,
    "most_keys": MOST_KEYS,
    "begun": BEGUN,
    "empty_group": EMPTY_GROUP,
    "due_limit": DUE_LIMIT,
    "many_dependents": MANY_DEPENDENTS,
    "weeks_ahead": WEEKS_AHEAD,
    "clock_tolerance": CLOCK_TOLERANCE,
    "largest_id": LARGEST_ID,
    "least_integer": LEAST_INTEGER,
    "greatest_integer": GREATEST_INTEGER,
}
"""All numbers, and lists of them, by their names in SQL text."""
