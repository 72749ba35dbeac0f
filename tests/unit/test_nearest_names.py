"""Misspelled variables, apps, modules, tasks and durations: what was probably meant is named."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import adjourn
from adjourn import cli, testing
from adjourn.cli import flags, make_parser
from adjourn.cli.shell import Shell
from adjourn.cli.tables import Screen
from adjourn.exceptions import InvalidOption, LoadFromPathError, TaskNotFound
from adjourn.testing import InMemoryConnector


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which nothing of adjourn's is set."""
    for name in os.environ:
        if name.startswith("ADJOURN_"):
            monkeypatch.delenv(name)
    return monkeypatch


# Environment variables


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ADJOURN_WORKER_CONCURENCY", "; did you mean 'ADJOURN_WORKER_CONCURRENCY'?"),
        ("ADJOURN_LOGLEVEL", "; did you mean 'ADJOURN_LOG_LEVEL'?"),
        ("ADJOURN_APPS", "; did you mean 'ADJOURN_APP'?"),
        ("ADJOURN_DEFER_COLOUR", "."),
        ("ADJOURN_WORKER_COLOUR", "."),
    ],
)
def test_a_variable_that_does_not_exist_is_told_with_the_nearest(name: str, meant: str) -> None:
    assert list(flags.unknown_variables(make_parser, {name: "1", "PATH": "", "ADJOURN_APP": "x"})) == [(name, meant)]


@pytest.mark.parametrize(
    "name", ["ADJOURN_DSN", "ADJOURN_TEST_DSN", "ADJOURN_DEMO_DSN", "MY_ADJOURN_APPS", "ADJOURN_VERBOSE"]
)
def test_variables_of_the_programs_own_are_let_be(name: str) -> None:
    assert list(flags.unknown_variables(make_parser, {name: "1"})) == []


def test_nothing_is_computed_without_such_variables() -> None:
    def no_parser() -> flags.Parser:
        raise AssertionError

    assert list(flags.unknown_variables(no_parser, {"PATH": "", "HOME": ""})) == []


