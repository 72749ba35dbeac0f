"""The first subscriber: makes log records from events. The page about logging describes their fields."""

from __future__ import annotations

import functools

from adjourn.events.records import jobs, schedules, workers
from adjourn.events.records.shared import Writers
from adjourn.events.subscriptions import Events

WRITERS: Writers = {**jobs.WRITERS, **schedules.WRITERS, **workers.WRITERS}


def logged() -> Events:
    """Return the events of an app, with the log as the only subscriber."""
    events = Events()
    for kind, (logger, level, write) in WRITERS.items():
        events.subscribe(kind, write, when=functools.partial(logger.isEnabledFor, level), exactly=True)
    return events


LOGGED: Events = logged()
"""For events that belong to no app."""
