"""The classes that users hold are what the protocols of the ground floor say; the type checker does the checking."""

from __future__ import annotations

import adjourn
from adjourn._domain.jobs import Job
from adjourn._domain.protocols import AppLike, ContextLike, TaskLike, WorkerLike
from adjourn.testing import InMemoryConnector
from adjourn.worker import Worker
from adjourn.worker.options import Options


def test_an_app_its_tasks_a_context_and_a_worker_are_what_lower_rooms_know_of_them() -> None:
    app = adjourn.App(connector=InMemoryConnector())

    @app.task(name="add", timeout=2)
    def add() -> None: ...

    known_app: AppLike = app
    known_task: TaskLike = known_app.tasks["add"]
    known_worker: WorkerLike[Options] = Worker(app)
    known_context: ContextLike = known_app.make_context(known_task.make_job(), start_timestamp=1.0)
    assert known_task.timeout == 2
    assert known_worker.app is known_app
    assert known_context.app is known_app
    assert known_context.job.task_name == "add"
    assert not known_context.should_abort()


def test_the_context_that_an_app_makes_is_the_one_that_users_know() -> None:
    app = adjourn.App(connector=InMemoryConnector())
    job = Job(queue="q", task_name="t")
    made = app.make_context(job, start_timestamp=1.0, worker_name="w", additional_context={"a": 1})
    assert made == adjourn.JobContext(
        app=app, job=job, start_timestamp=1.0, worker_name="w", additional_context={"a": 1}
    )
