"""The backend that stores tasks as jobs."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import SynchronousOnlyOperation
from django.utils import timezone

from adjourn._domain.checks import check_name
from adjourn._domain.jobs import Status
from adjourn._domain.time_checks import check_aware, check_timeout
from adjourn.app import App
from adjourn.contrib.django.names import NAMESPACE, path_of
from adjourn.contrib.django.tasks.arguments import checked_limits, with_rules
from adjourn.contrib.django.tasks.compat import (
    TASK_MAX_PRIORITY,
    TASK_MIN_PRIORITY,
    AnyResult,
    AnyTask,
    BaseTaskBackend,
    InvalidTask,
    InvalidTaskBackend,
    Task,
    TaskResult,
    TaskResultDoesNotExist,
    task_enqueued,
)
from adjourn.contrib.django.tasks.declared import AdjournTask, is_findable, located
from adjourn.contrib.django.tasks.envelopes import Envelope
from adjourn.contrib.django.tasks.options import BackendOptions
from adjourn.contrib.django.tasks.results import result_of
from adjourn.exceptions import AlreadyEnqueued, InvalidOption, TaskNotFound, WrongCaller
from adjourn.jobs import Job
from adjourn.retry import RetryStrategy

__all__ = ["AdjournBackend"]

P = ParamSpec("P")
R = TypeVar("R")

APPLICATION, LABEL = "adjourn.contrib.django", "adjourn"
LARGEST_ID = 2**63 - 1


class AdjournBackend(BaseTaskBackend):
    """Runs the tasks of ``django.tasks`` as jobs of adjourn.

    In the settings: ``TASKS = {"default": {"BACKEND": "adjourn.contrib.django.tasks.AdjournBackend"}}``, and
    ``"adjourn.contrib.django"`` in ``INSTALLED_APPS``.

    Parameters
    ----------
    alias
        Its name in ``TASKS``.
    params
        What ``TASKS`` says of it: ``QUEUES``, and in ``OPTIONS`` what `BackendOptions` has. What is wrong with them is told
        by ``manage.py check``, and when a task is enqueued.
    """

    task_class = AdjournTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        self._problems: list[InvalidOption | str] = []
        queues, options = params.get("QUEUES", ["default"]), params.get("OPTIONS", {})
        super().__init__(alias, {**params, "QUEUES": self._checked_queues(queues), "OPTIONS": options})
        try:
            self.run_options: BackendOptions = BackendOptions.checked(options)
        except InvalidOption as error:
            self.run_options = BackendOptions()
            self._problems.append(error)

    def _checked_queues(self, queues: Any) -> list[str]:
        if isinstance(queues, list | tuple | set | frozenset):
            try:
                for each in queues:
                    check_name("QUEUES", each)
                return list(queues)
            except InvalidOption as error:
                self._problems.append(error)
        else:
            self._problems.append(f"QUEUES={queues!r}: pass a list of names; an empty one allows all.")
        return []

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """Return what is wrong with the settings of this backend.

        Parameters
        ----------
        **kwargs
            What Django passes to its checks.
        """
        found: list[CheckMessage] = [
            Error(f"TASKS[{self.alias!r}]: {problem}", id="adjourn.E008") for problem in self._problems
        ]
        if not apps.is_installed(APPLICATION):
            found.append(
                Error(
                    f"TASKS[{self.alias!r}] has adjourn's backend, but {APPLICATION!r} is not installed.",
                    hint=f"Add {APPLICATION!r} to INSTALLED_APPS, and run `manage.py migrate`.",
                    id="adjourn.E006",
                )
            )
        return found

    def validate_task(self, task: AnyTask) -> None:
        """Refuse a task that cannot be enqueued.

        Raises
        ------
        InvalidTask
            If it is refused; the message says why.
        """
        if isinstance(task.priority, bool) or not isinstance(task.priority, int):
            raise InvalidTask(
                f"priority must be a whole number between {TASK_MIN_PRIORITY} and {TASK_MAX_PRIORITY}. It is {task.priority!r}."
            )
        if task.run_after is not None and not isinstance(task.run_after, datetime.datetime):
            raise InvalidTask(f"run_after must be a datetime. It is {task.run_after!r}.")
        super().validate_task(task)
        try:
            check_name("queue_name", task.queue_name)
            check_name("the task's path", f"{NAMESPACE}:{task.module_path}")
            if (due := _aware(task.run_after)) is not None:
                check_aware("run_after", due)
            if isinstance(task, AdjournTask):
                RetryStrategy.of(task.retry)
                check_timeout(task.timeout)
                check_name("lock", task.lock, optional=True)
                check_name("queueing_lock", task.queueing_lock, optional=True)
                checked_limits(task)
        except InvalidOption as error:
            raise InvalidTask(str(error)) from None

    def enqueue(self, task: Task[P, R], args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult[P, R]:
        """Store a task, in the transaction that is open on Django's connection, or else at once.

        If it is ``unique``, and the job that is there already is kept or replaced, that one's result is returned, and no signal is sent.

        Parameters
        ----------
        task
            The task.
        args, kwargs
            Its arguments.

        Raises
        ------
        InvalidTask
            If the task is not valid, or an argument cannot be stored. Nothing is stored.
        TypeError
            If an argument is of a type that is not JSON. Nothing is stored.
        AlreadyEnqueued
            If its ``queueing_lock`` is taken, or it is ``unique`` and there is one already. Nothing is stored, and the transaction
            goes on.
        InvalidTaskBackend
            If ``TASKS`` is not right, or ``"adjourn.contrib.django"`` is not installed.
        """
        result: TaskResult[P, R]
        result, is_new = self._stored(task, args, kwargs)
        if is_new:
            task_enqueued.send_robust(type(self), task_result=result)
        return result

    async def aenqueue(self, task: Task[P, R], args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult[P, R]:
        """Store a task. See `enqueue`."""
        result: TaskResult[P, R]
        result, is_new = await sync_to_async(self._stored, thread_sensitive=True)(task, args, kwargs)
        if is_new:
            await task_enqueued.asend_robust(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> AnyResult:
        """Look a task up.

        Parameters
        ----------
        result_id
            The ``id`` of a result that `enqueue` has returned.

        Raises
        ------
        TaskResultDoesNotExist
            If there is none.
        InvalidTask
            If the task itself is not there any more.
        """
        self._refuse_wrong_settings()
        job_id = _job_id(result_id)
        with _Naming("aget_result"):
            jobs = [] if job_id is None else self._app.job_manager.list_jobs(id=job_id)
        if not jobs or not jobs[0].task_name.startswith(f"{NAMESPACE}:"):
            raise TaskResultDoesNotExist(result_id)
        return self.result_of(jobs[0])

    def result_of(self, job: Job) -> AnyResult:
        """Return the result that the framework has of a job.

        Parameters
        ----------
        job
            A job that was enqueued by a backend of this kind.

        Raises
        ------
        InvalidTask
            If the task itself is not there any more.
        """
        try:
            task = located(path_of(job.task_name))
        except TaskNotFound as error:
            raise InvalidTask(str(error)) from error
        return result_of(job, task, Envelope.opened(job.task_name, job.task_kwargs))

    def _stored(self, task: AnyTask, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, bool]:
        """Store a task; return its result, and whether it is new."""
        self._refuse_wrong_settings()
        self.validate_task(task)
        if not is_findable(task):
            raise InvalidTask(
                f"Workers find a task by its path, and there is no task {task.module_path!r}. Decorate a function of a module "
                "with @task, and leave its name to the task. The main module of a program has another name in workers."
            )
        envelope = Envelope.sealed(args, kwargs, self.alias, task.run_after)
        deferrer = self._app.configure_task(
            f"{NAMESPACE}:{task.module_path}",
            queue=task.queue_name,
            priority=task.priority,
            lock=getattr(task, "lock", None),
            queueing_lock=getattr(task, "queueing_lock", None),
            schedule_at=_aware(task.run_after),
        )
        if isinstance(task, AdjournTask):
            deferrer.job = with_rules(deferrer.job, task, envelope)
        with _Naming("aenqueue"):
            job = deferrer.defer_job(**envelope.as_arguments())
            if job.enqueued_at is not None:
                return result_of(job, task, envelope), True
            stored = self._app.job_manager.list_jobs(id=job.id)
        if not stored:  # it has ended since, and was deleted
            return result_of(job.evolve(status=Status.TODO.value), task, envelope), False
        if not stored[0].task_name.startswith(f"{NAMESPACE}:"):
            raise AlreadyEnqueued(
                f"Job {job.id} of {stored[0].task_name} has the same unique key, and is no task of this framework, so it has no result."
            )
        return self.result_of(stored[0]), False

    @property
    def _app(self) -> App:
        """The app of the project."""
        app: App = apps.get_app_config(LABEL).app  # type: ignore[attr-defined]
        return app

    def _refuse_wrong_settings(self) -> None:
        for problem in filter(CheckMessage.is_serious, self.check()):
            raise InvalidTaskBackend(" ".join(filter(None, (problem.msg, problem.hint))))


class _Naming:
    """Has the error of a blocking call on an event loop be Django's own, and name the form to await."""

    def __init__(self, awaited: str) -> None:
        self._awaited = awaited

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, WrongCaller):
            raise SynchronousOnlyOperation(
                f"You cannot call this from an async context: `await task.{self._awaited}(...)` there, or use a thread or "
                "sync_to_async."
            ) from error


def _job_id(result_id: Any) -> int | None:
    """Return the id of a job, if this is one: a number as `str` writes it."""
    text = str(result_id)
    if len(text) <= len(str(LARGEST_ID)) and text.isascii() and text.isdigit() and str(int(text)) == text:
        return int(text) if 0 < int(text) <= LARGEST_ID else None
    return None


def _aware(run_after: datetime.datetime | None) -> datetime.datetime | None:
    """Return when a task is due. With ``USE_TZ=False`` a time may be naive, in the current time zone."""
    if run_after is None or timezone.is_aware(run_after) or settings.USE_TZ:
        return run_after
    return timezone.make_aware(run_after, timezone.get_current_timezone())
