"""What is known of Procrastinate's names: which are the same here, and what to write instead of the others."""

from __future__ import annotations

import re
from collections.abc import Mapping

from adjourn._compat.awaited import AWAITED
from adjourn._compat.moved import ABSENT, IN_MEMORY, AiopgConnector

THEIRS = "procrastinate"
OURS = "adjourn"

MODULES = frozenset(
    [
        "app",
        "blueprints",
        "builtin_tasks",
        "cli",
        "connector",
        "contrib",
        "exceptions",
        "job_context",
        "jobs",
        "manager",
        "metadata",
        "middleware",
        "periodic",
        "psycopg_connector",
        "retry",
        "schema",
        "shell",
        "signals",
        "sql",
        "sync_psycopg_connector",
        "tasks",
        "testing",
        "types",
        "utils",
        "worker",
    ]
)
"""The modules of the package that are here by the same names."""
DEEPER = {
    "contrib.psycopg2.psycopg2_connector": "contrib.psycopg2",
    "contrib.sqlalchemy.psycopg2_connector": "contrib.sqlalchemy",
    "contrib.aiopg.aiopg_connector": "contrib.aiopg",
}
"""Modules that are here by a shorter name."""

SETTINGS = frozenset(
    [
        "AUTODISCOVER_MODULE_NAME",
        "DATABASE_ALIAS",
        "IMPORT_PATHS",
        "ON_APP_READY",
        "PERIODIC_DEFAULTS",
        "READONLY_MODELS",
        "WORKER_DEFAULTS",
    ]
)
"""Settings of Django, without their prefix."""
VARIABLES = frozenset(
    [
        "APP",
        "DEFER_AT",
        "DEFER_IGNORE_ALREADY_ENQUEUED",
        "DEFER_IN",
        "DEFER_JSON_ARGS",
        "DEFER_LOCK",
        "DEFER_PRIORITY",
        "DEFER_QUEUE",
        "DEFER_QUEUEING_LOCK",
        "DEFER_UNKNOWN",
        "LOG_FORMAT",
        "LOG_FORMAT_STYLE",
        "LOG_LEVEL",
        "VERBOSE",
        "WORKER_ABORT_JOB_POLLING_INTERVAL",
        "WORKER_CONCURRENCY",
        "WORKER_DELETE_JOBS",
        "WORKER_FETCH_JOB_POLLING_INTERVAL",
        "WORKER_LISTEN_NOTIFY",
        "WORKER_NAME",
        "WORKER_QUEUES",
        "WORKER_SHUTDOWN_GRACEFUL_TIMEOUT",
        "WORKER_WAIT",
    ]
)
"""Environment variables, without their prefix."""
AWAITED_NAMES = frozenset(AWAITED)
"""Methods of a job manager that Procrastinate has in an awaitable form only, by a name that blocks here."""

NO_MODULE: Mapping[str, str] = {
    "cli": "a command line is no library here: start `python -m adjourn` as a process",
    "contrib.sphinx": "there is no such extension: `.. autofunction:: tasks.greet.func` documents the function of a task",
    "demos": "adjourn has a demo of its own: `adjourn demo`",
    "sql": "the statements differ: use app.job_manager, or adjourn.schema for the schema",
}
"""Modules that are not here, or hold something else, and what to do about it."""
NO_NAME: Mapping[str, str] = {
    "jobs.Status.ABORTING": "no job has this status: `job.abort_requested` tells",
    "periodic.PeriodicRegistry.periodic_decorator": "use @app.periodic",
    "psycopg_connector.wrap_exceptions": "connectors raise `ConnectorException` by themselves",
    "sync_psycopg_connector.wrap_exceptions": "connectors raise `ConnectorException` by themselves",
    "worker.Worker.find_task": "use app.tasks[name]",
}

TABLES = re.compile(r"\bprocrastinate_(?:jobs?|events?|periodic_defers|workers|[a-z]+_job\w*|\w+_v\d+)\b")
TABLES_ADVICE = (
    "adjourn's tables have other names and columns: read jobs with app.job_manager.list_jobs, or from the view "
    "adjourn.adjourn_all_jobs"
)
ABORTING_ADVICE = "no job has the status `aborting`: `job.abort_requested` tells"

_PATH = re.compile(rf"{THEIRS}(?:\.\w+)+(?::\w+)?")
_VARIABLE = re.compile(r"PROCRASTINATE_([A-Z_]+)")


def our_module(name: str) -> str | None:
    """Return our name of a module of Procrastinate's; None for any other module."""
    if name != THEIRS and not name.startswith(f"{THEIRS}."):
        return None
    rest = name[len(THEIRS) + 1 :]
    for longer, shorter in DEEPER.items():
        rest = shorter if rest == longer else rest
    return f"{OURS}.{rest}" if rest else OURS


def is_path(text: str) -> bool:
    """Return whether a text is a path into the package."""
    return _PATH.fullmatch(text) is not None


def our_path(text: str) -> str | None:
    """Return our form of a path into the package, such as ``procrastinate.worker.Worker``; None if we have nothing there."""
    first = text.split(".")[1].partition(":")[0]
    # `procrastinate.ProcrastinateJob` is how Django names a model.
    is_model = first.startswith("Procrastinate")
    if first not in MODULES and (not first[0].isupper() or is_model):
        return None
    for longer, shorter in DEEPER.items():
        text = text.replace(f"{THEIRS}.{longer}", f"{THEIRS}.{shorter}")
    return OURS + text[len(THEIRS) :]


def our_variable(text: str) -> str | None:
    """Return our name of an environment variable or of a setting; None if it is not one."""
    match = _VARIABLE.fullmatch(text)
    return f"ADJOURN_{match[1]}" if match and match[1] in SETTINGS | VARIABLES else None


def our_setting(text: str) -> str | None:
    """Return our name of a setting of Django's; None if it is not one."""
    match = _VARIABLE.fullmatch(text)
    return f"ADJOURN_{match[1]}" if match and match[1] in SETTINGS else None


def is_unknown_variable(text: str) -> bool:
    """Return whether a text looks like a variable of Procrastinate's, and is none that we know."""
    return _VARIABLE.fullmatch(text) is not None and our_variable(text) is None


def advice(path: str) -> str | None:
    """Return what to write instead of a name that is not here, given its path in either package; None if it is here."""
    package, _, rest = path.partition(".")
    if package not in (THEIRS, OURS) or not rest:
        return None
    if rest in ("AiopgConnector", "utils.AiopgConnector", "contrib.aiopg.AiopgConnector"):
        return f"use {AiopgConnector.new_location}"
    if rest in NO_NAME:
        return NO_NAME[rest]
    module, _, name = rest.rpartition(".")
    for missing, instead in NO_MODULE.items():
        # What our own module of this name holds is found by programs that have been changed already.
        if rest == missing or (module == missing and package == THEIRS) or module.startswith(f"{missing}."):
            return instead
    instead = ABSENT.get(f"{OURS}.{module}", {}).get(name, "")
    return f"use {instead}" if instead else None


def advice_on_attribute(name: str) -> str | None:
    """Return what to write instead of an attribute that is of one of Procrastinate's objects, whatever it is asked of."""
    if name in IN_MEMORY:
        return f"use {IN_MEMORY[name]}"
    if name == "listen_for_jobs":
        return "adjourn tells of new jobs only while a worker has nothing to do: use connector.listen_notify"
    return None