def test_the_command_says_so_once(
    environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    environment.setenv("ADJOURN_WORKER_CONCURENCY", "8")
    try:
        cli.main(["migrate-code", str(tmp_path)])
        root.addHandler(caplog.handler)
        cli.run(cli.parse(["migrate-code", str(tmp_path)]))
    finally:
        root.handlers[:], root.level = before
    (record,) = [record for record in caplog.records if getattr(record, "action", "") == "unknown_variable"]
    assert record.levelname == "WARNING"
    assert record.getMessage() == (
        "The environment variable ADJOURN_WORKER_CONCURENCY is ignored: there is none of this name; did you mean "
        "'ADJOURN_WORKER_CONCURRENCY'?"
    )


# The path of an app


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a program, in which a command is run."""
    package = tmp_path / "nearest_shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "tasks.py").write_text(
        "import adjourn\nfrom adjourn.testing import InMemoryConnector\napp = adjourn.App(connector=InMemoryConnector())\n"
        "apple = 1\n@app.task(name='shop.tasks.send_mail')\ndef send_mail(): ...\n"
    )
    (package / "broken.py").write_text("import nearest_nothing\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("nearest_shop.tasks.ap", "module nearest_shop.tasks has no 'ap'; did you mean 'app'?"),
        ("nearest_shop.tasks.xyz", "module nearest_shop.tasks has no 'xyz'."),
        ("nearest_shop.task.app", "No module named 'nearest_shop.task'; did you mean 'nearest_shop.tasks'?"),
        ("nearest_shp.tasks.app", "No module named 'nearest_shp'; did you mean 'nearest_shop'?"),
        ("nearest_shop.broken.app", "No module named 'nearest_nothing'. Is its directory on Python's import path?"),
        ("qqqqqqqq.app", "No module named 'qqqqqqqq'. Is its directory on Python's import path?"),
    ],
)
def test_the_path_of_an_app_is_told_with_the_nearest(shop: Path, path: str, complaint: str) -> None:
    with pytest.raises(LoadFromPathError) as caught:
        adjourn.App.from_path(path)
    assert complaint in str(caught.value)


def test_the_command_line_does_so_too(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, complaint in (
        (["--app=nearest_shop.tasks.ap", "shell"], "did you mean 'app'?"),
        (["--app=nearest_shop.tasks.app", "defer", "snd_mail"], "did you mean 'shop.tasks.send_mail'?"),
    ):
        assert cli.main(arguments) == 1
        assert complaint in capsys.readouterr().err
    sys.modules.pop("nearest_shop.tasks", None)


# Tasks


@pytest.mark.parametrize(
    "name", ["shop.tasks.snd_mail", "send_mail", "snd_mail", "other.send_mail", "Shop.Tasks.Send_Mail"]
)
def test_a_task_is_told_with_the_nearest(app: adjourn.App, name: str) -> None:
    app.task(name="shop.tasks.send_mail")(lambda: None)
    with pytest.raises(
        TaskNotFound, match=rf"named '{name}' here; did you mean 'shop\.tasks\.send_mail'\? Import the module"
    ):
        app.configure_task(name, allow_unknown=False)


def test_a_task_like_no_other_is_told_alone(app: adjourn.App) -> None:
    with pytest.raises(TaskNotFound, match=r"named 'xyz' here\. Import the module"):
        app.configure_task("xyz", allow_unknown=False)


# Durations


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (
            {"hour": 1},
            r"there is no 'hour'; did you mean 'hours'\? Pass timedelta's keywords: weeks, days, hours, minutes",
        ),
        ({"second": 1, "minutes": 2}, "there is no 'second'; did you mean 'seconds'"),
        ({"years": 1}, r"there is no 'years'\. Pass timedelta's keywords"),
        ({1: 1}, r"there is no 1\. Pass timedelta's keywords"),
        ({"hours": "1"}, "unsupported type for timedelta hours"),
    ],
)
def test_a_duration_is_told_with_the_nearest_keyword(
    app: adjourn.App, connector: InMemoryConnector, value: Any, complaint: str
) -> None:
    with pytest.raises(InvalidOption, match=f"^schedule_in=.*{complaint}"):
        app.configure_task("any", schedule_in=value)
    with pytest.raises(InvalidOption, match=f"^retry_in=.*{complaint}"):
        adjourn.RetryDecision(retry_in=value)
    if all(isinstance(name, str) for name in value):
        with pytest.raises(InvalidOption, match=f"^advance=.*{complaint}"):
            connector.advance(**value)
        with pytest.raises(InvalidOption, match=f"^travel=.*{complaint}"):
            testing.travel(app, **value)


# Parameters of connections


@pytest.mark.parametrize(
    "kind",
    [adjourn.PsycopgConnector, adjourn.SyncPsycopgConnector, adjourn.Psycopg2Connector, adjourn.AsyncPsycopg2Connector],
)
@pytest.mark.parametrize("parameter", ["target_session_attrs", "sslmode"])
def test_a_value_that_a_connection_would_refuse_is_refused_with_the_connector(kind: Any, parameter: str) -> None:
    wrong, right = {"target_session_attrs": ("read-wrte", "read-write"), "sslmode": ("requir", "require")}[parameter]
    complaint = rf"{kind.__name__}: {parameter} has no such value; did you mean '{right}'\? Pass one of: "
    for arguments, options in (
        ((f"postgresql://localhost/x?{parameter}={wrong}",), {}),
        ((f"host=localhost {parameter}={wrong}",), {}),
        ((), {parameter: wrong}),
    ):
        with pytest.raises(InvalidOption, match=complaint) as caught:
            kind(*arguments, **options)
        assert f"{wrong} " not in f"{caught.value} "
        assert caught.value.__context__ is None
    kind(f"postgresql://localhost/x?{parameter}={right}")
    kind(**{parameter: right})


def test_keywords_of_a_connection_are_looked_at_too() -> None:
    with pytest.raises(InvalidOption, match="target_session_attrs has no such value"):
        adjourn.PsycopgConnector(kwargs={"target_session_attrs": "primry"})
    adjourn.PsycopgConnector(lambda: "target_session_attrs=primry")  # it is asked when it connects


# The name of a task, which another app may have


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("shop.sned", "adjourn: there is no task 'shop.sned' here; did you mean 'shop.send'?\n"),
        ("shop.send", ""),
        ("other.report", ""),
    ],
)
def test_a_task_that_was_probably_meant_is_named(capsys: pytest.CaptureFixture[str], name: str, told: str) -> None:
    app = adjourn.App(connector=InMemoryConnector())

    @app.task(name="shop.send")
    def send() -> None: ...

    with app.open():
        Shell(app, Screen()).do(["list_jobs", f"task={name}"])
        assert capsys.readouterr().err == told
        options = cli.make_parser(app=lambda: app).parse_args(["pause", f"--task={name}"])
        assert options.run(options) == 0
    printed = capsys.readouterr()
    assert printed.out == f"Task {name} is paused\n"
    assert printed.err.endswith(told.partition(";")[2])
    assert bool(printed.err) == (name != "shop.send")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "pause task=shop.sned",
            "there is no task 'shop.sned' here, and no job of it waits or runs; did you mean 'shop.send'?",
        ),
        ("pause task=report", "there is no task 'report' here, and no job of it waits or runs."),
        ("pause queue=pictrues", "there is no queue 'pictrues' here, and no job in it waits or runs, and no worker"),
        ("set_limit queue=pictrues concurrency=1", "; did you mean 'pictures'?"),
        ("set_limit task=shop.sned rate=10/60", "; did you mean 'shop.send'?"),
        ("set_limit name=tennants concurrency=1", "there is no limit 'tennants' here, and no program has declared"),
        ("reset_limit name=tennants", "; did you mean 'tenants'?"),
        ("pause queue=pictures", ""),
        ("pause queue=waits", ""),
        ("pause task=waits", ""),
        ("set_limit queue=limited concurrency=1", ""),
        ("set_limit task=shop.send concurrency=1", ""),
        ("set_limit name=tenants concurrency=1", ""),
    ],
)
def test_a_name_that_nobody_knows_is_taken_and_doubted(
    capsys: pytest.CaptureFixture[str], words: str, told: str
) -> None:
    app = adjourn.App(connector=InMemoryConnector(), queue_limits={"limited": adjourn.Limit(concurrency=2)})

    @app.task(name="shop.send", queue="pictures", limits=[adjourn.Limit(key="to", concurrency=1, name="tenants")])
    def send(to: str) -> None: ...

    with app.open():
        app.configure_task("waits", queue="waits").defer()
        capsys.readouterr()
        Shell(app, Screen()).do(words.split())
        printed = capsys.readouterr()
    assert printed.out
    assert told in printed.err
    assert bool(printed.err) == bool(told)


@pytest.mark.parametrize(
    ("place", "told"), [("task=shop.sned", "did you mean 'shop.send'?"), ("queue=mial", "'mail'?")]
)
def test_pausing_what_nobody_knows_is_doubted_on_the_command_line(
    capsys: pytest.CaptureFixture[str], place: str, told: str
) -> None:
    app = adjourn.App(connector=InMemoryConnector())

    @app.task(name="shop.send", queue="mail")
    def send() -> None: ...

    options = cli.make_parser(app=lambda: app).parse_args(["pause", f"--{place}"])
    assert options.run(options) == 0
    assert told in capsys.readouterr().err
