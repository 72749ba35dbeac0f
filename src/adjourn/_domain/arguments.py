"""The arguments of a job: whether its task takes them, how they become JSON, and whether a job can be stored at all."""

from __future__ import annotations

import inspect
import json
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from adjourn._domain.checks import check_name, check_priority, check_unique, is_storable
from adjourn._domain.headers import checked_headers
from adjourn._domain.jobs import Job
from adjourn._domain.json_text import dumped
from adjourn._domain.spelling import closest, hint
from adjourn._domain.time_checks import check_aware, check_delay
from adjourn.exceptions import InvalidOption, InvalidTaskArguments
from adjourn.types import JSONDumps
from adjourn.unique import Unique


@attrs.frozen
class Signature:
    """The keyword arguments that a task takes.

    Attributes
    ----------
    task_name
        The task's name, for messages.
    known
        Whether the task's function is known here; if not, every keyword is accepted.
    required, optional
        The names of its arguments.
    takes_any
        Whether it has ``**kwargs``.
    """

    task_name: str
    known: bool = False
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    takes_any: bool = True

    @classmethod
    def of(cls, task_name: str, function: Callable[..., Any], pass_context: bool) -> Signature:
        """Read the signature of a function, without the first parameter if that is the job's context.

        Raises
        ------
        InvalidOption
            If the function has a parameter that no job can fill, or no parameter for the context.
        """
        try:
            # Do not follow ``__wrapped__``: a decorator may take other arguments than the function inside it.
            parameters = list(inspect.signature(function, follow_wrapped=False).parameters.values())
        except (TypeError, ValueError):  # a builtin without a signature
            return cls(task_name)
        if pass_context:
            if not parameters or parameters[0].kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
                message = f"Task {task_name}: pass_context=True needs a function whose first parameter is the context."
                raise InvalidOption(message)
            if parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
                parameters = parameters[1:]
        required: set[str] = set()
        optional: set[str] = set()
        takes_any = False
        for parameter in parameters:
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                takes_any = True
            elif parameter.kind is inspect.Parameter.POSITIONAL_ONLY and parameter.default is parameter.empty:
                message = (
                    f"Task {task_name}: parameter {parameter.name!r} is positional-only, and jobs pass their arguments "
                    "by keyword. Remove the `/` from the function's signature."
                )
                raise InvalidOption(message)
            elif parameter.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
                (required if parameter.default is parameter.empty else optional).add(parameter.name)
        return cls(task_name, True, frozenset(required), frozenset(optional), takes_any)

    def check(self, positional: tuple[Any, ...], keywords: Any) -> None:
        """Refuse arguments that the task cannot be called with.

        Raises
        ------
        InvalidTaskArguments
            If it cannot be called; the message names the task, the argument and what to pass instead.
        """
        if positional:
            hint = f", such as {next(iter(sorted(self.required)))}=..." if self.required else ""
            self._refuse(f"positional argument {positional[0]!r}: pass every argument by its name{hint}.")
        if not isinstance(keywords, Mapping):
            self._refuse(f"{keywords!r} is not a dictionary of arguments: pass one dictionary for each job.")
        self.check_names(keywords)
        if self.known and (missing := self.required - keywords.keys()):
            # With ``**kwargs`` it takes any other argument, even a misspelled one.
            others = [name for name in keywords if name not in self.optional and closest(name, missing)]
            doubt = f" ({_listed(others)} may be a misspelling)" if others else ""
            self._refuse(f"missing argument {_listed(missing)}: pass it by name{doubt}.")

    def check_names(self, keywords: Mapping[Any, Any]) -> None:
        """Refuse arguments that the task does not take; required ones may still be missing.

        Raises
        ------
        InvalidTaskArguments
            If it does not take an argument; the message names the task, the argument and what the task takes.
        """
        for name in keywords:
            if not isinstance(name, str):
                self._refuse(f"argument names are strings, not {name!r}.")
        if self.known:
            names = self.required | self.optional
            unknown = keywords.keys() - names
            if unknown and not self.takes_any:
                meant = [name for each in sorted(unknown) if (name := closest(each, names - keywords.keys()))]
                question = f"; did you mean {_listed(meant)}?" if meant else "."
                takes = f"It takes {_listed(names)}." if names else "It takes none."
                self._refuse(f"takes no argument {_listed(unknown)}{question} {takes}")

    def check_sensitive(self, name: str) -> None:
        """Refuse the name of an argument that the task does not take.

        Raises
        ------
        InvalidOption
            If it takes none of this name; the message says what it takes.
        """
        names = self.required | self.optional
        if self.known and not self.takes_any and name not in names:
            raise InvalidOption(
                f"sensitive: task {self.task_name} takes no argument {name!r}{hint(name, names)} It takes "
                f"{_listed(names) if names else 'none'}."
            )

    def check_unique(self, unique: Unique | None) -> None:
        """Refuse a rule that names arguments which the task does not take.

        Raises
        ------
        InvalidOption
            If it names one; the message says what the task takes.
        """
        if unique is None or isinstance(unique.args, bool) or not self.known or self.takes_any:
            return
        names = self.required | self.optional
        for name in unique.args:
            if name not in names:
                raise InvalidOption(
                    f"unique: task {self.task_name} takes no argument {name!r}{hint(name, names)} It takes "
                    f"{_listed(names) if names else 'none'}."
                )

    def _refuse(self, reason: str) -> None:
        raise InvalidTaskArguments(f"Task {self.task_name}: {reason}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))


def check_is_job(argument: str, job: Any) -> None:
    """Refuse anything that is not a job.

    Raises
    ------
    InvalidOption
        If it is not one; the message names the argument.
    """
    if not isinstance(job, Job):
        raise InvalidOption(f"{argument}={job!r}: pass a Job, such as list_jobs() returns or task.configure(...).job.")


def check_job(argument: str, job: Any) -> None:
    """Refuse anything that is not a job, and a job that was made by hand with values that a task's job cannot have.

    Raises
    ------
    InvalidOption
        If it is refused; the message names the argument and the attribute.
    """
    check_is_job(argument, job)
    try:
        check_name("queue", job.queue)
        check_name("task_name", job.task_name)
        # This runs for every deferred job, so it checks only what is necessary.
        if job.lock is not None:
            check_name("lock", job.lock)
        if job.queueing_lock is not None:
            check_name("queueing_lock", job.queueing_lock)
        check_priority(job.priority)
        if job.unique is not None:
            check_unique(job.unique, job.queueing_lock)
        if job.scheduled_at is not None:
            check_aware("scheduled_at", job.scheduled_at)
        if job.schedule_in is not None:
            check_delay("schedule_in", job.schedule_in)
        if not isinstance(job.task_kwargs, dict):
            raise InvalidOption(f"task_kwargs={job.task_kwargs!r}: pass a dictionary of arguments.")
        if job.headers is not None:
            checked_headers(job.headers)
    except InvalidOption as error:
        raise InvalidOption(f"{argument}.{error}") from None


def dump_arguments(task_name: str, arguments: Mapping[str, Any], json_dumps: JSONDumps) -> str:
    """Turn a job's arguments into JSON.

    Raises
    ------
    InvalidTaskArguments
        If an argument cannot be stored; the message names the task and the first such argument.
    InvalidOption
        If ``json_dumps`` does not return the text of a JSON object.
    """
    try:
        text = dumped_text(dumped(dict(arguments), json_dumps))
        is_object = isinstance(text, str) and text.lstrip().startswith("{")
        if is_object:
            check_storable(text)
    except Exception as error:  # the encoder may be the user's own
        name, reason = _culprit(arguments, json_dumps, error)
        raise InvalidTaskArguments(
            f"Task {task_name}: argument {name!r} cannot be stored as JSON ({reason}). Pass plain values, or give the "
            "connector a json_dumps that knows the type."
        ) from error
    if not is_object:
        remedy = "return a JSON object for a dictionary" if isinstance(text, str) else "return str, or bytes of UTF-8"
        raise InvalidOption(f"json_dumps made {reprlib.repr(text)} of the arguments of task {task_name}: {remedy}.")
    return str(text)


def has_marks(text: str) -> bool:
    """Return whether JSON that Python has written has one of the marks, without which Postgres accepts it."""
    # Each result is searched, so the marks are not in a list.
    return (
        not text.isascii() or "\\u0000" in text or "\\ud" in text or "\0" in text or "NaN" in text or "Infinity" in text
    )


def check_storable(text: str) -> None:
    """Refuse JSON that Python writes but Postgres does not accept.

    Raises
    ------
    ValueError
        If it holds NaN or an infinity, a NUL character or half of a surrogate pair.
    """
    if not has_marks(text):
        return

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON compliant")

    if not all(map(is_storable, _strings(json.loads(text, parse_constant=refuse)))):
        raise ValueError("it holds a NUL character or a lone surrogate; encode the value, for instance with base64")


def dumped_text(dumped: Any) -> Any:
    """Return what a ``json_dumps`` has made as text, if it is text or bytes of UTF-8."""
    # orjson, msgspec and others return bytes.
    return dumped.decode() if isinstance(dumped, bytes) else dumped


def _culprit(arguments: Mapping[str, Any], json_dumps: JSONDumps, error: Exception) -> tuple[str, Exception]:
    for name, value in arguments.items():
        try:
            check_storable(dumped_text(json_dumps({name: value})))
        except Exception as reason:
            return name, reason
    return next(iter(arguments), ""), error


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
