"""Declaring tasks, on an app and on blueprints."""

from __future__ import annotations

import functools
import types
import warnings
from typing import Any

import pytest

import adjourn
from adjourn import builtin_tasks, exceptions, utils
from adjourn.worker import Worker

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
        {"retry": -1},
        {"aliases": 5},
        {"aliases": [5]},
        {"pass_context": "no"},
        {"timeout": float("inf")},
        {"task_middleware": [lambda call_next: call_next()]},
    ],
)
def test_a_task_option_that_makes_no_sense_is_refused_when_it_is_declared(
    app: adjourn.App, options: dict[str, Any]
) -> None:
    with pytest.raises(exceptions.InvalidOption, match=next(iter(options))):
        app.task(**options)(work)
    assert own_tasks(app) == set()


def numbers() -> Any:
    yield 1


async def numbers_async() -> Any:
    yield 1


class Numbers:
    def __call__(self) -> Any:
        yield 1


@pytest.mark.parametrize("function", [numbers, numbers_async, functools.partial(numbers), Numbers()])
def test_a_generator_is_no_task(app: adjourn.App, function: Any) -> None:
    with pytest.raises(exceptions.InvalidOption, match=r"generator, whose body nobody would run.*defer a job for"):
        app.task(name="w")(function)


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


def test_an_alias_is_for_a_task_of_this_app(app: adjourn.App) -> None:
    other = adjourn.App(connector=adjourn.PsycopgConnector(NOWHERE))
    there = other.task(name="w")(work)
    for task in (5, work, there):
        with pytest.raises(exceptions.InvalidOption, match=r"^task=|of another App"):
            app.add_task_alias(task, "old")  # type: ignore[arg-type]
    assert own_tasks(app) == set()
    assert there.aliases == []


def test_arguments_that_every_job_has_are_checked_when_they_are_configured(app: adjourn.App) -> None:
    task = app.task(name="w")(work)
    refused: list[Any] = [{"y": 1}, {5: 1}, {"x": object()}]
    for arguments in refused:
        for configure in (task.configure, functools.partial(app.configure_task, "w")):
            with pytest.raises(exceptions.InvalidTaskArguments, match=r"^Task w: "):
                configure(task_kwargs=arguments)
    with pytest.raises(exceptions.InvalidTaskArguments, match=r"^Task any: argument 'x' cannot be stored"):
        app.configure_task("any", task_kwargs={"x": object()})


def test_options_that_make_no_sense_are_refused_when_a_task_is_configured(app: adjourn.App) -> None:
    with pytest.raises(
        exceptions.InvalidOption, match=r"^configure_task: there is no option 'bogus'\. These are: lock"
    ):
        app.configure_task("any", bogus=1)  # type: ignore[call-arg]
    with pytest.raises(exceptions.InvalidOption, match=r"^name=\[\]"):
        app.configure_task([])  # type: ignore[arg-type]
    with pytest.raises(exceptions.InvalidOption, match=r"^allow_unknown='no'"):
        app.configure_task("any", allow_unknown="no")  # type: ignore[arg-type]


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


def test_only_a_blueprint_can_be_taken_in(app: adjourn.App) -> None:
    for other in (5, adjourn.App(connector=adjourn.PsycopgConnector(NOWHERE))):
        with pytest.raises(exceptions.InvalidOption, match=r"^blueprint="):
            app.add_tasks_from(other, namespace="ns")  # type: ignore[arg-type]


def test_a_blueprint_taken_in_twice_leaves_the_first_app_s_tasks_alone(app: adjourn.App) -> None:
    blueprint = adjourn.Blueprint()
    task = blueprint.task(name="w", aliases=["v"])(work)
    blueprint.periodic(cron="* * * * *")(blueprint.task(name="tick")(lambda timestamp: None))
    app.add_tasks_from(blueprint, namespace="one")
    second = adjourn.App(connector=adjourn.PsycopgConnector(NOWHERE))
    second.add_tasks_from(blueprint, namespace="two")
    app.add_tasks_from(blueprint, namespace="three")
    assert own_tasks(app) == {"one:w", "one:v", "one:tick", "three:w", "three:v", "three:tick"}
    assert own_tasks(second) == {"two:w", "two:v", "two:tick"}
    assert (task.name, task.aliases, task.blueprint) == ("one:w", ["one:v"], app)
    for owner, name in [(app, "one"), (second, "two"), (app, "three")]:
        there = owner.tasks[f"{name}:v"]
        assert there is owner.tasks[f"{name}:w"]
        assert (there.name, there.aliases, there.blueprint) == (f"{name}:w", [f"{name}:v"], owner)
        assert there.configure().job_manager is owner.job_manager
        assert there.configure().job.task_name == f"{name}:w"
    assert [each.task.name for each in app.periodic_registry.periodic_tasks.values()] == ["one:tick", "three:tick"]
    assert [each.task.name for each in second.periodic_registry.periodic_tasks.values()] == ["two:tick"]


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


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("import_paths", "tasks", r"list of modules' names, such as \['tasks'\]"),
        ("import_paths", [5], "pass a string"),
        ("import_paths", 5, "list of modules' names"),
        ("worker_defaults", {"bogus": 1}, "no option 'bogus'. These are: queues"),
        ("worker_defaults", {"concurrency": "all"}, "concurrency='all'"),
        ("worker_defaults", [1], "pass a dictionary"),
        ("periodic_defaults", {"bogus": 1}, "no option 'bogus'. These are: max_delay"),
        ("periodic_defaults", {"max_delay": float("inf")}, "periodic_defaults: max_delay=inf"),
        ("periodic_defaults", {"max_delay": None}, "max_delay=None"),
        ("periodic_defaults", 5, "pass a dictionary"),
    ],
)
def test_an_option_of_an_app_s_that_makes_no_sense_is_refused_by_name(option: str, value: Any, words: str) -> None:
    with pytest.raises(exceptions.InvalidOption, match=words):
        adjourn.App(connector=adjourn.PsycopgConnector(NOWHERE), **{option: value})


def test_a_worker_s_options_are_checked_before_anything_is_opened(app: adjourn.App) -> None:
    with pytest.raises(exceptions.InvalidOption, match=r"^run_worker: there is no option 'bogus'"):
        app.run_worker(bogus=1)  # type: ignore[call-arg]
    assert Worker(app, ["q"]).options.queues == ("q",)
    for other in (5, adjourn.Blueprint()):
        with pytest.raises(exceptions.InvalidOption, match=r"^app="):
            Worker(other)  # type: ignore[arg-type]


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


def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(exceptions.InvalidOption, match=r"^dotted_path=5"):
        adjourn.App.from_path(5)  # type: ignore[arg-type]


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
        assert not isinstance(getattr(adjourn, name), utils.MovedElsewhere)
    for name in ("Status", "Worker", "MissedRuns", "Job", "Task", "SchemaManager"):
        assert name in adjourn.__all__
    with pytest.raises(AttributeError, match="no_such_name"):
        adjourn.no_such_name  # noqa: B018
