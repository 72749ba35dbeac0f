"""Tests of a Django project that defers jobs.

In a ``TestCase`` everything happens in the test's transaction: a job that the code has deferred is in ``Job.objects`` at once,
and `run_jobs` runs it on the test's own thread and connection. Nothing is left after the test.

A `TransactionTestCase` commits. Django empties the tables of its models after each test, and the class of this module also
empties adjourn's. With pytest-django, the plugin of adjourn does so after each test with ``transactional_db``.
"""

from __future__ import annotations

from typing import Any

import django.test
from asgiref.sync import sync_to_async
from django.core.exceptions import FieldDoesNotExist
from django.db import connections

from adjourn._domain.spelling import hint
from adjourn.contrib.django import writing
from adjourn.contrib.django.models import Job
from adjourn.contrib.django.procrastinate_app import app
from adjourn.contrib.django.settings import settings
from adjourn.exceptions import InvalidOption, UnknownOption
from adjourn.tasks import Task
from adjourn.testing import Drained, clear, drain

__all__ = ["EmptyTablesMixin", "TransactionTestCase", "empty_tables", "make_job", "run_jobs", "run_jobs_async"]


def run_jobs(**options: Any) -> Drained:
    """Run the jobs that are ready, on this thread and on Django's connection, as a worker would.

    In a transaction, as in every ``TestCase``, each job's body is in a savepoint: a job that fails takes back what it did,
    and nothing else. The callbacks that a job gave to ``transaction.on_commit`` are called when it has succeeded.

    Parameters
    ----------
    **options
        Those of `adjourn.testing.drain`: ``queues``, ``until``, ``with_scheduled``, ``recursive``, ``retries``, ``max_jobs``
        and ``raise_failures``.

    Returns
    -------
    Drained
        What became of how many jobs.

    Raises
    ------
    Exception
        What the task of a job has raised that failed for good, unless ``raise_failures`` is False.
    TooManyJobs
        If more than ``max_jobs`` are ready, 1000 by default.
    WrongCaller
        If an event loop runs in this thread: await `run_jobs_async` there.
    """
    return drain(app, connection=connections[settings.DATABASE_ALIAS], **options)


async def run_jobs_async(**options: Any) -> Drained:
    """Run the jobs that are ready, in an asynchronous test: in the thread in which Django's ORM works. See `run_jobs`."""
    drained: Drained = await sync_to_async(run_jobs, thread_sensitive=True)(**options)
    return drained


def make_job(task: Task[Any, Any, Any] | str = "task", /, **columns: Any) -> Job:
    """Store a job as it is described, such as one that failed last year, and return it.

    What is not given is as it is for such a job: one that has ended has begun and ended now, one that runs has a worker. It
    works whatever ``ADJOURN_READONLY_MODELS`` is.

    Parameters
    ----------
    task
        The task, or the name of one that need not exist.
    **columns
        Fields of `Job`: ``status``, ``args``, ``finished_at``, ``errors``, ...

    Raises
    ------
    UnknownOption
        If a job has no such field.
    InvalidOption
        If it is a field that the database makes of others: ``waits_for``, ``is_live`` or ``claim``.
    IntegrityError
        If its lock or its queueing lock is taken.
    """
    for name in columns:
        try:
            field = Job._meta.get_field(name)  # also by its attribute: worker_id
        except FieldDoesNotExist:
            known = [field.name for field in Job._meta.concrete_fields]
            raise UnknownOption(f"make_job: a job has no field {name!r}{hint(name, known)}") from None
        if not field.editable:
            raise InvalidOption(f"make_job: {name} is made by the database from other columns; leave it out.")
    if isinstance(task, str):
        job = Job(task_name=task, **columns)
    else:
        job = Job(**{"task_name": task.name, "queue_name": task.queue, "priority": task.priority, **columns})
    if "attempts" not in columns and job.status in (Job.Status.SUCCEEDED, Job.Status.FAILED, Job.Status.ABORTED):
        job.attempts = 1
    writing.store_job(job)
    stored: Job = Job.objects.get(pk=job.pk)
    return stored


def empty_tables() -> None:
    """Delete all jobs, workers and schedules from the database ``ADJOURN_DATABASE_ALIAS``, if that is a Postgres."""
    connection = connections[settings.DATABASE_ALIAS]
    if connection.vendor == "postgresql":
        clear(app, connection=connection)


class EmptyTablesMixin:
    """Empties adjourn's tables after each test of a ``TransactionTestCase``, or of a subclass such as
    ``LiveServerTestCase``; put it before that class.

    Without it a test finds the jobs of the tests before, because Django empties the tables of managed models alone.
    """

    databases: Any

    def _fixture_teardown(self) -> None:
        super()._fixture_teardown()  # type: ignore[misc]
        if self.databases == "__all__" or settings.DATABASE_ALIAS in self.databases:
            empty_tables()


class TransactionTestCase(EmptyTablesMixin, django.test.TransactionTestCase):
    """Django's ``TransactionTestCase``, and adjourn's tables are empty after each test, too."""
