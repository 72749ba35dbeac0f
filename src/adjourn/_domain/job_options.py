"""The options that a job is deferred with: only this module says what they do; `ConfigureOptions` has their types.

`make_job` checks them, `Task.configure` documents them, ``adjourn defer`` has a flag for each that a text can say.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from adjourn._domain.options import Option

_AS_OF_THE_TASK = "the task's"

JOB_OPTIONS: Mapping[str, Option] = {
    "lock": Option(
        sentence="of the jobs with the same lock, only one runs at a time, in order of priority and then of deferring",
        none=_AS_OF_THE_TASK,
        reads=str,
    ),
    "queueing_lock": Option(
        sentence="of the jobs with the same queueing lock, only one waits at a time; deferring another fails",
        as_value="it raises `AlreadyEnqueued`",
        none=_AS_OF_THE_TASK,
        reads=str,
    ),
    "task_kwargs": Option(sentence="arguments of every job; those passed to ``defer`` go before", none="no arguments"),
    "schedule_at": Option(
        sentence="do not run the job before this time",
        none="at once",
        reads=datetime.datetime,
        flag="--at",
        metavar="TIME",
        as_value="an aware datetime",
        as_text="ISO 8601 with the offset from UTC, such as 2030-12-31T23:59:00+01:00",
    ),
    "schedule_in": Option(
        sentence="do not run the job before this much time has passed",
        as_value='keywords of `datetime.timedelta`, such as ``{"minutes": 5}``; not together with ``schedule_at``',
        none="at once",
        reads=datetime.timedelta,
        flag="--in",
        metavar="SECONDS",
    ),
    "queue": Option(sentence="the queue that the job waits in", none=_AS_OF_THE_TASK, reads=str),
    "priority": Option(
        sentence="jobs with a higher priority go first; it may be negative",
        none=_AS_OF_THE_TASK,
        reads=int,
        metavar="NUMBER",
    ),
    "unique": Option(
        sentence="which jobs are the same, so that one of them is stored: see `Unique`; not together with ``queueing_lock``",
        none=_AS_OF_THE_TASK,
    ),
    "headers": Option(
        sentence='texts by names that go with the job beside its arguments, such as ``{"tenant": "acme"}``; a task finds them in '
        "``context.job.headers``",
        none="none",
    ),
    "limit_key": Option(
        sentence="the key under the task's limit for each key", none="the one that the arguments make", reads=str
    ),
    "expires_at": Option(
        sentence="if the job has not begun by this time, it does not run any more",
        none="never",
        reads=datetime.datetime,
        metavar="TIME",
        as_value="an aware datetime, after the one when it is due",
        as_text="ISO 8601 with the offset from UTC",
    ),
    "expires_in": Option(
        sentence="if the job has not begun this much time after it is due, it does not run any more",
        as_value='seconds, or keywords of `datetime.timedelta`, such as ``{"minutes": 5}``; not together with ``expires_at``',
        none=_AS_OF_THE_TASK,
        reads=datetime.timedelta,
        metavar="SECONDS",
    ),
    "max_attempts": Option(
        sentence="how often the job is run again at most, after failures and the deaths of its workers together",
        none="what the task's `RetryStrategy` says",
        reads=int,
        metavar="NUMBER",
    ),
    "connection": Option(
        sentence="your own database connection, to store the job in its transaction: the job exists if that commits; of the "
        "connector's driver, synchronous for ``defer`` and asynchronous for ``defer_async``",
        none="one of the app's",
    ),
}
