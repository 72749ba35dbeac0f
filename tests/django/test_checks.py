"""Django's system checks find what is wrong in the settings, without the database, and never by a traceback of ours."""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.core import checks as django_checks
from django.core.checks import CheckMessage
from django.db import connections, models
from django.test import override_settings
from django.test.utils import isolate_apps

from adjourn import sql
from adjourn.contrib.django import app
from adjourn.contrib.django.checks import check_database, check_settings
from adjourn.contrib.django.models import Job
from support.shop.models import Order


def found(**settings: Any) -> dict[str, str]:
    """What the checks say about settings."""
    with override_settings(**settings):
        return {f"{each.id}": each.msg for each in check_settings()}


@pytest.fixture(autouse=True)
def no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to connect: the checks need no database."""

    def refuse(*arguments: Any) -> None:
        raise AssertionError("a check has connected")

    for alias in ("default", "second"):
        monkeypatch.setattr(connections[alias], "connect", refuse)


def test_nothing_is_wrong_with_the_defaults() -> None:
    assert found() == {}


@pytest.mark.parametrize(
    ("settings", "expected", "words"),
    [
        ({"ADJOURN_DATABASE_ALIAS": "nope"}, "adjourn.E001", ["'nope'", "'default'"]),
        ({"ADJOURN_DATABASE_ALIAS": 3}, "adjourn.E001", ["ADJOURN_DATABASE_ALIAS=3"]),
        ({"ADJOURN_DATABASE_ALIAS": "sqlite"}, "adjourn.E002", ["django.db.backends.sqlite3"]),
        ({"ADJOURN_ON_APP_READY": "no.such"}, "adjourn.E003", ["'no.such'", "No module named 'no'"]),
        ({"ADJOURN_ON_APP_READY": 3}, "adjourn.E003", ["ADJOURN_ON_APP_READY"]),
        ({"ADJOURN_IMPORT_PATHS": ["no.such"]}, "adjourn.E003", ["'no.such'", "No module named 'no'"]),
        ({"ADJOURN_IMPORT_PATHS": "shop.tasks"}, "adjourn.E003", ["list"]),
        ({"ADJOURN_IMPORT_PATHS": [3]}, "adjourn.E003", ["int"]),
        ({"ADJOURN_ADMIN_HIDE_ARGS": "shop.tasks.bill"}, "adjourn.E009", ["'shop.tasks.bill'", "list"]),
        ({"ADJOURN_ADMIN_HIDE_ARGS": [len]}, "adjourn.E009", ["names"]),
        ({"ADJOURN_ADMIN_HIDE_ARGS": None}, "adjourn.E009", ["None"]),
        ({"ADJOURN_ADMIN_HIDE_ARGS": ["support.shop.tasks.bil"]}, "adjourn.W006", ["support.shop.tasks.bill"]),
        ({"ADJOURN_ADMIN_HIDE_ARGS": ["django:no.such"]}, "adjourn.W006", ["django:no.such"]),
        ({"ADJOURN_STORE_RESULTS": "no"}, "adjourn.E009", ["'no'", "False"]),
        ({"ADJOURN_RESULT_TTL": -1}, "adjourn.E005", ["ADJOURN_RESULT_TTL", "-1"]),
        ({"ADJOURN_QUEUE_LIMITS": {"mail": 3}}, "adjourn.E005", ["ADJOURN_QUEUE_LIMITS", "'mail'", "Limit(...)"]),
        ({"ADJOURN_QUEUE_LIMITS": ["mail"]}, "adjourn.E005", ["ADJOURN_QUEUE_LIMITS", "dictionary"]),
        ({"ADJOURN_READONLY_MODELS": "no"}, "adjourn.E009", ["'no'", "False"]),
        ({"ADJOURN_ALLOW_DROP": "False"}, "adjourn.E009", ["ADJOURN_ALLOW_DROP='False'"]),
        ({"ADJOURN_SCHEMA": "a$b"}, "adjourn.E004", ["a$b"]),
        ({"ADJOURN_SCHEMA": None}, "adjourn.E004", ["None"]),
        ({"ADJOURN_WORKER_DEFAULTS": {"concurency": 3}}, "adjourn.E005", ["'concurrency'"]),
        ({"ADJOURN_WORKER_DEFAULTS": {"concurrency": 0}}, "adjourn.E005", ["concurrency"]),
        ({"ADJOURN_WORKER_DEFAULTS": [3]}, "adjourn.E005", ["ADJOURN_WORKER_DEFAULTS"]),
        ({"ADJOURN_PERIODIC_DEFAULTS": {"max_delay": -1}}, "adjourn.E005", ["max_delay"]),
        ({"ADJOURN_POOL": {"max_siz": 3}}, "adjourn.E005", ["'max_size'"]),
        ({"ADJOURN_POOL": 3}, "adjourn.E005", ["ADJOURN_POOL=3"]),
        ({"PROCRASTINATE_DATABASE_ALIAS": "x"}, "adjourn.W001", ["ADJOURN_DATABASE_ALIAS"]),
        ({"PROCRASTINATE_OTHER": "x"}, "adjourn.W001", ["no such setting"]),
        ({"ADJOURN_SHEMA": "x"}, "adjourn.W001", ["'ADJOURN_SCHEMA'"]),
    ],
)
def test_each_mistake_has_a_message(settings: dict[str, Any], expected: str, words: list[str]) -> None:
    message = found(**settings)[expected]
    assert all(word in message for word in words), message


def test_tasks_whose_arguments_are_hidden_have_a_name_or_a_path() -> None:
    assert found(ADJOURN_ADMIN_HIDE_ARGS=["support.shop.tasks.bill", "django:support.shop.models.Order"]) == {}


def test_signs_of_a_pooler_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "DISABLE_SERVER_SIDE_CURSORS", True)
    assert "pooler" in found()["adjourn.W003"]
    assert found(ADJOURN_WORKER_DEFAULTS={"listen_notify": False}) == {}
    assert found(ADJOURN_POOL={"pooler": True}) == found(ADJOURN_POOL={"pooler": False}) == {}


@pytest.fixture
def tasks() -> Iterator[dict[str, Any]]:
    """The tasks and schedules of the app, which are as before afterwards."""
    declared: dict[str, Any] = app.tasks.declared()
    schedules: Any = app.periodic_registry.periodic_tasks
    before = dict(declared), dict(schedules)
    yield declared
    for now, then in ((declared, before[0]), (schedules, before[1])):
        now.clear()
        now.update(then)


def test_a_module_that_is_imported_under_two_names_is_told(tasks: dict[str, Any]) -> None:
    def same() -> None:
        pass

    app.task(name="one")(same)
    tasks["two"] = tasks["one"].bound_to(app)
    tasks["two"].name = "two"
    copied = FunctionType(same.__code__, {}, same.__name__)
    copied.__qualname__, copied.__module__ = same.__qualname__, "another.name"
    tasks["two"].func = copied
    assert "declared twice, as 'one' and as 'two'" in found()["adjourn.W004"]


def test_a_periodic_task_that_no_worker_serves_is_told(tasks: dict[str, Any]) -> None:
    @app.periodic(cron="0 4 * * *", queue="night")
    @app.task(name="nightly")
    def nightly(timestamp: int) -> None:
        pass

    assert found() == {}
    assert "'night'" in found(ADJOURN_WORKER_DEFAULTS={"queues": ["day"]})["adjourn.W005"]
    assert found(ADJOURN_WORKER_DEFAULTS={"queues": ["night"]}) == {}


def test_a_constraint_to_a_job_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with isolate_apps("support.shop"):

        class Constrained(models.Model):
            job: Any = models.ForeignKey(Job, on_delete=models.CASCADE)
            jobs: Any = models.ManyToManyField(Job, related_name="others")
            order: Any = models.ForeignKey(Order, on_delete=models.CASCADE)

            class Meta:
                app_label = "shop"

        class Free(models.Model):
            job: Any = models.ForeignKey(Job, on_delete=models.DO_NOTHING, db_constraint=False, related_name="free")

            class Meta:
                app_label = "shop"

    monkeypatch.setattr(apps, "get_models", lambda: [Constrained, Free])
    messages = [each for each in check_settings() if each.id == "adjourn.E007"]
    assert [each.obj.name for each in messages] == ["job", "jobs"]


def test_they_are_registered() -> None:
    assert check_settings in django_checks.registry.registry.registered_checks
    assert check_database in django_checks.registry.registry.registered_checks
    assert django_checks.tag_exists("adjourn")


class TestWithTheDatabase:
    """What needs the database, for ``check --database default``."""

    @pytest.fixture(autouse=True)
    def no_connection(self) -> None:
        """Let this connect."""

    def run(self, *databases: str) -> list[CheckMessage]:
        return check_database(databases=list(databases))

    def test_the_schema_is_looked_at_only_if_asked(self, shop: psycopg.Connection) -> None:
        with override_settings(ADJOURN_SCHEMA="nowhere"):
            assert self.run() == []
            assert check_database() == []
            assert self.run("second") == []
            (message,) = self.run("default")
        assert message.id == "adjourn.W002"
        assert "nowhere" in message.msg
        assert self.run("default") == []

    def test_an_older_schema_is_told(self, shop: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sql, "latest_version", lambda: 99)
        (message,) = self.run("default")
        assert message.id == "adjourn.W002"

    def test_a_database_that_cannot_be_reached_is_told(
        self, shop: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connections["default"].close()
        monkeypatch.setitem(connections.settings["default"], "NAME", "there is none")
        (message,) = self.run("default")
        assert "could not be checked" in message.msg
