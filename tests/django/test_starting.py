"""What happens when Django starts: modules with tasks are found, and no connection is made."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import AppConfig, apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.test import override_settings

import adjourn
from adjourn.contrib import django as contrib
from adjourn.contrib.django import app, procrastinate_app
from adjourn.contrib.django.application import DjangoApp
from adjourn.contrib.django.apps import AdjournConfig
from adjourn.contrib.django.settings import Settings
from support.shop.models import Order

config = apps.get_app_config("adjourn")


@pytest.fixture(autouse=True)
def no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to connect."""

    def refuse(*arguments: Any) -> None:
        raise AssertionError("starting has connected")

    monkeypatch.setattr(connections["default"], "connect", refuse)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed app, whose modules a test writes."""
    folder = tmp_path / "new_app"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    configs = list(apps.get_app_configs())
    with monkeypatch.context() as patched:
        new = AppConfig.create("new_app")
        patched.setattr(apps, "get_app_configs", lambda: [*configs, new])
        yield folder
    for name in set(sys.modules) - before:
        if name.startswith("new_app"):
            del sys.modules[name]


def test_the_config_has_the_app() -> None:
    assert isinstance(config, AdjournConfig)
    assert config.app is app
    assert (config.label, config.name) == ("adjourn", "adjourn.contrib.django")
    assert procrastinate_app.app is procrastinate_app.current_app is contrib.app is app


def test_a_module_that_is_not_there_is_skipped(package: Path) -> None:
    config.ready()


def test_tasks_of_an_app_are_found(package: Path) -> None:
    (package / "tasks.py").write_text("found = True")
    (package / "jobs.py").write_text("found = True")
    config.ready()
    assert "new_app.tasks" in sys.modules
    with override_settings(ADJOURN_AUTODISCOVER_MODULE_NAME=None):
        config.ready()
    assert "new_app.jobs" not in sys.modules
    with override_settings(ADJOURN_AUTODISCOVER_MODULE_NAME="jobs"):
        config.ready()
    assert "new_app.jobs" in sys.modules


def test_a_module_that_cannot_be_imported_is_named_with_the_reason(package: Path) -> None:
    (package / "tasks.py").write_text("\nimport there_is_none")
    with pytest.raises(ImproperlyConfigured) as caught:
        config.ready()
    message = str(caught.value)
    assert all(words in message for words in ("'new_app'", "new_app.tasks", "'there_is_none'", "tasks.py, line 2")), (
        message
    )


def test_a_syntax_error_names_file_and_line(package: Path) -> None:
    (package / "tasks.py").write_text("\n\ndef")
    with pytest.raises(SyntaxError) as caught:
        config.ready()
    assert caught.value.filename == str(package / "tasks.py")
    assert caught.value.lineno == 3


def test_a_function_is_called_with_the_app_when_it_is_ready(package: Path, caplog: pytest.LogCaptureFixture) -> None:
    (package / "queue.py").write_text("seen = []\non_app_ready = seen.append")
    with override_settings(ADJOURN_ON_APP_READY="new_app.queue.on_app_ready"):
        config.ready()
    assert sys.modules["new_app.queue"].seen == [app]
    called: list[Any] = []
    with override_settings(ADJOURN_ON_APP_READY=called.append):
        config.ready()
    assert called == [app]
    with override_settings(ADJOURN_ON_APP_READY="no.such"), caplog.at_level(logging.ERROR, logger="adjourn.django"):
        config.ready()
    assert "ADJOURN_ON_APP_READY='no.such'" in caplog.text


def test_a_function_that_raises_is_not_hidden() -> None:
    def broken(app: Any) -> None:
        raise LookupError("mine")

    with override_settings(ADJOURN_ON_APP_READY=broken), pytest.raises(LookupError, match="mine"):
        config.ready()


def test_every_option_of_an_app_is_a_setting() -> None:
    options = {*inspect.signature(adjourn.App).parameters} - {"connector"}
    assert options <= {*inspect.signature(DjangoApp).parameters}
    assert {each.upper() for each in options} <= {*vars(Settings)}


def test_names_of_procrastinate_are_there() -> None:
    from adjourn.contrib.django import exceptions, models

    assert models.ProcrastinateJob is models.Job
    assert models.ProcrastinateEvent is models.Event
    assert models.ProcrastinatePeriodicDefer is models.Schedule
    assert models.ProcrastinateWorker is models.Worker
    assert exceptions.ReadOnlyModel.__doc__
    assert Order._meta.app_label == "shop"
    with pytest.raises(AttributeError):
        contrib.there_is_none  # type: ignore[attr-defined]  # noqa: B018
