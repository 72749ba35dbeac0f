"""Whether a worker is alive, and whether it is ready: what follows from what is known of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import attrs

UNREADY_LOOP = 30.0
"""Seconds that the event loop may be blocked before the worker is not ready."""
IDLE_EXCHANGE = 60.0
"""Seconds beyond the polling interval without an exchange, while there was something to exchange."""
OLD_OUTCOME = 300.0
"""Seconds that an outcome may wait to be stored, while the database answers, before a restart is the only help."""
LATE_OUTCOME = 60.0
"""Seconds that it may wait before the worker is not ready."""


@attrs.frozen(kw_only=True)
class Vitals:
    """What is known of a worker. Ages are in seconds; None: there is nothing that has an age.

    Attributes
    ----------
    is_starting, is_stopping
        Whether it has not begun yet, or was asked to stop.
    is_registered
        Whether the database knows it.
    schema_error
        Why the database's schema is not the one that it needs, or None.
    ended
        The part of it that has ended without a stop, or None.
    loop
        For how long its event loop has not turned.
    exchange
        For how long no exchange has succeeded while there was something to exchange.
    beat
        For how long no heartbeat has succeeded.
    answer
        For how long the database has answered neither.
    outcome
        For how long the oldest outcome has waited to be stored.
    answering
        For how long the database has answered since the last outage. What could not be done before is nobody's fault.
    """

    is_starting: bool = False
    is_stopping: bool = False
    is_registered: bool = True
    schema_error: str | None = None
    ended: str | None = None
    loop: float = 0.0
    exchange: float | None = None
    beat: float = 0.0
    answer: float = 0.0
    outcome: float | None = None
    answering: float = math.inf


@attrs.frozen(kw_only=True)
class HealthLimits:
    """From when on an age is too high, in seconds.

    Attributes
    ----------
    stall_after
        For a loop that does not turn; 0 for never.
    outage_patience
        For a database that does not answer; 0 for never.
    polling_interval, stalled_worker_timeout
        The worker's options.
    """

    stall_after: float = 300.0
    outage_patience: float = 0.0
    polling_interval: float = 5.0
    stalled_worker_timeout: float = 30.0


@attrs.frozen(kw_only=True)
class Condition:
    """One thing that has to be so.

    Attributes
    ----------
    name
        What it is called in answers.
    is_live
        Whether a restart would be of no use because of it.
    is_ready
        Whether the worker takes jobs, as far as this goes.
    age, limit
        How many seconds something has lasted, and from how many on the worker is not ready; None where nothing lasts.
    says
        What is wrong, in words; empty if nothing is.
    """

    name: str
    is_live: bool = True
    is_ready: bool = True
    age: float | None = None
    limit: float | None = None
    says: str = ""


@attrs.frozen(kw_only=True)
class Health:
    """What the probes answer."""

    conditions: tuple[Condition, ...]

    @property
    def is_live(self) -> bool:
        """Whether a restart would be of no use."""
        return all(each.is_live for each in self.conditions)

    @property
    def is_ready(self) -> bool:
        """Whether the worker takes jobs."""
        return self.is_live and all(each.is_ready for each in self.conditions)

    def asdict(self, *, verbose: bool) -> dict[str, Any]:
        """Return it for JSON: each condition that does not hold and, if ``verbose``, those that do."""
        shown = [each for each in self.conditions if verbose or each.says]
        return {"live": self.is_live, "ready": self.is_ready, "conditions": [_shown(each) for each in shown]}


def _shown(condition: Condition) -> dict[str, Any]:
    ages = {
        name: None if value is None else round(value, 1)
        for name, value in (("age", condition.age), ("limit", condition.limit))
    }
    return {
        "name": condition.name,
        "live": condition.is_live,
        "ready": condition.is_ready,
        **ages,
        "says": condition.says,
    }


def health_of(vitals: Vitals, limits: HealthLimits) -> Health:
    """Return what follows from what is known of a worker."""
    return Health(conditions=tuple(_conditions(vitals, limits)))


def _conditions(vitals: Vitals, limits: HealthLimits) -> Iterator[Condition]:
    # A restart would throw a drain away, and with it the outcomes of jobs that are about to end.
    yield Condition(
        name="running",
        is_ready=not (vitals.is_starting or vitals.is_stopping),
        says="it is stopping" if vitals.is_stopping else "it is starting" if vitals.is_starting else "",
    )
    is_broken = vitals.ended is not None and not vitals.is_stopping
    yield Condition(
        name="parts", is_live=not is_broken, says=f"its {vitals.ended} has ended without a stop" if is_broken else ""
    )
    is_blocked = vitals.loop >= UNREADY_LOOP
    yield Condition(
        name="loop",
        is_live=not (limits.stall_after and vitals.loop >= limits.stall_after and not vitals.is_stopping),
        is_ready=not is_blocked,
        age=vitals.loop,
        limit=UNREADY_LOOP,
        says="a task blocks its event loop" if is_blocked or _exceeds(vitals.loop, limits.stall_after) else "",
    )
    yield from _of_database(vitals, limits)


def _of_database(vitals: Vitals, limits: HealthLimits) -> Iterator[Condition]:
    yield Condition(
        name="schema",
        is_ready=vitals.schema_error is None,
        says="" if vitals.schema_error is None else f"{vitals.schema_error} Run adjourn schema --apply.",
    )
    is_known = vitals.is_registered or vitals.is_starting
    yield Condition(name="registered", is_ready=is_known, says="" if is_known else "it registers anew")
    silent = limits.stalled_worker_timeout
    is_out = vitals.answer >= silent
    yield Condition(
        name="database",
        is_live=not (limits.outage_patience and vitals.answer >= limits.outage_patience and not vitals.is_stopping),
        is_ready=not is_out,
        age=vitals.answer,
        limit=silent,
        says="the database does not answer" if is_out or _exceeds(vitals.answer, limits.outage_patience) else "",
    )
    may_judge = not is_out and not vitals.is_stopping and vitals.is_registered
    limit = IDLE_EXCHANGE + limits.polling_interval
    is_idle = may_judge and vitals.exchange is not None and min(vitals.exchange, vitals.answering) >= limit
    yield Condition(
        name="exchange",
        is_live=not is_idle,
        age=vitals.exchange,
        limit=limit,
        says="the database answers, and it claims no jobs and stores no outcomes" if is_idle else "",
    )
    is_silent = may_judge and min(vitals.beat, vitals.answering) >= 2 * silent
    yield Condition(
        name="heartbeat",
        is_live=not is_silent,
        age=vitals.beat,
        limit=2 * silent,
        says="the database answers, and it sends no heartbeat" if is_silent else "",
    )
    outcome = min(vitals.outcome, vitals.answering) if may_judge and vitals.outcome is not None else 0.0
    yield Condition(
        name="outcomes",
        is_live=outcome < OLD_OUTCOME,
        is_ready=outcome < LATE_OUTCOME,
        age=vitals.outcome,
        limit=LATE_OUTCOME,
        says="the database answers, and an outcome is not stored" if outcome >= LATE_OUTCOME else "",
    )


def _exceeds(age: float, limit: float) -> bool:
    return bool(limit) and age >= limit
