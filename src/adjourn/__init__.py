"""adjourn: a PostgreSQL task queue for Python.

Declare tasks on an `App`, defer jobs from synchronous or asynchronous code, and run them in worker processes. All it
needs is the Postgres you already have.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adjourn import app as app
    from adjourn import batches as batches
    from adjourn import blueprints as blueprints
    from adjourn import builtin_tasks as builtin_tasks
    from adjourn import connector as connector
    from adjourn import connectors as connectors
    from adjourn import embedded as embedded
    from adjourn import events as events
    from adjourn import exceptions as exceptions
    from adjourn import job_context as job_context
    from adjourn import jobs as jobs
    from adjourn import limits as limits
    from adjourn import manager as manager
    from adjourn import metadata as metadata
    from adjourn import middleware as middleware
    from adjourn import periodic as periodic
    from adjourn import psycopg_connector as psycopg_connector
    from adjourn import retry as retry
    from adjourn import schema as schema
    from adjourn import shell as shell
    from adjourn import signals as signals
    from adjourn import sync_psycopg_connector as sync_psycopg_connector
    from adjourn import tasks as tasks
    from adjourn import testing as testing
    from adjourn import types as types
    from adjourn import unique as unique
    from adjourn import utils as utils
    from adjourn import worker as worker
    from adjourn import workflows as workflows
    from adjourn._compat.moved import AiopgConnector as AiopgConnector
    from adjourn._domain.jobs import DeleteJobCondition, Job, Status
    from adjourn._domain.runs import AbortReason
    from adjourn._domain.schedules import MissedRuns
    from adjourn.app import App, JobContext
    from adjourn.batches import Batch, BatchItem
    from adjourn.blueprints import Blueprint
    from adjourn.connectors.base import BaseConnector
    from adjourn.connectors.psycopg import PsycopgConnector, SyncPsycopgConnector
    from adjourn.connectors.psycopg2 import AsyncPsycopg2Connector, Psycopg2Connector
    from adjourn.exceptions import AdjournException
    from adjourn.limits import Limit, Rate
    from adjourn.manager import JobManager, SchemaManager
    from adjourn.retry import BaseRetryStrategy, RetryDecision, RetryStrategy
    from adjourn.tasks import Task
    from adjourn.unique import Deferred, Unique
    from adjourn.worker import Worker

    __version__: str

__all__ = [
    "AbortReason",
    "AdjournException",
    "App",
    "AsyncPsycopg2Connector",
    "BaseConnector",
    "BaseRetryStrategy",
    "Batch",
    "BatchItem",
    "Blueprint",
    "Deferred",
    "DeleteJobCondition",
    "Job",
    "JobContext",
    "JobManager",
    "Limit",
    "MissedRuns",
    "Psycopg2Connector",
    "PsycopgConnector",
    "Rate",
    "RetryDecision",
    "RetryStrategy",
    "SchemaManager",
    "Status",
    "SyncPsycopgConnector",
    "Task",
    "Unique",
    "Worker",
]

__author__ = "The adjourn developers"
__author_email__ = ""
__license__ = "MIT"
__url__ = ""

# Imported on first use: a program loads no driver that it does not use, and a cron script starts fast.
_HOMES = {
    "AbortReason": "adjourn._domain.runs",
    "AdjournException": "adjourn.exceptions",
    "App": "adjourn.app",
    "AsyncPsycopg2Connector": "adjourn.connectors.psycopg2",
    "BaseConnector": "adjourn.connectors.base",
    "BaseRetryStrategy": "adjourn.retry",
    "Batch": "adjourn.batches",
    "BatchItem": "adjourn.batches",
    "Blueprint": "adjourn.blueprints",
    "Deferred": "adjourn.unique",
    "DeleteJobCondition": "adjourn._domain.jobs",
    "Job": "adjourn._domain.jobs",
    "JobContext": "adjourn.app",
    "JobManager": "adjourn.manager",
    "Limit": "adjourn.limits",
    "MissedRuns": "adjourn._domain.schedules",
    "Psycopg2Connector": "adjourn.connectors.psycopg2",
    "PsycopgConnector": "adjourn.connectors.psycopg",
    "Rate": "adjourn.limits",
    "RetryDecision": "adjourn.retry",
    "RetryStrategy": "adjourn.retry",
    "SchemaManager": "adjourn.manager",
    "Status": "adjourn._domain.jobs",
    "SyncPsycopgConnector": "adjourn.connectors.psycopg",
    "Task": "adjourn.tasks",
    "Unique": "adjourn.unique",
    "Worker": "adjourn.worker",
    # It only names the new place; programs that move from Procrastinate may import it.
    "AiopgConnector": "adjourn._compat.moved",
}

# Modules that are available after `import adjourn` alone.
_MODULES = frozenset(
    [
        "app",
        "batches",
        "blueprints",
        "builtin_tasks",
        "connector",
        "connectors",
        "contrib",
        "embedded",
        "events",
        "exceptions",
        "job_context",
        "jobs",
        "limits",
        "manager",
        "metadata",
        "middleware",
        "periodic",
        "psycopg_connector",
        "retry",
        "schema",
        "shell",
        "signals",
        "sync_psycopg_connector",
        "tasks",
        "testing",
        "types",
        "unique",
        "utils",
        "worker",
        "workflows",
    ]
)


def __getattr__(name: str) -> Any:
    value: Any
    if name == "__version__":
        value = importlib.import_module("importlib.metadata").version("adjourn")
    elif name in _HOMES:
        try:
            value = getattr(importlib.import_module(_HOMES[name]), name)
        except ImportError as error:
            if "pq wrapper" in str(error):  # psycopg says what it has tried, and not what to do
                error.add_note('The driver comes with its own libpq: pip install "adjourn[binary]".')
            raise
    elif name in _MODULES:
        value = importlib.import_module(f"adjourn.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
