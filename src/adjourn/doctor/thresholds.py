"""From which numbers on something is a warning, or critical."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import attrs

from adjourn._domain.spelling import hint
from adjourn.exceptions import InvalidOption


@attrs.frozen(kw_only=True)
class Thresholds:
    """The numbers from which on a check warns (``..._warn``) or calls it critical (``..._critical``). Times are in seconds.

    Attributes
    ----------
    transaction_warn, transaction_critical
        The age of the oldest open transaction. A queue suffers from one within minutes: vacuum cannot remove finished jobs from
        the table of live ones while it is open.
    xid_age_warn, xid_age_critical
        How many transactions ago the oldest one began that holds vacuum back.
    dead_warn, dead_critical
        How many times more dead rows than autovacuum begins at.
    bloat_warn, bloat_critical
        Bytes of the table of live jobs, or of one of its indexes, if that is also many times what its rows need.
    weeks_ahead_warn
        For fewer weeks than these in advance, there is a partition.
    notify_warn, notify_critical
        The share of the server's queue of notifications that is in use.
    connections_warn, connections_critical
        The share of the connections that are in use.
    ready_warn, ready_critical
        How long a job may wait that could run.
    deaths_warn
        How many workers were declared dead in the last hour.
    run_warn
        How many times longer a job may run than 99 of 100 runs of its task took in the last day. The first minute is free.
    overdue_warn
        How long a scheduled job may be overdue, or one with a lock not placed.
    lock_wait_warn, lock_wait_critical
        How long a job may wait behind its lock.
    queueing_lock_warn
        How long a job that should have run may hold its queueing lock.
    blocked_warn, blocked_critical
        How long a session may wait for another one's lock on one of our tables.
    clock_warn, clock_critical
        The difference between this machine's clock and the server's.
    lag_warn, lag_critical
        How far a standby may be behind.
    history_warn
        How many finished jobs there may be without a task that removes old ones.
    """

    transaction_warn: float = 300.0
    transaction_critical: float = 1800.0
    xid_age_warn: float = 1e6
    xid_age_critical: float = 1e7
    dead_warn: float = 4.0
    dead_critical: float = 20.0
    bloat_warn: float = 256e6
    bloat_critical: float = 2e9
    weeks_ahead_warn: float = 3.0
    notify_warn: float = 0.1
    notify_critical: float = 0.5
    connections_warn: float = 0.8
    connections_critical: float = 0.95
    ready_warn: float = 60.0
    ready_critical: float = 600.0
    deaths_warn: float = 1.0
    run_warn: float = 10.0
    overdue_warn: float = 60.0
    lock_wait_warn: float = 3600.0
    lock_wait_critical: float = 86_400.0
    queueing_lock_warn: float = 86_400.0
    blocked_warn: float = 5.0
    blocked_critical: float = 60.0
    clock_warn: float = 1.0
    clock_critical: float = 10.0
    lag_warn: float = 30.0
    lag_critical: float = 300.0
    history_warn: float = 1e7

    @classmethod
    def of(cls, changes: Mapping[str, float]) -> Thresholds:
        """Return the thresholds with some of them changed.

        Parameters
        ----------
        changes
            The new numbers by name.

        Raises
        ------
        InvalidOption
            If there is none of that name, or a number is not one of zero or more, or is more than a float can be.
        """
        names = tuple(attrs.fields_dict(cls))
        for name, number in changes.items():
            if name not in names:
                raise InvalidOption(f"There is no threshold {name!r}{hint(name, names)} They are: {', '.join(names)}.")
            if (
                isinstance(number, bool)
                or not isinstance(number, (int, float))
                or not 0 <= number <= sys.float_info.max
            ):
                raise InvalidOption(
                    f"The threshold {name}={number!r}: pass a number of zero or more, up to {sys.float_info.max:g}."
                )
        return cls(**changes)
