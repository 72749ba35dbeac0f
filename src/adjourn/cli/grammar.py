"""The grammar of the shell's commands: what each command takes, and what its words mean."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable
from typing import Any

from adjourn._domain.spelling import hint
from adjourn.cli import flags

DEFAULT_LIMIT = 50
"""How many rows a list shows by default."""
JOB_FILTERS = (
    *("id", "queue", "task", "status", "lock", "queueing_lock", "worker_id", "waits_for", "workflow_id"),
    *("error", "finished_after", "finished_before"),
)
COUNT_FILTERS = ("queue", "task", "status", "lock", "waits_for", "live_only")
LISTED = (*JOB_FILTERS, "order")
PAGING = ("limit", "after")
CANCEL_FILTERS = ("queue", "task", "error", "limit")
DELETE_FILTERS = ("status", "queue", "task", "error", "finished_after", "finished_before", "limit")
RETRY_OPTIONS = ("delay", "at")
CHANGES = ("priority", "move_to", "at", "now")
PAUSED = ("queue", "task", "schedule", "periodic_id")
PAUSE_OPTIONS = ("for", "until", "reason")
TIMES = ("finished_after", "finished_before", "at", "until")
SECONDS = ("for", "delay")
NUMBERS = ("id", "worker_id", "workflow_id", "limit")
FLAGS = ("live_only", "now", "abort")

USAGES = {
    "list_jobs": (
        "[FILTER=VALUE...] [order=due] [details]",
        f"list jobs by id, or those that wait for a time by it, the soonest due first; filters: {', '.join(JOB_FILTERS)}",
    ),
    "list_queues": ("[FILTER=VALUE...]", f"count the jobs of each queue; filters: {', '.join(COUNT_FILTERS)}"),
    "list_tasks": ("[FILTER=VALUE...]", "count the jobs of each task; the same filters"),
    "list_locks": ("[FILTER=VALUE...]", "count the jobs of each lock; the same filters"),
    "list_workers": ("", "list workers, and the jobs that they run, as of their last heartbeats"),
    "list_schedules": ("", "list periodic tasks with their last and next run"),
    "list_limits": ("", "list limits with the number of jobs that have a place or wait for one"),
    "set_limit": (
        "queue=NAME | task=NAME | name=NAME LIMIT=VALUE...",
        "set a limit of a queue, of a task, or of each key of a limit with a key: concurrency, rate; none lifts it",
    ),
    "reset_limit": (
        "queue=NAME | task=NAME | name=NAME",
        "take back what was set: what programs declare holds again",
    ),
    "list_workflows": ("[status=STATUS]", "list workflows, the newest first"),
    "show_workflow": ("ID", "show how far a workflow has come"),
    "cancel_workflow": (
        "ID [abort=yes]",
        "cancel the jobs of a workflow that wait, and with abort=yes ask running ones to stop",
    ),
    "retry_workflow": (
        "ID",
        "run the jobs of a workflow again that have failed, and what was cancelled because of them",
    ),
    "list_pauses": ("", "list paused queues, tasks and schedules: since when, until when, by whom and why"),
    "pause": (
        "queue=NAME | task=NAME | schedule=TASK [periodic_id=ID] [for=TIME | until=TIME] [reason=TEXT]",
        "start no more jobs of a queue or a task, or defer no ticks of a schedule",
    ),
    "resume": ("queue=NAME | task=NAME | schedule=TASK [periodic_id=ID]", "start or defer them again"),
    "show": ("ID", "show everything about a job, with the traceback of each failed attempt"),
    "retry": (
        "ID... | FILTER=VALUE... [delay=TIME | at=TIME] [yes]",
        f"run jobs again; filters: {', '.join(DELETE_FILTERS)}",
    ),
    "change": (
        "ID... | FILTER=VALUE... CHANGE=VALUE... [yes]",
        f"change jobs that wait: {', '.join(CHANGES)}; filters: {', '.join(CANCEL_FILTERS)}",
    ),
    "cancel": (
        "ID... | FILTER=VALUE... [yes]",
        f"cancel jobs that have not started; filters: {', '.join(CANCEL_FILTERS)}",
    ),
    "delete": ("ID... | FILTER=VALUE... [yes]", f"delete jobs that have ended; filters: {', '.join(DELETE_FILTERS)}"),
    "abort": ("ID...", "cancel jobs that have not started, and ask running ones to stop"),
    "help": ("", "list these commands"),
    "exit": ("", "leave the shell, as Ctrl-D does"),
}
"""The arguments of each command, and what it does."""


class UsageError(Exception):
    """An invalid command was typed."""


def split(words: list[str]) -> list[str]:
    """Split a command that was quoted as a whole: ``adjourn shell "list_jobs queue=mail"``."""
    if len(words) != 1:
        return words
    try:
        return shlex.split(words[0]) or words
    except ValueError as error:
        raise UsageError(f"{words[0]!r}: {error}") from None


def usages() -> list[tuple[str, str]]:
    """Return how each command is written, and what it does."""
    return [(f"{name} {takes}".strip(), text) for name, (takes, text) in USAGES.items()]


def filters(words: Iterable[str], known: tuple[str, ...]) -> dict[str, Any]:
    """Return the values of filters by their names.

    Raises
    ------
    UsageError
        If a word is no filter of these, or its value is none.
    """
    given: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in known:
            takes = f"It takes {', '.join(f'{each}=...' for each in known)}" if known else "It takes none"
            raise UsageError(f"{word!r} is not a filter of this command{hint(name, known)} {takes}")
        given[name] = _value(name, value)
    if given.get("limit", 1) < 1:
        raise UsageError(f"limit={given['limit']}: pass a whole number of one or more")
    return given


def _value(name: str, text: str) -> Any:
    if name in TIMES:
        try:
            return flags.moment_to_come(text) if name == "until" else flags.moment(text)
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"{name}={error}") from None
    if name in SECONDS:
        try:
            return flags.seconds(text) if name == "delay" else flags.some_seconds(text)
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"{name}={error}") from None
    if name in FLAGS:
        try:
            return flags.boolean(text)
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"{name}={error}") from None
    return number(name, text) if name in NUMBERS else text


def ids_in(name: str, words: list[str], most: int | None = None) -> list[int]:
    """Return the ids of jobs that a command names."""
    if not words or (most is not None and len(words) > most):
        raise UsageError(f"write {name} {USAGES[name][0]}")
    return [number("ID", word) for word in words]


def ids_and_rest(words: list[str]) -> tuple[list[int], list[str]]:
    """Divide the words of a command: the ids of jobs, and the others."""
    rest = [word for word in words if "=" in word or word == "yes"]
    return [number("ID", word) for word in words if word not in rest], rest


def priority(text: str) -> int:
    """Return a priority."""
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"priority={text!r} is not a whole number") from None


def number(name: str, text: str) -> int:
    """Return a whole number that is zero or more."""
    try:
        number = int(text)
    except ValueError:
        raise UsageError(f"{name}={text!r} is not a whole number") from None
    if not 0 <= number < 2**63:
        raise UsageError(f"{name}={text!r} is out of range")
    return number
