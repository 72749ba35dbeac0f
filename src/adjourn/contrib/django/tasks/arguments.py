"""The arguments of a task of the framework by their names, for what depends on them: its limits, and which of its jobs are the same."""

from __future__ import annotations

import inspect
import json
from typing import Any

import attrs

from adjourn._domain.arguments import Signature
from adjourn._domain.checks import check_unique
from adjourn._domain.job_limits import TaskLimits, check_names_agree, checked_limit_key
from adjourn._domain.jobs import Job
from adjourn.contrib.django.limited import LIMITED
from adjourn.contrib.django.names import NAMESPACE
from adjourn.contrib.django.tasks.compat import AnyTask, InvalidTask
from adjourn.contrib.django.tasks.envelopes import Envelope
from adjourn.exceptions import InvalidOption
from adjourn.unique import Unique

__all__ = ["checked_limits", "declare", "with_rules"]

VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@attrs.frozen(kw_only=True)
class BoundUnique(Unique):
    """A rule for one job, which knows the arguments that are in its envelope.

    Attributes
    ----------
    arguments
        The task's arguments by their names, as JSON.
    """

    arguments: str = "{}"

    def stored_key(self, task_name: str, arguments: str) -> str:
        """Return the text that the same jobs have in common. See `Unique.stored_key`."""
        return Unique.stored_key(self, task_name, self.arguments)


def checked_limits(task: Any) -> TaskLimits | None:
    """Check what a task says of limits and of which jobs are the same, and return its limits; None for none.

    Parameters
    ----------
    task
        An `AdjournTask`.

    Raises
    ------
    InvalidOption
        If something is not valid.
    """
    check_unique(task.unique, task.queueing_lock)
    limits = None
    if task.unique is not None or task.limits != ():
        signature = _signature_of(task)
        signature.check_unique(task.unique)
        limits = TaskLimits.checked(task.limits, task.module_path, signature, task.func)
        name = _name_of(task)
        check_names_agree(limits, (each for other, each in LIMITED.items() if other != name))
    checked_limit_key(task.limit_key, limits)
    return limits


def with_rules(job: Job, task: Any, envelope: Envelope) -> Job:
    """Return a job with the key of its limit, and with the one that the same jobs have.

    Parameters
    ----------
    job
        The job, without them.
    task
        An `AdjournTask` that is checked.
    envelope
        The arguments.

    Raises
    ------
    InvalidTask
        If the task does not take these arguments, or they make no key.
    """
    limits = LIMITED[_name_of(task)] if task.limits != () else None
    if task.unique is None and limits is None:
        return job
    arguments = _by_name(task, envelope)
    rule = task.unique
    if rule is not None:
        given = {each.name: getattr(rule, each.name) for each in attrs.fields(Unique)}
        job = job.evolve(unique=BoundUnique(**given, arguments=json.dumps(arguments)))
    if limits is not None:
        try:
            job = job.evolve(limit=limits.of_job(job.task_name, arguments, task.limit_key))
        except InvalidOption as error:
            raise InvalidTask(f"{task.module_path}: {error}") from None
    return job


def declare(task: Any) -> None:
    """Check the limits of a task, and note them for workers and for each of its jobs.

    Raises
    ------
    InvalidOption
        If they are not valid.
    """
    if (limits := checked_limits(task)) is not None:
        LIMITED[_name_of(task)] = limits


def _name_of(task: AnyTask) -> str:
    """Return the name of a task's jobs."""
    return f"{NAMESPACE}:{task.module_path}"


def _parameters_of(task: AnyTask) -> list[inspect.Parameter]:
    parameters = list(inspect.signature(task.func, follow_wrapped=False).parameters.values())
    return parameters[1:] if task.takes_context else parameters


def _signature_of(task: AnyTask) -> Signature:
    """Return the arguments that a task takes. Those of the framework may be positional."""
    parameters = _parameters_of(task)
    named = [each for each in parameters if each.kind not in VARIABLE]
    required = frozenset(each.name for each in named if each.default is each.empty)
    optional = frozenset(each.name for each in named) - required
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters)
    return Signature(task.module_path, True, required, optional, takes_any)


def _by_name(task: AnyTask, envelope: Envelope) -> dict[str, Any]:
    """Return the arguments in an envelope by their names."""
    signature = inspect.Signature(_parameters_of(task))
    try:
        given = signature.bind(*envelope.args, **envelope.kwargs).arguments
    except TypeError as error:
        raise InvalidTask(
            f"{task.module_path}: {error}. Which jobs are the same, and which limit they have, depends on the arguments."
        ) from None
    arguments: dict[str, Any] = {}
    for name, value in given.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            arguments.update(value)
        else:
            arguments[name] = value
    return arguments
