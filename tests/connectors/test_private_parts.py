"""The private parts of other libraries that adjourn uses are there, and are used in one file for each library."""

from __future__ import annotations

import ast
import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import asyncpg  # type: ignore[import-untyped]
import psycopg
import psycopg_pool
import pytest
import sqlalchemy.pool
from django.core.management import BaseCommand
from django.db import models
from prometheus_client import Histogram, values
from psycopg2.pool import ThreadedConnectionPool

import adjourn
from adjourn._runtime.private import may_be_in_cancel_scope
from adjourn.contrib.prometheus.private import names_files_by_pid, observe

SOURCES = Path(adjourn.__file__).parent


def test_django_has_what_is_used_of_it() -> None:
    lost = missing(models.Manager(), "_db") + missing(models.QuerySet(), "_raw_delete")
    if "_called_from_command_line" not in BaseCommand.run_from_argv.__code__.co_names:
        lost.append("BaseCommand._called_from_command_line")
    check("Django", "contrib/django/private.py", lost)


def check(library: str, file: str, missing: list[str]) -> None:
    """Fail with a sentence that tells what to do."""
    assert not missing, f"This release of {library} has dropped {', '.join(missing)}: mend adjourn/{file}."


def missing(thing: Any, *names: str) -> list[str]:
    """Return the attributes that something lacks."""
    return [f"{type(thing).__name__}.{name}" for name in names if not hasattr(thing, name)]


async def test_asyncio_has_what_is_used_of_it() -> None:
    loop = asyncio.new_event_loop()
    lost = [*missing(asyncio, "_get_running_loop"), *missing(loop, "_thread_id")]
    task = loop.create_task(asyncio.sleep(0))
    try:
        task._log_destroy_pending = task._log_destroy_pending  # type: ignore[attr-defined]
    except AttributeError:
        lost.append("Task._log_destroy_pending")
    task.cancel()
    await asyncio.to_thread(loop.run_until_complete, asyncio.wait([task]))
    loop.close()
    lost += [*missing(asyncio.Runner, "_on_sigint"), *missing(asyncio.unix_events, "_sighandler_noop")]
    check("Python", "_runtime/private.py", lost)


async def test_anyio_has_what_is_used_of_it() -> None:
    lost = []
    inside, leave = asyncio.Event(), asyncio.Event()
    scoped = asyncio.create_task(in_a_scope(inside, leave))
    await inside.wait()
    states = getattr(sys.modules.get("anyio._backends._asyncio"), "_task_states", {})
    if not hasattr(states.get(scoped), "cancel_scope"):
        lost.append("_task_states")
    assert may_be_in_cancel_scope(), "a task may await another one, which its scope then reaches"
    leave.set()
    await scoped
    assert not may_be_in_cancel_scope()
    check("anyio", "_runtime/private.py", lost)


async def in_a_scope(inside: asyncio.Event, leave: asyncio.Event) -> None:
    with anyio.CancelScope():
        assert may_be_in_cancel_scope()
        inside.set()
        await leave.wait()


async def test_psycopgs_pool_has_what_is_used_of_it(dsn: str) -> None:
    async with psycopg_pool.AsyncConnectionPool(dsn, min_size=1, open=False) as pool:
        lost = missing(pool, "_configure", "_start_workers", "_tasks", "_sched", "_workers", "_sched_runner")
        lost += missing(pool._sched, "_event") if not lost else []
    check("psycopg_pool", "_drivers/psycopg/private.py", lost)


