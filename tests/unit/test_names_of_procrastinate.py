"""Each public name of Procrastinate is here, or says what to write instead, or is on a list with the reason why not."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import pytest

import adjourn
from adjourn import exceptions, manager, metadata
from adjourn._compat.moved import ABSENT, IN_MEMORY, MovedElsewhere
from adjourn.periodic import PeriodicRegistry
from adjourn.testing import InMemoryConnector

procrastinate = pytest.importorskip("procrastinate", reason="Procrastinate is not installed here")

NOT_HERE = {
    "cli": "a command line is no library: start `python -m adjourn`",
    "contrib.psycopg2.psycopg2_connector": "adjourn.contrib.psycopg2 has the class",
    "contrib.sqlalchemy.psycopg2_connector": "adjourn.contrib.sqlalchemy has the class",
    "contrib.sphinx": "`.. autofunction:: tasks.greet.func` documents the function of a task",
    "psycopg_connector.wrap_exceptions": "a detail of its connectors",
    "sync_psycopg_connector.wrap_exceptions": "a detail of its connectors",
    "sql": "the text of statements, which differ",
    "periodic.PeriodicRegistry.periodic_decorator": "@app.periodic, as its docstring says",
    "worker.Worker.find_task": "app.tasks[name]",
}
"""What is missing, and why. A module stands for all that is in it."""
OTHERS_LOOK_AFTER = ("contrib.django",)
NOT_IMPORTED = {"contrib.aiopg": ["AiopgConnector"], "contrib.sphinx": ["ProcrastinateTaskDocumenter", "setup"]}
"""Modules that need a package that is not installed or takes long to import, and what they offer."""


def modules() -> Iterator[tuple[str, ModuleType]]:
    """Procrastinate's modules by their names within the package."""
    for each in pkgutil.walk_packages(procrastinate.__path__, "procrastinate.", onerror=lambda name: None):
        name = each.name.removeprefix("procrastinate.")
        if name.startswith((*OTHERS_LOOK_AFTER, *NOT_IMPORTED, "__main__", "sql.")):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield name, importlib.import_module(each.name)


def names() -> Iterator[str]:
    """The public names that are defined there, those of classes with their public attributes."""
    for module, imported in modules():
        for name, value in vars(imported).items():
            home = getattr(value, "__module__", imported.__name__)
            is_own = home == imported.__name__ and not inspect.ismodule(value) and name != "TYPE_CHECKING"
            if name.startswith("_") or not is_own or type(value).__name__ in ("TypeVar", "ParamSpec"):
                continue
            yield f"{module}.{name}"
            if inspect.isclass(value):
                yield from (
                    f"{module}.{name}.{each}"
                    for each, attribute in vars(value).items()
                    if not each.startswith("_")
                    and (callable(attribute) or isinstance(attribute, property | classmethod))
                )
    for module, offered in NOT_IMPORTED.items():
        yield from (f"{module}.{name}" for name in offered)


def is_listed(path: str, listed: Sequence[str]) -> bool:
    """Whether a path, or what it is in, is on a list."""
    return any(path == each or path.startswith(f"{each}.") for each in listed)


def is_here(path: str) -> bool:
    """Whether our package has the name, or what it is in says what to write."""
    module, owner, name = split(path)
    try:
        value: Any = importlib.import_module(f"adjourn.{module}")
    except ImportError:
        return False
    for each in filter(None, (owner, name)):
        if isinstance(value, MovedElsewhere) or (owner == "InMemoryConnector" and each in IN_MEMORY):
            return True
        if not hasattr(value, each):
            return False
        value = getattr(value, each)
    return True


def split(path: str) -> tuple[str, str, str]:
    """A path's module, class or nothing, and name."""
    parts = path.split(".")
    length = next(number for number, part in enumerate(parts) if part != part.lower() or number == len(parts) - 1)
    while length > 1 and f"procrastinate.{'.'.join(parts[:length])}" not in sys.modules:
        length -= 1
    rest = parts[length:]
    return ".".join(parts[:length]), rest[0] if len(rest) > 1 else "", rest[-1]


def test_every_public_name_is_here_or_says_what_to_write_or_is_listed_with_a_reason() -> None:
    found = list(names())
    assert len(found) > 300
    assert [path for path in found if not is_here(path) and not is_listed(path, list(NOT_HERE))] == []


def test_what_is_listed_as_missing_is_missing() -> None:
    found = list(names())
    for listed in NOT_HERE:
        missing = [path for path in found if is_listed(path, [listed])]
        assert missing, listed
        assert not all(is_here(path) for path in missing), listed


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, named in ABSENT.items() for name in named])
def test_a_name_that_is_not_here_says_what_to_write(module: str, name: str) -> None:
    absent = getattr(importlib.import_module(module), name)
    with pytest.raises(exceptions.MovedElsewhere, match=rf"^{module}\.{name} is not here: use \S") as caught:
        absent()
    assert str(caught.value).endswith(".")
    with pytest.raises(exceptions.MovedElsewhere):
        type("Derived", (absent,), {}) if inspect.isclass(absent) else exec(
            "class Derived(absent): ...", {"absent": absent}
        )


