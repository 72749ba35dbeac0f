"""Declaring tasks, on an app and on blueprints."""

from __future__ import annotations

import types
import warnings
from typing import Any

import pytest

import adjourn
from adjourn import builtin_tasks, exceptions

NOWHERE = "host=nowhere.invalid"


@pytest.fixture
def app() -> adjourn.App:
    return adjourn.App(connector=adjourn.PsycopgConnector(NOWHERE))


def own_tasks(app: adjourn.App) -> set[str]:
    """The names of an app's tasks without those that every app has."""
    return set(app.tasks) - set(builtin_tasks.builtin.tasks)


def work(x: int) -> int:
    """Do work."""
    return x + 1


def test_a_task_is_named_after_its_function_and_can_still_be_called(app: adjourn.App) -> None:
    task = app.task(work)
    assert task.name == f"{__name__}.work"
    assert task(1) == 2
    assert task.__doc__ == "Do work."
    assert app.tasks[task.name] is task
    assert (task.queue, task.priority, task.lock, task.queueing_lock) == ("default", 0, None, None)


def test_a_task_has_the_options_it_was_declared_with(app: adjourn.App) -> None:
    task = app.task(name="w", aliases=["v"], queue="q", priority=3, lock="l", queueing_lock="k", retry=5)(work)
    assert (task.name, task.queue, task.priority, task.lock, task.queueing_lock) == ("w", "q", 3, "l", "k")
    assert app.tasks["v"] is task
    assert task.retry_strategy == adjourn.RetryStrategy(max_attempts=5)
    job = task.configure(priority=0, task_kwargs={"x": 1}).job
    assert (job.task_name, job.queue, job.priority, job.lock, job.queueing_lock) == ("w", "q", 0, "l", "k")


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"aliases": "alias"},
        {"aliases": [""]},
        {"queue": ""},
        {"priority": "high"},
        {"lock": 5},
        {"queueing_lock": ""},
        {"retry": "often"},
    ],
)
def test_a_task_option_that_makes_no_sense_is_refused_when_it_is_declared(
    app: adjourn.App, options: dict[str, Any]
) -> None:
    with pytest.raises(exceptions.InvalidOption, match=next(iter(options))):
        app.task(**options)(work)
    assert own_tasks(app) == set()


def test_two_tasks_cannot_have_one_name(app: adjourn.App) -> None:
    app.task(name="w", aliases=["v"])(work)
    for name, aliases in [("w", []), ("v", []), ("u", ["w"]), ("t", ["t"])]:
        with pytest.raises(exceptions.TaskAlreadyRegistered, match="Give this one another"):
            app.task(name=name, aliases=aliases)(work)
    assert own_tasks(app) == {"w", "v"}


def test_an_alias_can_be_added(app: adjourn.App) -> None:
    task = app.task(name="w")(work)
    app.add_task_alias(task, "old")
    assert app.tasks["old"] is task
    with pytest.raises(exceptions.TaskAlreadyRegistered):
        app.add_task_alias(task, "w")


def test_a_blueprint_s_tasks_are_taken_in_under_its_namespace(app: adjourn.App) -> None:
    blueprint = adjourn.Blueprint()
    task = blueprint.task(name="w", aliases=["v"])(work)
    with pytest.raises(exceptions.UnboundTaskError, match="add_tasks_from"):
        task.configure()
    app.add_tasks_from(blueprint, namespace="ns")
    assert own_tasks(app) == {"ns:w", "ns:v"}
    assert app.tasks["ns:v"] is task
    assert task.name == "ns:w"
    assert task.configure().job.task_name == "ns:w"


def test_a_blueprint_whose_names_are_taken_is_refused_whole(app: adjourn.App) -> None:
    app.task(name="ns:w")(work)
    blueprint = adjourn.Blueprint()
    other = blueprint.task(name="u")(work)
    blueprint.task(name="w")(work)
    with pytest.raises(exceptions.TaskAlreadyRegistered, match="another namespace"):
        app.add_tasks_from(blueprint, namespace="ns")
    with pytest.raises(exceptions.InvalidOption, match="namespace"):
        app.add_tasks_from(blueprint, namespace="")
    assert own_tasks(app) == {"ns:w"}
    assert other.name == "u"


def test_an_app_in_the_main_module_is_warned_about() -> None:
    module = types.ModuleType("__main__")
    with pytest.warns(UserWarning, match="main module"):
        exec("import adjourn; blueprint = adjourn.Blueprint()", module.__dict__)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adjourn.Blueprint()


def test_an_app_needs_a_connector() -> None:
    with pytest.raises(exceptions.InvalidOption, match=r"connector=.*PsycopgConnector"):
        adjourn.App(connector="postgresql://")  # type: ignore[arg-type]
    with pytest.raises(exceptions.InvalidOption, match="schema="):
        adjourn.App(connector=adjourn.PsycopgConnector(NOWHERE), schema="")


def test_an_app_with_another_connector_knows_the_same_tasks_now_and_later(app: adjourn.App) -> None:
    class Own(adjourn.App): ...

    app = Own(connector=adjourn.PsycopgConnector(NOWHERE), worker_defaults={"concurrency": 7}, schema="other")
    before = app.task(name="before")(work)
    other = app.with_connector(adjourn.SyncPsycopgConnector(NOWHERE))
    app.task(name="after")(work)
    there = other.task(name="there")(work)
    blueprint = adjourn.Blueprint()
    blueprint.task(name="w")(work)
    app.add_tasks_from(blueprint, namespace="ns")
    assert own_tasks(app) == own_tasks(other) == {"before", "after", "there", "ns:w"}
    assert isinstance(other, Own)
    assert other.worker_defaults == {"concurrency": 7}
    assert other.job_manager.schema == "other"
    for name in app.tasks:
        assert app.tasks[name].configure().job_manager is app.job_manager
        assert other.tasks[name].configure().job_manager is other.job_manager
        assert app.configure_task(name).job_manager is app.job_manager
        assert other.configure_task(name).job_manager is other.job_manager
    assert before.configure().job_manager is app.job_manager
    assert there.configure().job_manager is other.job_manager
    assert other.tasks["before"] is other.tasks["before"]


def test_the_first_app_is_not_touched_by_a_second(app: adjourn.App) -> None:
    task = app.task(name="w")(work)
    other = adjourn.App(connector=adjourn.PsycopgConnector(NOWHERE))
    assert own_tasks(other) == set()
    assert task.name == "w"
    assert task.blueprint is app


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nonsense", "package.module.app"),
        ("no.such.module.app", "'no.such.module' could not be imported"),
        ("adjourn.jobs.no_such_name", "has no 'no_such_name'"),
        ("adjourn.jobs.Job", "not App"),
    ],
)
def test_a_path_that_leads_to_no_app_is_refused_with_the_reason(path: str, words: str) -> None:
    with pytest.raises(exceptions.LoadFromPathError, match=words):
        adjourn.App.from_path(path)


def test_import_paths_are_imported_or_named_in_the_error(app: adjourn.App) -> None:
    good = adjourn.App(connector=app.connector, import_paths=["json.tool"])
    good.perform_import_paths()
    bad = adjourn.App(connector=app.connector, import_paths=["json.tool", "no.such.module"])
    with pytest.raises(exceptions.LoadFromPathError, match=r"no\.such\.module"):
        bad.perform_import_paths()


def test_the_public_names_are_importable_and_no_others_are_promised() -> None:
    for name in adjourn.__all__:
        assert getattr(adjourn, name) is not None
        assert name in dir(adjourn)
    with pytest.raises(AttributeError, match="no_such_name"):
        adjourn.no_such_name  # noqa: B018
