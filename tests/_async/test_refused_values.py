"""What managers refuse at once, whatever the connector: it is not even open."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest

import adjourn
from adjourn import exceptions
from adjourn._async.managers.jobs import AsyncJobManager
from adjourn._async.managers.schema import AsyncSchemaManager
from adjourn.jobs import Job, Status
from adjourn.testing import InMemoryConnector

JOB = Job(id=7, queue="q", task_name="t", worker_id=1)
NAIVE = datetime.datetime(2026, 1, 1)
NOT_IDS = ["7", 7.0, [7], True, None, 2**63]
NOT_FLAGS = ["no", 0, None]
NOT_FILTERS = [5, "\0"]
NOT_SECONDS = ["x", float("nan"), float("inf"), -1, None]


@pytest.fixture
def manager() -> AsyncJobManager:
    return adjourn.App(connector=InMemoryConnector()).job_manager


COUNTS = (AsyncJobManager.list_queues_async, AsyncJobManager.list_tasks_async, AsyncJobManager.list_locks_async)
CALLS: list[tuple[Callable[..., Any], dict[str, Any], str, list[Any]]] = [
    (AsyncJobManager.get_job_status_async, {}, "job_id", NOT_IDS),
    (AsyncJobManager.get_progress_async, {}, "job_id", NOT_IDS),
    (AsyncJobManager.get_workflow_async, {}, "workflow_id", NOT_IDS),
    (AsyncJobManager.cancel_workflow_async, {}, "workflow_id", NOT_IDS),
    (AsyncJobManager.cancel_workflow_async, {"workflow_id": 7}, "abort", NOT_FLAGS),
    (AsyncJobManager.close_workflow_async, {}, "workflow_id", NOT_IDS),
    (AsyncJobManager.retry_workflow_async, {}, "workflow_id", NOT_IDS),
    (AsyncJobManager.wait_for_workflow_async, {}, "workflow_id", NOT_IDS),
    (AsyncJobManager.wait_for_workflow_async, {"workflow_id": 7}, "timeout", NOT_SECONDS[:-1]),
    (AsyncJobManager.get_result_async, {}, "job_id", NOT_IDS),
    (AsyncJobManager.get_result_async, {"job_id": 7}, "timeout", NOT_SECONDS[:-1]),
    (AsyncJobManager.wait_for_job_async, {}, "job_id", NOT_IDS),
    (AsyncJobManager.wait_for_job_async, {"job_id": 7}, "timeout", NOT_SECONDS[:-1]),
    (AsyncJobManager.wait_for_jobs_async, {}, "job_ids", [5, "7", *([7, wrong] for wrong in NOT_IDS)]),
    (AsyncJobManager.wait_for_jobs_async, {"job_ids": [7]}, "timeout", NOT_SECONDS[:-1]),
    (AsyncJobManager.cancel_job_by_id_async, {}, "job_id", NOT_IDS),
    (AsyncJobManager.cancel_job_by_id_async, {"job_id": 7}, "abort", NOT_FLAGS),
    (AsyncJobManager.cancel_job_by_id_async, {"job_id": 7}, "delete_job", NOT_FLAGS),
    (AsyncJobManager.retry_job_by_id_async, {}, "job_id", NOT_IDS),
    (
        AsyncJobManager.retry_job_by_id_async,
        {"job_id": 7},
        "retry_at",
        [NAIVE, datetime.datetime.min.replace(tzinfo=datetime.UTC)],
    ),
    (AsyncJobManager.retry_job_async, {}, "job", [5, None]),
    *(
        (change, {}, "job_ids", [5, "7", *([7, wrong] for wrong in NOT_IDS)])
        for change in (
            AsyncJobManager.cancel_jobs_async,
            AsyncJobManager.abort_jobs_async,
            AsyncJobManager.retry_jobs_async,
            AsyncJobManager.delete_jobs_async,
        )
    ),
    *(
        (change, {"queue": "q"}, "progress", [5, "print", lambda: None])
        for change in (
            AsyncJobManager.cancel_jobs_async,
            AsyncJobManager.retry_jobs_async,
            AsyncJobManager.delete_jobs_async,
        )
    ),
    (AsyncJobManager.delete_old_jobs_async, {"nb_hours": 1}, "progress", [5, "print", lambda: None]),
    (AsyncJobManager.change_jobs_async, {"priority": 1}, "job_ids", [5, "7", *([7, wrong] for wrong in NOT_IDS)]),
    (AsyncJobManager.change_jobs_async, {"job_ids": [7]}, "priority", ["1", 2**31]),
    (AsyncJobManager.change_jobs_async, {"job_ids": [7]}, "move_to", [5, ""]),
    (AsyncJobManager.change_jobs_async, {"priority": 1}, "task", [5]),
    (AsyncJobManager.retry_jobs_async, {"job_ids": [7]}, "retry_at", [NAIVE, "now"]),
    (AsyncJobManager.change_jobs_async, {"job_ids": [7]}, "schedule_at", [NAIVE, "now"]),
    (AsyncJobManager.change_jobs_async, {"job_ids": [7], "priority": 1}, "now", NOT_FLAGS),
    (AsyncJobManager.retry_jobs_async, {"job_ids": [7]}, "statuses", ["failed", 5, ["done"]]),
    (AsyncJobManager.list_jobs_async, {}, "id", ["7", True, 2**63]),
    (AsyncJobManager.list_jobs_async, {}, "worker_id", ["7", True, 2**63]),
    (AsyncJobManager.list_jobs_async, {}, "workflow_id", ["7", True, 2**63]),
    (AsyncJobManager.list_jobs_async, {}, "error", NOT_FILTERS),
    (AsyncJobManager.list_jobs_async, {}, "finished_after", [NAIVE, "now"]),
    (AsyncJobManager.list_jobs_async, {}, "finished_before", [NAIVE, "now"]),
    (AsyncJobManager.list_workflows_async, {}, "status", ["ended", 5]),
    (AsyncJobManager.list_workflows_async, {}, "limit", [-1, "7", True]),
    (AsyncJobManager.list_workflows_async, {}, "before_id", ["7", True, 2**63]),
    *((AsyncJobManager.list_jobs_async, {}, name, NOT_FILTERS) for name in ("queue", "task", "lock", "queueing_lock")),
    *((count, {}, name, NOT_FILTERS) for count in COUNTS for name in ("queue", "task", "lock")),
    *((count, {}, "live_only", NOT_FLAGS) for count in COUNTS),
    *((look, {}, "waits_for", ["tasks", "", 5, True]) for look in (*COUNTS, AsyncJobManager.list_jobs_async)),
    (AsyncJobManager.get_stalled_jobs_async, {}, "seconds_since_heartbeat", NOT_SECONDS),
    (AsyncJobManager.get_stalled_jobs_async, {}, "nb_seconds", ["x", -1]),
    (AsyncJobManager.get_stalled_jobs_async, {}, "queue", NOT_FILTERS),
    (AsyncJobManager.get_stalled_jobs_async, {}, "task_name", NOT_FILTERS),
    (AsyncJobManager.delete_old_jobs_async, {"nb_hours": 1}, "queue", NOT_FILTERS),
    *(
        (AsyncJobManager.delete_old_jobs_async, {"nb_hours": 1}, f"include_{what}", NOT_FLAGS)
        for what in ("failed", "cancelled", "aborted")
    ),
    (
        AsyncJobManager.defer_job_async,
        {},
        "job",
        [5, JOB.evolve(queue=""), JOB.evolve(lock=5), JOB.evolve(scheduled_at=NAIVE)],
    ),
    (
        AsyncJobManager.batch_defer_jobs_async,
        {},
        "jobs",
        [5, [JOB, 5], [JOB.evolve(task_kwargs=5)], [JOB.evolve(queueing_lock="")]],
    ),
    (
        AsyncJobManager.batch_defer_alike_async,
        {"arguments": [{}]},
        "job",
        [5, JOB.evolve(queue=""), JOB.evolve(lock=5), JOB.evolve(scheduled_at=NAIVE)],
    ),
    (
        AsyncJobManager.batch_defer_alike_async,
        {"job": JOB},
        "arguments",
        [5, "ab", {"a": 1}, [{}, 5], [[]], [None]],
    ),
    (
        AsyncJobManager.defer_periodic_job_async,
        {"periodic_id": "", "defer_timestamp": 0},
        "job",
        [5, JOB.evolve(queue="")],
    ),
    (AsyncJobManager.defer_periodic_job_async, {"job": JOB, "defer_timestamp": 0}, "periodic_id", [5, "\0"]),
    (
        AsyncJobManager.defer_periodic_job_async,
        {"job": JOB, "periodic_id": ""},
        "defer_timestamp",
        ["x", 1.5, None, 10**12, 10**18],
    ),
    (
        AsyncJobManager.defer_periodic_job_async,
        {"job": JOB, "periodic_id": "", "defer_timestamp": 0},
        "cron",
        ["often", 5],
    ),
    (
        AsyncJobManager.defer_periodic_job_async,
        {"job": JOB, "periodic_id": "", "defer_timestamp": 0},
        "timezone",
        ["Mars", 5, ""],
    ),
    (
        AsyncJobManager.keep_schedules_async,
        {"seconds": 1},
        "known",
        [5, [5], [("t",)], [("t", 5)], [("t", "\0")], "ab"],
    ),
    (AsyncJobManager.keep_schedules_async, {"known": []}, "seconds", NOT_SECONDS),
    (AsyncJobManager.pause_schedule_async, {}, "task", ["", 5, "\0"]),
    (AsyncJobManager.pause_schedule_async, {"task": "t"}, "periodic_id", [5, "\0"]),
    (AsyncJobManager.pause_schedule_async, {"task": "t"}, "cron", ["often", 5]),
    (AsyncJobManager.pause_schedule_async, {"task": "t"}, "seconds", [0, -1, "1", float("nan")]),
    (AsyncJobManager.pause_schedule_async, {"task": "t"}, "until", [5, "tomorrow"]),
    (AsyncJobManager.pause_schedule_async, {"task": "t"}, "reason", ["", 5, "\0"]),
    (AsyncJobManager.resume_schedule_async, {"task": "t", "cron": "@daily"}, "timezone", ["Mars", 5, ""]),
    (AsyncJobManager.register_worker_async, {}, "name", ["", 5]),
    (AsyncJobManager.register_worker_async, {}, "queues", ["q", 5, [5]]),
    (AsyncJobManager.register_worker_async, {}, "timeout", [*NOT_SECONDS, 0]),
    (AsyncJobManager.unregister_worker_async, {}, "worker_id", NOT_IDS),
    (AsyncJobManager.update_heartbeat_async, {}, "worker_id", NOT_IDS),
    (AsyncJobManager.update_heartbeat_async, {"worker_id": 1}, "timeout", [*NOT_SECONDS, 0]),
    (AsyncJobManager.prune_stalled_workers_async, {}, "seconds_since_heartbeat", NOT_SECONDS),
    (AsyncJobManager.fetch_job_async, {"worker_id": 1}, "queues", ["q", 5, [5]]),
    (AsyncJobManager.fetch_job_async, {"queues": None}, "worker_id", NOT_IDS),
    (AsyncJobManager.finish_job_async, {"status": Status.FAILED}, "job", [5, None]),
    (AsyncJobManager.finish_job_async, {"job": JOB, "status": Status.FAILED}, "delete_job", NOT_FLAGS),
    (AsyncJobManager.finish_job_async, {"job": JOB}, "status", ["todo", 5, []]),
    (AsyncJobManager.finish_job_by_id_async, {"status": Status.FAILED}, "job_id", NOT_IDS),
    (AsyncJobManager.list_jobs_to_abort_async, {}, "queue", NOT_FILTERS),
]


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [(operation, {**fine, name: value}) for operation, fine, name, values in CALLS for value in values],
)
async def test_a_value_of_another_kind_is_refused_by_the_argument_s_name(
    manager: AsyncJobManager, operation: Callable[..., Any], arguments: dict[str, Any]
) -> None:
    name = list(arguments)[-1]
    call = getattr(manager, operation.__name__)
    with pytest.raises(exceptions.InvalidOption, match=rf"^{name}\b"):
        await call(**arguments)


async def test_managers_refuse_what_is_no_connector_and_what_is_no_schema() -> None:
    given: Any
    for kind in (AsyncJobManager, AsyncSchemaManager):
        for given in (5, None, "postgresql://"):
            with pytest.raises(exceptions.InvalidOption, match=r"^connector=.*PsycopgConnector"):
                kind(given)
        for given in (5, "", "a$b", "\0", "x" * 64):
            with pytest.raises(exceptions.InvalidOption, match=r"^schema="):
                kind(InMemoryConnector(), given)
