"""What the durable operations of a context work with."""

from __future__ import annotations

import attrs

from adjourn._domain.jobs import Job
from adjourn._domain.results import ResultRule
from adjourn._domain.runs import Durable, RunLike
from adjourn.connectors.base import BaseConnector
from adjourn.manager.runs import Runs
from adjourn.types import JSONDumps, JSONLoads


@attrs.frozen
class Hand:
    """What the durable operations of a context work with.

    Attributes
    ----------
    job
        The job, as it was claimed.
    run
        Its run.
    runs
        The operations of runs, on the connections of the worker.
    given
        The same, on connections that the task passes.
    connector
        The connector that the task sees.
    rule
        Whether and how results of the task are stored.
    json_dumps, json_loads
        Turn a result into JSON, and back.
    keeps
        Whether a job that has succeeded is kept, even without a result.
    """

    job: Job
    run: RunLike
    runs: Runs
    given: Runs
    connector: BaseConnector
    rule: ResultRule
    json_dumps: JSONDumps
    json_loads: JSONLoads
    keeps: bool

    @property
    def durable(self) -> Durable:
        """What the run has done that lasts longer than it."""
        if self.run.durable is None:
            self.run.durable = Durable()
        return self.run.durable
