"""What is going on in a database: figures of queues, workers and jobs, read at a cost that has a bound."""

from __future__ import annotations

from adjourn.monitor.figures import QueueFigures, Rates, RunningJob, Snapshot, TaskFigures, WaitFigures, WorkerFigures
from adjourn.monitor.monitor import Monitor

__all__ = ["Monitor", "QueueFigures", "Rates", "RunningJob", "Snapshot", "TaskFigures", "WaitFigures", "WorkerFigures"]
