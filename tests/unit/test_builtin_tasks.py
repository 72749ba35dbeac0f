"""The tasks that every app has."""

from __future__ import annotations

import weakref
from types import SimpleNamespace
from typing import Any

import pytest

import adjourn
from adjourn import builtin_tasks, exceptions

NAME = "builtin:adjourn.builtin_tasks.remove_old_jobs"
NAMES = [
    NAME,
    "adjourn.builtin_tasks.remove_old_jobs",
    "builtin:procrastinate.builtin_tasks.remove_old_jobs",
    "procrastinate.builtin_tasks.remove_old_jobs",
]


@pytest.fixture
def apps() -> list[adjourn.App]:
    return [adjourn.App(connector=adjourn.PsycopgConnector("host=nowhere.invalid")) for _ in range(2)]


def test_every_app_knows_them_by_all_their_names_and_defers_them_itself(apps: list[adjourn.App]) -> None:
    apps.append(apps[0].with_connector(adjourn.SyncPsycopgConnector("host=nowhere.invalid")))
    for app in apps:
        assert set(app.tasks) == set(NAMES)
        for name in NAMES:
            deferrer = app.configure_task(name, allow_unknown=False)
            assert deferrer.job_manager is app.job_manager
            assert (deferrer.job.task_name, deferrer.job.queue) == (NAME, "builtin")


def test_no_app_changes_them(apps: list[adjourn.App]) -> None:
    task = builtin_tasks.remove_old_jobs
    before = dict(vars(task))
    first, second = apps
    first.add_task_alias(task, "clean")
    first.add_task_alias(first.tasks[NAME], "tidy")
    first.periodic(cron="0 4 * * *", task_kwargs={"max_hours": 72})(task)
    first.add_tasks_from(adjourn.Blueprint(), namespace="builtin")
    with pytest.raises(exceptions.InvalidOption, match="every app has its tasks already"):
        second.add_tasks_from(builtin_tasks.builtin, namespace="builtin")
    assert vars(task) == before
    assert set(second.tasks) == set(NAMES)
    assert set(first.tasks) == {*NAMES, "clean", "tidy"}
    assert first.tasks["clean"].configure().job_manager is first.job_manager
    assert second.periodic_registry.periodic_tasks == {}


def test_a_task_cannot_take_their_names(apps: list[adjourn.App]) -> None:
    with pytest.raises(exceptions.TaskAlreadyRegistered):
        apps[0].task(name=NAME)(lambda: None)


def test_without_an_app_they_say_to_go_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin_tasks.builtin, "apps", weakref.WeakSet())  # other tests may have apps
    with pytest.raises(exceptions.UnboundTaskError, match=r"app\.configure_task"):
        builtin_tasks.remove_old_jobs.configure()


def test_arguments_are_checked_when_the_job_is_deferred(apps: list[adjourn.App]) -> None:
    with pytest.raises(exceptions.InvalidTaskArguments, match="max_hours"):
        apps[0].configure_task(NAME).defer(remove_failed=True)
    with pytest.raises(exceptions.InvalidOption, match="max_hours"):
        apps[0].periodic(cron="0 4 * * *")(builtin_tasks.remove_old_jobs)


@pytest.mark.parametrize(
    "arguments",
    [{"max_hours": "x"}, {"max_hours": -1}, {"max_hours": 1, "queue": 5}, {"max_hours": 1, "remove_failed": 0}],
)
async def test_what_makes_no_sense_is_refused_in_the_words_of_the_task(arguments: dict[str, Any]) -> None:
    context: Any = SimpleNamespace()
    with pytest.raises(exceptions.InvalidOption, match=rf"^{list(arguments)[-1]}="):
        await builtin_tasks.remove_old_jobs(context, **arguments)