@pytest.mark.parametrize("module", sorted(ABSENT))
def test_another_name_is_an_attribute_error_as_ever(module: str) -> None:
    with pytest.raises(AttributeError, match=rf"module '{module}' has no attribute 'nonsense'"):
        _ = importlib.import_module(module).nonsense


def test_what_is_left_of_aiopg_says_which_connector_to_use() -> None:
    with pytest.raises(
        exceptions.MovedElsewhere, match=r"use adjourn\.PsycopgConnector, or adjourn\.AsyncPsycopg2Conn"
    ):
        adjourn.contrib.aiopg.AiopgConnector(dsn="")


def test_the_addresses_of_connectors_and_the_metadata() -> None:
    assert adjourn.psycopg_connector.PsycopgConnector is adjourn.PsycopgConnector
    assert adjourn.sync_psycopg_connector.SyncPsycopgConnector is adjourn.SyncPsycopgConnector
    assert metadata.extract_metadata()["version"] == adjourn.__version__
    assert metadata.extract_metadata().keys() == {"author", "email", "license", "url", "version"}
    violation = exceptions.UniqueViolation(constraint_name="adjourn_jobs_queueing_lock")
    assert violation.constraint_name == manager.QUEUEING_LOCK_CONSTRAINT


# Tasks


def test_the_tasks_of_an_app_can_be_exchanged_and_put_back(app: adjourn.App, connector: InMemoryConnector) -> None:
    @app.task(name="one")
    def one() -> None: ...

    before = app.tasks
    app.tasks = {"other": one}
    assert list(app.tasks) == ["other"]
    app.tasks["one"] = one
    app.tasks["one"].defer()
    del app.tasks["one"]
    assert app.tasks.pop("other") is one
    assert dict(app.tasks) == {}
    app.tasks = before
    assert app.tasks["one"] is one
    assert [job["task_name"] for job in connector.jobs.values()] == ["one"]


@pytest.mark.parametrize("tasks", [{"one": print}, {"": print}])
def test_what_is_no_task_is_refused(app: adjourn.App, tasks: Any) -> None:
    with pytest.raises(exceptions.InvalidOption):
        app.tasks = tasks
    with pytest.raises(exceptions.InvalidOption):
        app.tasks.update(tasks)
    assert "one" not in app.tasks


# Jobs, schedules


def test_a_deferrer_makes_a_job_without_storing_it(app: adjourn.App, connector: InMemoryConnector) -> None:
    @app.task(name="add")
    def add(a: int, b: int) -> None: ...

    deferrer = add.configure(task_kwargs={"a": 1}, queue="sums")
    job = deferrer.make_new_job(b=2)
    assert (job.task_name, job.queue, job.task_kwargs, job.id) == ("add", "sums", {"a": 1, "b": 2}, None)
    with pytest.raises(exceptions.InvalidTaskArguments):
        deferrer.make_new_job(c=3)
    assert connector.jobs == {}


def test_a_schedule_can_be_registered_by_hand(app: adjourn.App) -> None:
    @app.task(name="tick")
    def tick(timestamp: int) -> None: ...

    @app.task(name="plain")
    def plain() -> None: ...

    registry: PeriodicRegistry = app.periodic_registry
    made = registry.register_task(tick, "*/5 * * * *", "a", {"queue": "q"})
    assert registry.periodic_tasks == {("tick", "a"): made}
    assert (made.cron.expression, made.cron.timezone, dict(made.configure_kwargs)) == (
        "*/5 * * * *",
        "UTC",
        {"queue": "q"},
    )
    with pytest.raises(exceptions.TaskAlreadyRegistered):
        registry.register_task(task=tick, cron="@daily", periodic_id="a", configure_kwargs={})
    with pytest.raises(exceptions.InvalidOption, match="timestamp"):
        registry.register_task(plain, "@daily", "", {})


def test_new_jobs_cannot_be_listened_for_and_the_error_says_what_can(app: adjourn.App) -> None:
    async def main() -> None:
        await app.job_manager.listen_for_jobs(on_notification=None, queues=["q"])

    with pytest.raises(exceptions.MovedElsewhere, match=r"connector\.listen_notify"):
        asyncio.run(main())


# The in-memory connector


@pytest.mark.parametrize("name", sorted(IN_MEMORY))
def test_an_in_memory_connector_says_what_to_call_instead_of_its_queries(connector: Any, name: str) -> None:
    with pytest.raises(AttributeError, match=rf"object has no attribute '{name}': use \S.*\.$"):
        getattr(connector, name)
    manager_call = IN_MEMORY[name].partition("(")[0].partition(",")[0]
    if manager_call.startswith("app.job_manager."):
        assert hasattr(manager.JobManager, manager_call.removeprefix("app.job_manager."))
    assert not hasattr(connector, name)


def test_its_other_attributes_are_missing_as_ever(connector: Any) -> None:
    with pytest.raises(AttributeError, match=r"^'InMemoryConnector' object has no attribute 'nonsense'$"):
        _ = connector.nonsense
