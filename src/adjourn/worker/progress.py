"""How far a worker has come with each schedule, and so which ticks it has to defer now."""

from __future__ import annotations

import asyncio
import datetime
import itertools
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import attrs

from adjourn._domain.arguments import check_job
from adjourn._domain.protocols import PeriodicTaskLike
from adjourn._domain.schedules import SkipReason
from adjourn._domain.ticks import LastTick, Tick
from adjourn.sql.constants import CLOCK_TOLERANCE

TICKS_AT_ONCE = 100
"""The most ticks of one schedule that one look defers; the next look follows at once."""
TURN = 20
"""After so many schedules the event loop gets a turn: reading a cron expression takes a tenth of a millisecond."""

Key: TypeAlias = tuple[str, str]


@attrs.frozen(kw_only=True)
class Due:
    """What a worker has to do about one schedule now.

    Attributes
    ----------
    schedule
        The schedule.
    until
        When this is done, all ticks up to this time have been handled.
    ticks
        The ticks, in order.
    reason, max_delay
        Why a tick among them is skipped, and how many seconds late it might have been.
    is_held
        Whether another transaction held up the first of them when it was last tried.
    error
        Why its ticks cannot be deferred; None if they can.
    """

    schedule: PeriodicTaskLike
    until: datetime.datetime
    ticks: Sequence[Tick] = ()
    reason: SkipReason = SkipReason.TOO_LATE
    max_delay: float | None = None
    is_held: bool = False
    error: Exception | None = None

    @property
    def key(self) -> Key:
        """The schedule's key."""
        return _key(self.schedule)


@attrs.define
class _Place:
    since: datetime.datetime
    next: datetime.datetime


class TickProgress:
    """Where a worker is with each of its schedules."""

    def __init__(self) -> None:
        # Up to when the ticks of a schedule are handled, and which is the next.
        self._places: dict[Key, _Place] = {}
        # In how many looks in a row another transaction held a schedule's next tick up.
        self._held: dict[Key, int] = {}
        # When the next tick of a paused schedule is due: a time to look whether it still is.
        self._paused: dict[Key, datetime.datetime] = {}

    @property
    def paused(self) -> set[Key]:
        """The schedules that were paused when they were last looked at."""
        return set(self._paused)

    def knows(self, key: Key) -> bool:
        """Return whether this worker has handled the schedule before."""
        return key in self._places

    def correct(self, now: datetime.datetime, schedules: Mapping[Key, object]) -> None:
        """Forget schedules that the program has no more, and begin anew if the database's clock was far ahead."""
        latest = now + datetime.timedelta(seconds=CLOCK_TOLERANCE)
        self._places = {key: place for key, place in self._places.items() if key in schedules and place.since <= latest}
        self._held = {key: looks for key, looks in self._held.items() if key in schedules}
        self._paused = {key: at for key, at in self._paused.items() if key in schedules}

    async def due(
        self,
        schedules: Mapping[Key, PeriodicTaskLike],
        stored: Mapping[Key, LastTick],
        now: datetime.datetime,
        max_delay: float | None,
    ) -> list[Due]:
        """Find what is to be done now.

        Parameters
        ----------
        schedules
            All schedules.
        stored
            The last ticks that the database has: all of them, or none if this worker has no use for them.
        now
            The database's time.
        max_delay
            The app's ``max_delay``; None if it has none.
        """
        found: list[Due] = []
        looked_at = 0
        for key, schedule in schedules.items():
            place = self._places.get(key)
            if place is not None and place.next > now:
                continue
            looked_at += 1
            if looked_at % TURN == 0:
                await asyncio.sleep(0)
            last = stored.get(key)
            if last is not None and last.is_paused:
                self.has_found_paused(key, schedule, now)
                continue
            self._paused.pop(key, None)
            if place is not None and self._has_caught_up(key, schedule, place, last, now):
                continue
            since = place.since if place is not None else None if last is None else last.at
            try:
                found.append(self._due(schedule, since, now, max_delay))
            except Exception as error:  # of this task alone, whatever it is
                found.append(Due(schedule=schedule, until=now, error=error))
        return found

    def _has_caught_up(
        self,
        key: Key,
        schedule: PeriodicTaskLike,
        place: _Place,
        stored: LastTick | None,
        now: datetime.datetime,
    ) -> bool:
        """Take over what other workers have done, and return whether nothing is left."""
        if stored is None or not place.since < stored.at <= now:
            return False
        self._held.pop(key, None)
        place.since, place.next = stored.at, schedule.cron.next(stored.at)
        return place.next > now

    def _due(
        self,
        schedule: PeriodicTaskLike,
        since: datetime.datetime | None,
        now: datetime.datetime,
        max_delay: float | None,
    ) -> Due:
        key = _key(schedule)
        due = schedule.due(since, now, max_delay, is_up=key in self._places)
        is_held = key in self._held
        # While one tick is held up, the later ones of its schedule would be, too.
        most = 1 if is_held else TICKS_AT_ONCE
        times = list(itertools.islice(due.ticks, most + 1))
        ticks = [] if due.skipped is None else [tick_of(schedule, due.skipped, is_skipped=True)]
        ticks += [tick_of(schedule, at) for at in times[:most]]
        until = times[most - 1] if len(times) > most else now
        return Due(
            schedule=schedule, until=until, ticks=ticks, reason=due.reason, max_delay=due.max_delay, is_held=is_held
        )

    def has_handled_all(self, due: Due) -> None:
        """Record that what was due is done."""
        self._held.pop(due.key, None)
        self._places[due.key] = _Place(due.until, due.schedule.cron.next(due.until))

    def has_reached(self, due: Due, tick: Tick) -> None:
        """Record that the ticks before this one are done, and this one is to be tried again."""
        self._places[due.key] = _Place(tick.at - datetime.timedelta(microseconds=1), tick.at)

    def has_been_held(self, due: Due) -> int:
        """Record that another transaction holds the next tick up, and return for how many looks in a row."""
        self._held[due.key] = self._held.get(due.key, 0) + 1
        return self._held[due.key]

    def has_found_paused(self, key: Key, schedule: PeriodicTaskLike, now: datetime.datetime) -> None:
        """Record that a schedule is paused. When it is resumed, its place is the one that the database has, as for a worker that starts."""
        self._places.pop(key, None)
        self._held.pop(key, None)
        self._paused[key] = schedule.cron.next(now)

    def next_at(self) -> datetime.datetime | None:
        """Return when the first of the next ticks is due; None if none is known."""
        places = [place.next for key, place in self._places.items() if key not in self._held]
        return min((*places, *self._paused.values()), default=None)


def _key(schedule: PeriodicTaskLike) -> Key:
    return schedule.task.name, schedule.periodic_id


def tick_of(schedule: PeriodicTaskLike, at: datetime.datetime, *, is_skipped: bool = False) -> Tick:
    """Return a tick of a schedule, with the job that it defers."""
    job = schedule.task.make_job(**schedule.configure_kwargs)
    job = job.evolve(task_kwargs={**job.task_kwargs, "timestamp": int(at.timestamp())})
    check_job("job", job)
    return Tick(
        periodic_id=schedule.periodic_id,
        cron=schedule.cron.expression,
        timezone=schedule.cron.timezone,
        at=at,
        job=job,
        is_skipped=is_skipped,
    )