def test_psycopgs_connection_has_what_is_used_of_it(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        lost = missing(connection, "_autocommit", "_adapters")
    check("psycopg", "_drivers/psycopg/private.py", lost)


def test_psycopg2s_pool_has_what_is_used_of_it() -> None:
    pool = ThreadedConnectionPool(0, 1, "host=nowhere.invalid", user="anybody")
    lost = missing(pool, "_pool", "_used", "_rused", "_lock", "_getconn", "_getkey", "_args", "_kwargs")
    check("psycopg2", "_drivers/psycopg2/private.py", lost)
    assert (pool._args, pool._kwargs) == (("host=nowhere.invalid",), {"user": "anybody"})  # type: ignore[attr-defined]


async def test_asyncpgs_connection_has_what_is_used_of_it(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    lost = missing(connection, "_transport", "_loop")
    if not lost and isinstance(connection._transport, asyncio.selector_events._SelectorTransport):  # type: ignore[attr-defined]
        lost += missing(connection._transport, "_sock")  # other loops' transports close themselves with their loop
    await connection.close()
    check("asyncpg", "_drivers/sqlalchemy/private.py", lost)


def test_sqlalchemys_pools_have_what_is_used_of_them() -> None:
    assert sqlalchemy.pool.AsyncAdaptedQueuePool._is_asyncio is True, "mend adjourn/_drivers/sqlalchemy/private.py"
    assert sqlalchemy.pool.QueuePool._is_asyncio is False, "mend adjourn/_drivers/sqlalchemy/private.py"


def trees() -> Iterator[tuple[Path, ast.Module]]:
    """Return each module of ours, parsed."""
    for file in SOURCES.rglob("*.py"):
        yield file, ast.parse(file.read_text("utf-8"))


def test_histograms_of_prometheus_have_what_is_used_of_them() -> None:
    histogram = Histogram("seconds", "Any", ["queue"], buckets=(1.0, 2.0), registry=None).labels("mail")
    observe(histogram, (1.0, 2.0), [1, 2, 3], 20.0)
    found = {(sample.name, sample.labels.get("le")): sample.value for sample in histogram._child_samples()}
    assert found[("_sum", None)] == 20.0
    assert [found[("_bucket", le)] for le in ("1.0", "2.0", "+Inf")] == [1, 3, 6]


def test_files_of_prometheus_say_after_whose_numbers_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not names_files_by_pid()  # there are none in this process
    for identifier, expected in ((os.getpid, True), (lambda: 3, False)):
        monkeypatch.setattr(values, "ValueClass", values.MultiProcessValue(identifier))  # type: ignore[no-untyped-call]
        assert names_files_by_pid() is expected


def test_a_histogram_without_them_observes_one_value_after_the_other() -> None:
    class Other:
        def __init__(self) -> None:
            self.values: list[float] = []

        def observe(self, value: float) -> None:
            self.values.append(value)

    other: Any = Other()
    observe(other, (1.0, 2.0), [1, 2, 1], 20.0)
    assert other.values == [1.0, 2.0, 2.0, 4.0]


def is_private(name: str) -> bool:
    """Whether a name begins with one underscore."""
    return name.startswith("_") and not name.startswith("__")


def ours() -> set[str]:
    """Return the private names that we give ourselves."""
    found: set[str] = set()
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                    found.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
    return found


def reaches(tree: ast.Module, known: set[str]) -> Iterator[str]:
    """Return the private names of others that a module uses."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in known:
            yield node.attr
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(str(name.value)) and name.value not in known:
                yield str(name.value)


DOCUMENTED = {"_current_frames", "_exit", "_value_"} | {"_default_manager", "_meta", "_state"}
"""Private by their names alone: Python documents them, and Django those of its models."""


def test_nothing_but_one_file_a_library_uses_private_parts_of_others() -> None:
    known = ours() | DOCUMENTED
    found = {(file.relative_to(SOURCES).as_posix(), name) for file, tree in trees() for name in reaches(tree, known)}
    assert {"_transport", "_log_destroy_pending", "_is_asyncio"} <= {name for _, name in found}
    assert sorted(each for each in found if not each[0].endswith("/private.py")) == []


@pytest.mark.parametrize("file", sorted(SOURCES.rglob("private.py")), ids=lambda file: file.parent.name)
def test_each_of_these_files_says_which_release_it_was_seen_in(file: Path) -> None:
    assert " as seen in " in (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "")
