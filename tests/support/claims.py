"""Jobs as workers have claimed them, without a database."""

from __future__ import annotations

import json
from typing import Any

from adjourn._domain.claimed import ClaimedJob
from adjourn._domain.jobs import CLAIMED
from adjourn.types import JSONLoads

SAMPLE = {
    "queue": "q",
    "task_name": "t",
    "priority": 0,
    "args": "{}",
    "attempts": 0,
    "claim": 1,
    "abort_requested": False,
}


def claimed_job(job_id: int, json_loads: JSONLoads = json.loads, **columns: Any) -> ClaimedJob:
    """Return a job that worker 1 has claimed."""
    row = {"id": job_id, **SAMPLE, **columns}
    return ClaimedJob.of([row.get(name) for name in CLAIMED], 1, json_loads)
