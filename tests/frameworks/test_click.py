"""`adjourn.contrib.click.group`: the commands of adjourn in a program of Click's."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator
from typing import Any

import click
import pytest
import typer
from click.testing import CliRunner, Result
from typer.testing import CliRunner as TyperRunner

import adjourn
from adjourn import cli, exceptions
from adjourn.cli.exits import Exit
from adjourn.contrib.click import group

ran: list[int] = []


@pytest.fixture
def app(database: str) -> adjourn.App:
    """An app that notes what its jobs do."""
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    ran.clear()

    @app.task(name="note")
    def note(number: int) -> None:
        ran.append(number)

    return app


def main(app: Any) -> click.Group:
    """A program of the user's with the group in it."""

    @click.group(name="shop")
    def program() -> None: ...

    program.add_command(group(app))
    return program


def run(app: Any, *arguments: str, **environment: str) -> Result:
    """Run the program as a user would."""
    return CliRunner().invoke(main(app), ["adjourn", *arguments], env=environment, prog_name="shop")


def test_a_job_is_deferred_and_run_with_the_flags_and_variables_of_the_command_line(app: adjourn.App) -> None:
    done = run(app, "schema", "--apply")
    assert (done.exit_code, done.output.startswith("The schema is up to date")) == (0, True)
    done = run(app, "defer", "note", '{"number": 1}', "--priority=3", ADJOURN_DEFER_QUEUE="mail")
    assert done.exit_code == 0, done.output
    with app.open():
        [job] = app.job_manager.list_jobs()
        assert (str(job.id), job.queue, job.priority) == (done.stdout.strip(), "mail", 3)
    done = run(app, "worker", "--one-shot", "--queues", "mail")
    assert (done.exit_code, ran) == (0, [1]), done.output
    assert run(app, "healthchecks").exit_code == 0
    assert "note" in run(app, "shell", "list_tasks").output


@pytest.mark.parametrize("command", ["worker", "defer", "schema", "healthchecks", "shell", "pause", "resume"])
def test_the_help_of_a_command_is_that_of_adjourn_but_for_the_app(
    app: adjourn.App, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    ours = capsys.readouterr().out
    theirs = run(app, command, "--help").output
    _, _, ours = ours.partition("\n\n")
    usage, _, theirs = theirs.partition("\n\n")
    assert usage.startswith(f"usage: shop adjourn {command} ")
    assert theirs == ours


def test_the_group_lists_its_commands(app: adjourn.App) -> None:
    output = run(app, "--help").output
    lines = output.partition("Commands:\n")[2].splitlines()
    # A long sentence goes on in the next line.
    assert [line.split()[0] for line in lines if not line.startswith("   ")] == [
        "defer",
        "doctor",
        "healthchecks",
        "metrics",
        "migrate-from-procrastinate",
        "pause",
        "resume",
        "schema",
        "shell",
        "top",
        "web",
        "worker",
    ]
    assert adjourn.__version__ in run(app, "--version").output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["worker", "--one-shoot"], "'--one-shoot'; did you mean '--one-shot'?"),
        (["worker", "--concurrency=many"], "argument -c/--concurrency"),
        (["worker", "--app=shop.app"], "there is no option '--app'"),
        (["worker", "--concurrency=0"], "--concurrency"),
        (["defer"], "TASK"),
        (["shell", "list_job"], "did you mean 'list_jobs'"),
    ],
)
def test_an_invalid_command_line_is_an_error_of_clicks(app: adjourn.App, arguments: list[str], said: str) -> None:
    done = run(app, *arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Usage: shop adjourn {arguments[0]}")
    assert f"Try 'shop adjourn {arguments[0]} --help' for help." in done.stderr
    assert "Error: " in done.stderr
    assert said in done.stderr


def test_an_invalid_variable_is_an_error_of_clicks(app: adjourn.App) -> None:
    done = run(app, "worker", ADJOURN_WORKER_CONCURRENCY="many")
    assert (done.exit_code, "ADJOURN_WORKER_CONCURRENCY" in done.stderr) == (2, True)


def test_a_failure_is_one_line_without_a_traceback() -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector("postgresql://127.0.0.1:1/nothing", timeout=1))
    done = run(app, "healthchecks")
    assert done.exit_code == Exit.FAILED
    assert done.stderr.startswith("Error: Cannot connect")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (exceptions.OutcomesNotStored(1, 2.0), Exit.NOT_STORED),
        (exceptions.WorkerStuck(1, 2.0), Exit.STUCK),
        (exceptions.SchemaOutOfDate("x"), Exit.FAILED),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
    ],
)
def test_exit_codes_are_those_of_adjourn(raised: BaseException, code: Exit) -> None:
    def app() -> adjourn.App:
        raise raised

    assert run(app, "worker").exit_code == code


def test_the_programs_own_logging_stays_unless_a_flag_says_otherwise(
    app: adjourn.App, handlers: list[logging.Handler]
) -> None:
    own = logging.NullHandler()
    handlers[:] = [own]
    assert run(app, "healthchecks").exit_code == 0
    assert logging.root.handlers == [own]
    assert run(app, "healthchecks", "--log-format=json").exit_code == 0
    assert own not in logging.root.handlers


@pytest.fixture
def handlers() -> Iterator[list[logging.Handler]]:
    """The root logger's handlers, which are put back."""
    before, level = logging.root.handlers[:], logging.root.level
    yield logging.root.handlers
    logging.root.handlers[:] = before
    logging.root.setLevel(level)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["defer", "note", '{"number": 1}'], 0, "1"),
        (["worker", "--one-shot"], 0, ""),
        (["worker", "--nope"], 2, "there is no option '--nope'"),
        (["--help"], 0, "Usage: shop adjourn [OPTIONS] COMMAND"),
    ],
)
def test_a_program_of_typers_hands_its_arguments_on(
    app: adjourn.App, arguments: list[str], code: int, said: str
) -> None:
    program = typer.Typer()
    program.command()(lambda: None)

    @program.command(
        "adjourn",
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )
    def run_adjourn(context: typer.Context) -> None:
        group(app).main(context.args, prog_name="shop adjourn")

    result = TyperRunner().invoke(program, ["adjourn", *arguments])
    assert result.exit_code == code, result.output
    assert said in result.output
    assert "Traceback" not in result.output


def test_something_that_is_no_app_is_refused_at_once() -> None:
    with pytest.raises(exceptions.InvalidOption, match="app='shop'"):
        group("shop")  # type: ignore[arg-type]


def test_without_click_the_import_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "adjourn.contrib.click")
    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(ImportError, match=r"pip install 'adjourn\[click\]'"):
        importlib.import_module("adjourn.contrib.click")
