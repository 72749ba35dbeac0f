"""What is going on in a database: figures of queues, workers and jobs, read at a cost that has a bound."""

from __future__ import annotations

from adjourn._domain.statistics import Durations
from adjourn.monitor.figures import QueueFigures, Rates, RunningJob, Snapshot, TaskFigures, WaitFigures, WorkerFigures
from adjourn.monitor.monitor import Monitor
from adjourn.monitor.reader import Reader
from adjourn.monitor.statistics import PeriodFigures, statistics

__all__ = [
    "Durations",
    "Monitor",
    "PeriodFigures",
    "QueueFigures",
    "Rates",
    "Reader",
    "RunningJob",
    "Snapshot",
    "TaskFigures",
    "WaitFigures",
    "WorkerFigures",
    "statistics",
]
