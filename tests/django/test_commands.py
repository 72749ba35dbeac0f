"""``manage.py adjourn``: adjourn's commands with Django's options, errors and logging."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.core.management import ManagementUtility, call_command
from django.core.management.base import CommandError
from django.db import connections, transaction
from django.test import Client, override_settings

from adjourn.contrib.django import app
from adjourn.contrib.django.management.commands.adjourn import Command
from support.shop.models import Order
from support.shop.tasks import bill

Shop = psycopg.Connection


def run(*arguments: str, **options: Any) -> str:
    """Run the command in this program, and return what it has printed."""
    output = io.StringIO()
    call_command("adjourn", *arguments, stdout=output, **options)
    return output.getvalue()


@pytest.fixture
def typed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Run a command line as ``manage.py`` does, and return its exit code."""
    monkeypatch.setattr("adjourn.contrib.django.management.commands.adjourn.end_on", lambda number: None)

    def run_typed(*arguments: str) -> int:
        try:
            ManagementUtility(["manage.py", *arguments]).execute()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    yield run_typed
    connections.close_all()


def test_a_job_is_deferred_and_run(shop: Shop) -> None:
    order = Order.objects.create()
    assert run("defer", bill.name, json.dumps({"order_id": order.pk})).strip().isdigit()
    run("worker", "--one-shot", "--concurrency", "2")
    assert [job.status for job in app.job_manager.list_jobs()] == ["succeeded"]
    order.refresh_from_db()
    assert order.name == "billed"


def test_options_can_be_given_as_arguments_and_in_the_environment(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    bill.configure(queue="other").defer(order_id=1)
    monkeypatch.setenv("ADJOURN_WORKER_QUEUES", "default")
    call_command("adjourn", "worker", wait=False)
    assert [job.status for job in app.job_manager.list_jobs()] == ["todo"]
    monkeypatch.setenv("ADJOURN_WORKER_QUEUES", "other")
    call_command("adjourn", "worker", wait=False)
    assert [job.status for job in app.job_manager.list_jobs()] == ["succeeded"]


def test_the_shell_shows_jobs(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    bill.defer(order_id=1)
    call_command("adjourn", "shell", "list_jobs")
    assert bill.name in capsys.readouterr().out


def test_the_former_name_says_the_new_one(shop: Shop) -> None:
    errors = io.StringIO()
    call_command("procrastinate", "defer", bill.name, '{"order_id": 1}', stdout=io.StringIO(), stderr=errors)
    assert errors.getvalue().splitlines() == ["`manage.py procrastinate` is called `manage.py adjourn` now."]
    assert len(list(app.job_manager.list_jobs())) == 1


def test_a_defer_is_part_of_the_callers_transaction(shop: Shop) -> None:
    with transaction.atomic():
        run("defer", bill.name, '{"order_id": 1}')
        assert len(list(app.job_manager.list_jobs())) == 1
        transaction.set_rollback(True)
    assert list(app.job_manager.list_jobs()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["defer", "no.such.task"], "no.such.task"),
        (["defer", bill.name, "{"], "JSON"),
        (["defer", bill.name, '{"order_id": 1}', "--schedule-at", "soon"], "--schedule-at"),
        (["worker", "--concurrency", "0"], "--concurrency"),
        (["worker", "--concurency", "2"], "--concurency"),
        (["wrker"], "wrker"),
    ],
)
def test_a_mistake_is_an_error_of_the_command(arguments: list[str], words: str, shop: Shop) -> None:
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    assert words in str(caught.value)


def test_on_a_command_line_a_mistake_is_a_sentence_and_an_exit_code(
    typed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("adjourn", "defer", "no.such.task") == 1
    assert capsys.readouterr().err.startswith("CommandError: ")
    assert typed("adjourn", "worker", "--concurrency", "0") == 2
    assert "--concurrency" in capsys.readouterr().err
    assert typed("adjourn", "worker", "--concurency", "2") == 2
    assert "--concurency" in capsys.readouterr().err


def test_djangos_own_options_mean_what_they_mean(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    import django

    assert typed("adjourn", "worker", "--version") == 0
    assert capsys.readouterr().out.strip() == django.get_version()
    before = list(logging.getLogger().handlers)
    line = ["worker", "--one-shot", "-v", "0", "--no-color", "--skip-checks", "--pythonpath", "nowhere", "--traceback"]
    assert typed("adjourn", *line) == 0
    assert logging.getLogger().handlers == before
    assert "nowhere" in sys.path
    sys.path.remove("nowhere")
    with pytest.raises(CommandError):
        typed("adjourn", "defer", "no.such.task", "--traceback")


def test_the_help_names_the_command_as_it_is_typed(typed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("adjourn", "worker", "--help") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: manage.py adjourn worker")
    assert "ADJOURN_WORKER_QUEUES" in shown
    assert "--app" not in shown
    assert "--log-level" not in shown


def test_an_interrupt_has_its_exit_code(typed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("adjourn.cli.run", interrupt)
    assert typed("adjourn", "worker") == 130
    with pytest.raises(KeyboardInterrupt):
        run("worker")
    monkeypatch.setattr("adjourn.cli.run", lambda options: 74)
    assert typed("adjourn", "worker") == 74
    with pytest.raises(CommandError, match="74"):
        run("worker")


# Health


def test_everything_is_well(shop: Shop) -> None:
    assert run("healthchecks").splitlines() == [
        f"{each}: OK" for each in ("Settings", "Connection", "Migrations", "Schema", "Worker")
    ]
    answer = Client().get("/health/")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "ok": ["settings", "connection", "migrations", "schema", "worker"]}


def failure() -> tuple[str, str]:
    """The part that is not well, and the message, of the view; the command says the same."""
    answer = Client().get("/health/")
    assert answer.status_code == 503
    found = answer.json()
    with pytest.raises(CommandError) as caught:
        run("healthchecks")
    assert caught.value.returncode == 1
    assert str(caught.value) == f"{found['failed']}: {' '.join(found['message'].split())}"
    return found["failed"], found["message"]


def test_wrong_settings_are_not_well(shop: Shop) -> None:
    with override_settings(ADJOURN_DATABASE_ALIAS="nope"):
        part, message = failure()
    assert part == "settings"
    assert "manage.py check" in message


def test_a_database_that_cannot_be_reached_is_not_well(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    connections.close_all()
    monkeypatch.setitem(connections.settings["default"], "NAME", "there is none")
    part, message = failure()
    assert part == "connection"
    assert "there is none" in message


def test_missing_migrations_are_not_well(shop: Shop) -> None:
    shop.execute("UPDATE django_migrations SET app = 'other' WHERE app = 'adjourn'")
    try:
        part, message = failure()
        with override_settings(MIGRATION_MODULES={"adjourn": None}):
            assert Client().get("/health/").status_code == 200
    finally:
        shop.execute("UPDATE django_migrations SET app = 'adjourn' WHERE app = 'other'")
    assert part == "migrations"
    assert "0001_initial" in message
    assert "manage.py migrate adjourn" in message


def test_a_missing_schema_is_not_well(shop: Shop) -> None:
    with override_settings(ADJOURN_SCHEMA="nowhere"):
        part, message = failure()
    assert part == "schema"
    assert "manage.py migrate" in message


def test_a_worker_that_cannot_connect_is_not_well(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(
            "adjourn.contrib.django.connector.connector_params", lambda alias: {"dbname": "there is none", "host": ""}
        )
        part, message = failure()
    assert part == "worker"
    assert "there is none" in message


def test_the_command_asks_for_migrations() -> None:
    assert Command.requires_migrations_checks
