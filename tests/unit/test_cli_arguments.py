"""What the command line makes of arguments and environment, and what its log records look like."""

from __future__ import annotations

import argparse
import datetime
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from adjourn import schema
from adjourn.cli import flags, logs, main, make_parser, parse
from adjourn.types import ConfigureOptions
from adjourn.worker.options import Options


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which nothing of adjourn's is set."""
    for name in os.environ:
        if name.startswith("ADJOURN_"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, which is put back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


GLOBAL = {"app", "verbose", "log_level", "log_format", "log_format_style"}


def given(*arguments: str) -> dict[str, Any]:
    """What a command line says, without what every command line says."""
    options = vars(parse(arguments))
    return {name: value for name, value in options.items() if name not in ("run", "parser")}


def test_a_flag_that_is_not_given_is_absent() -> None:
    assert given("worker") == {}
    assert given("defer", "task") == {"task": "task"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["worker", "--concurency", "5"],
            "adjourn worker: error: there is no option '--concurency'; did you mean '--concurrency'?",
        ),
        (["worker", "--concurency=5"], "'--concurency'; did you mean '--concurrency'?"),
        (["--apps=x", "worker"], "there is no option '--apps'; did you mean '--app'?"),
        (["defer", "task", "--quue", "mail"], "there is no option '--quue'; did you mean '--queue'?"),
        (["schema", "--aply"], "there is no option '--aply'; did you mean '--apply'?"),
        (["wroker"], "did you mean 'worker'?"),
        (["healthchecks", "now"], "there is no argument 'now'."),
    ],
)
def test_a_misspelled_flag_or_command_is_named(
    capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(arguments)
    assert complaint in capsys.readouterr().err


def test_flags_of_a_worker_are_options_of_a_worker() -> None:
    everything = given(
        *("worker", "-n", "name", "-q", "a, b", "-c", "2", "-p", "0.5", "--shutdown-graceful-timeout", "0"),
        *("-a", "0.7", "--timeout", "60"),
        *("--one-shot", "--no-listen-notify", "--delete-jobs", "Successful"),
        *("--update-heartbeat-interval", "1", "--stalled-worker-timeout", "3", "--round-trip-timeout", "2"),
    )
    assert everything == {
        "name": "name",
        "queues": ["a", "b"],
        "concurrency": 2,
        "fetch_job_polling_interval": 0.5,
        "abort_job_polling_interval": 0.7,
        "timeout": 60.0,
        "shutdown_graceful_timeout": 0.0,
        "wait": False,
        "listen_notify": False,
        "delete_jobs": "successful",
        "update_heartbeat_interval": 1.0,
        "stalled_worker_timeout": 3.0,
        "round_trip_timeout": 2.0,
    }


def test_options_that_no_text_can_say_have_no_flag() -> None:
    worker = make_parser().parse_args(["worker"]).parser
    assert {field.name for field in attrs.fields(Options)} - worker.variables.keys() == {
        "additional_context",
        "install_signal_handlers",
        "task_middleware",
        "worker_middleware",
    }


def test_no_limit_can_be_said_on_the_command_line() -> None:
    assert given("worker", "--timeout=none", "--shutdown-graceful-timeout", "None") == {
        "timeout": None,
        "shutdown_graceful_timeout": None,
    }
    with pytest.raises(SystemExit):
        parse(["worker", "--concurrency=none"])


def test_every_option_of_a_job_that_can_be_written_down_is_a_flag() -> None:
    defer = make_parser().parse_args(["defer", "task"]).parser
    told_in_programs = {"task_kwargs", "unique", "headers", "connection"}
    assert ConfigureOptions.__annotations__.keys() - defer.variables.keys() == told_in_programs


@pytest.mark.parametrize("command", ["worker", "defer", "demo"])
def test_every_flag_tells_its_variable_and_the_variable_its_flag(command: str) -> None:
    parser = make_parser().parse_args([command, *(["task"] if command == "defer" else [])]).parser
    shown = parser.format_help()
    own = {name: variable for name, variable in parser.variables.items() if name not in GLOBAL}
    assert own
    for variable in own.values():
        assert variable.name.startswith(f"ADJOURN_{command.upper()}_")
        assert variable.name in shown


@pytest.mark.parametrize("command", ["", "worker", "defer", "schema", "healthchecks", "shell", "demo"])
def test_help_fits_into_a_narrow_terminal(
    command: str, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        parse([*([command] if command else []), "--help"])
    text = capsys.readouterr().out
    # argparse does not break a group of flags of which one goes at most.
    assert [line for line in text.splitlines() if len(line) > 80 and "|" not in line] == []
    assert "\n\n" in text


def test_negative_and_positive_forms_of_a_switch_go_to_one_place() -> None:
    assert given("worker", "-w")["wait"] is True
    assert given("worker", "--wait")["wait"] is True
    assert given("worker", "-l")["listen_notify"] is True
    assert given("defer", "task", "--no-unknown")["unknown"] is False


def test_a_flag_is_not_taken_by_its_beginning() -> None:
    with pytest.raises(SystemExit):
        parse(["worker", "--conc", "5"])


def test_global_flags_go_before_and_after_the_command() -> None:
    assert given("--app", "a.b", "worker")["app"] == "a.b"
    assert given("worker", "--app", "a.b")["app"] == "a.b"
    assert given("--app", "a.b", "worker", "--app", "c.d")["app"] == "c.d"
    assert given("-a", "a.b", "defer", "task")["app"] == given("defer", "task", "-a", "a.b")["app"] == "a.b"


def test_verbose_is_a_number_that_the_environment_can_say(environment: pytest.MonkeyPatch) -> None:
    assert given("-v", "worker")["verbose"] == 1
    assert given("worker", "-vv")["verbose"] == 2
    environment.setenv("ADJOURN_VERBOSE", "1")
    assert given("worker")["verbose"] == 1


def test_behind_worker_the_letter_of_app_means_the_abort_interval() -> None:
    options = given("-a", "a.b", "worker", "-a", "3")
    assert (options["app"], options["abort_job_polling_interval"]) == ("a.b", 3)


def test_the_environment_fills_in_what_is_not_given(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ADJOURN_WORKER_CONCURRENCY", "7")
    environment.setenv("ADJOURN_WORKER_LISTEN_NOTIFY", "off")
    environment.setenv("ADJOURN_WORKER_WAIT", "n")
    environment.setenv("ADJOURN_WORKER_QUEUES", "a,b")
    environment.setenv("ADJOURN_APP", "a.b")
    assert given("worker", "--concurrency=8") == {
        "app": "a.b",
        "concurrency": 8,
        "listen_notify": False,
        "wait": False,
        "queues": ["a", "b"],
    }
    assert given("worker", "--wait", "-l", "--app=c.d")["wait"] is True


def test_an_empty_variable_says_nothing(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ADJOURN_WORKER_CONCURRENCY", "")
    assert given("worker") == {}


def test_a_command_reads_its_own_variables_alone(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ADJOURN_WORKER_CONCURRENCY", "nonsense")
    assert given("defer", "task") == {"task": "task"}


def test_a_flag_silences_the_variable_of_its_rival(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ADJOURN_DEFER_IN", "5")
    assert given("defer", "task") == {"task": "task", "schedule_in": {"seconds": 5.0}}
    assert given("defer", "task", "--at=2090-01-01T00:00Z").keys() == {"task", "schedule_at"}


def test_a_wrong_variable_is_named(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    environment.setenv("ADJOURN_WORKER_WAIT", "perhaps")
    with pytest.raises(SystemExit) as caught:
        parse(["worker"])
    assert caught.value.code == 2
    assert "ADJOURN_WORKER_WAIT: 'perhaps' is neither yes" in capsys.readouterr().err


SIMPLE_APP = """
import adjourn
from adjourn.testing import InMemoryConnector

app = adjourn.App(connector=InMemoryConnector(), worker_defaults={"update_heartbeat_interval": 20})
"""


@pytest.mark.parametrize(
    ("arguments", "variables", "complaint"),
    [
        (["-c", "0"], {}, "--concurrency=0: pass a whole number, one or more."),
        (["--max-jobs=0"], {}, "--max-jobs=0: pass a whole number, one or more."),
        ([], {"MAX_JOBS": "0"}, "ADJOURN_WORKER_MAX_JOBS=0: pass a whole number"),
        ([], {"CONCURRENCY": "0"}, "ADJOURN_WORKER_CONCURRENCY=0: pass a whole number, one or more."),
        (["--timeout=0"], {}, "--timeout=0.0: pass a number of seconds above zero"),
        (["--timeout=nan"], {}, "--timeout=nan: pass a number of seconds above zero"),
        (["--name", ""], {}, "--name='' has 0 characters"),
        ([], {"NAME": "x" * 300}, f"ADJOURN_WORKER_NAME='{'x' * 40}...' has 300 characters"),
        (["-q", "wait," + "x" * 300], {}, f"--queues='{'x' * 40}...' has 300 characters"),
        (["-p-1"], {}, "--fetch-job-polling-interval=-1.0: pass a number of seconds"),
        (
            ["--stalled-worker-timeout=15"],
            {},
            "--stalled-worker-timeout=15.0: pass more seconds than worker_defaults: update_heartbeat_interval (20)",
        ),
        (
            ["--update-heartbeat-interval=5"],
            {"STALLED_WORKER_TIMEOUT": "4"},
            "ADJOURN_WORKER_STALLED_WORKER_TIMEOUT=4.0: pass more seconds than --update-heartbeat-interval (5.0)",
        ),
    ],
)
def test_a_value_that_is_refused_is_named_as_it_was_given(
    arguments: list[str],
    variables: dict[str, str],
    complaint: str,
    environment: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    root_logger: logging.Logger,
) -> None:
    (tmp_path / "simple_app.py").write_text(SIMPLE_APP)
    environment.syspath_prepend(tmp_path)
    for name, value in variables.items():
        environment.setenv(f"ADJOURN_WORKER_{name}", value)
    with pytest.raises(SystemExit) as caught:
        main(["--app=simple_app.app", "worker", "--one-shot", *arguments])
    assert caught.value.code == 2
    assert f"adjourn worker: error: {complaint}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "variables", "complaint"),
    [
        (["task", "--queue="], {}, "--queue='' has 0 characters"),
        (["task"], {"PRIORITY": str(2**40)}, f"ADJOURN_DEFER_PRIORITY={2**40}: pass an integer between"),
        (
            ["task"],
            {"IN": "5", "AT": "2090-01-01T00:00Z"},
            "ADJOURN_DEFER_AT and ADJOURN_DEFER_IN exclude each other",
        ),
        ([""], {}, "TASK='' has 0 characters"),
    ],
)
def test_an_option_of_a_job_that_is_refused_is_named_as_it_was_given(
    arguments: list[str],
    variables: dict[str, str],
    complaint: str,
    environment: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    root_logger: logging.Logger,
) -> None:
    (tmp_path / "simple_app.py").write_text(SIMPLE_APP)
    environment.syspath_prepend(tmp_path)
    for name, value in variables.items():
        environment.setenv(f"ADJOURN_DEFER_{name}", value)
    with pytest.raises(SystemExit) as caught:
        main(["--app=simple_app.app", "defer", "--unknown", *arguments])
    assert caught.value.code == 2
    assert f"adjourn defer: error: {complaint}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("convert", "text", "value"),
    [
        (flags.count, "3", 3),
        (flags.integer, "-3", -3),
        (flags.seconds, "0", 0.0),
        (flags.number, "1e-3", 0.001),
        (flags.later, "1.5", {"seconds": 1.5}),
        (flags.boolean, " Yes", True),
        (flags.boolean, "F", False),
        (flags.names, "a,, b ,", ["a", "b"]),
        (flags.names, " , ", None),
        (flags.moment, "2030-01-01T00:00:00Z", datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)),
        (flags.one_of("a", "b", fold=str.lower), "B", "b"),
    ],
)
def test_text_becomes_a_value(convert: Callable[[str], object], text: str, value: object) -> None:
    assert convert(text) == value


@pytest.mark.parametrize(
    ("convert", "text"),
    [
        (flags.count, "0"),
        (flags.count, "1.5"),
        (flags.integer, ""),
        (flags.seconds, "-1"),
        (flags.seconds, "nan"),
        (flags.seconds, "inf"),
        (flags.seconds, "1e300"),
        (flags.moment, "9999-12-31T23:00:00-05:00"),
        (flags.seconds, "5 apples"),
        (flags.number, "ten"),
        (flags.boolean, "maybe"),
        (flags.moment, "2030-01-01"),
        (flags.moment, "next week"),
        (flags.one_of("a", "b"), "c"),
    ],
)
def test_text_that_is_no_value_is_refused_and_repeated(convert: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=repr(text)):
        convert(text)


def formatted(formatter: logging.Formatter, **extra: object) -> str:
    """One record, as a formatter writes it."""
    record = logging.getLogger("somebody").makeRecord(
        "somebody", logging.INFO, "file.py", 1, "%s words", ("some",), None, extra=extra
    )
    return formatter.format(record)


@pytest.mark.parametrize(
    ("style", "text"), [("%", "%(action)s %(message)s"), ("{", "{action} {message}"), ("$", "$action ${message}")]
)
def test_a_field_that_a_record_lacks_is_empty(style: logs.Style, text: str) -> None:
    formatter = logs.ForgivingFormatter(text, style)
    assert formatted(formatter) == " some words"
    assert formatted(formatter, action="jump") == "jump some words"


def test_a_record_that_does_not_fit_the_format_is_written_in_the_default_one() -> None:
    formatter = logs.ForgivingFormatter("%(duration).3f", "%")
    assert formatted(formatter, duration=0.5) == "0.500"
    assert formatted(formatter).endswith("INFO somebody: some words")


def test_json_has_the_record_and_all_that_it_carries() -> None:
    text = formatted(logs.JSONFormatter(), job={"id": 1}, odd={1, 2} - {2}, level="of the user")
    fields = json.loads(text)
    assert "\n" not in text
    assert datetime.datetime.fromisoformat(fields.pop("time")).utcoffset() == datetime.timedelta(0)
    assert fields == {"level": "INFO", "logger": "somebody", "message": "some words", "job": {"id": 1}, "odd": "{1}"}


def test_json_has_the_traceback() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JSONFormatter())
    logger = logging.Logger("alone")
    logger.addHandler(handler)
    try:
        raise KeyError("lost")
    except KeyError:
        logger.exception("It went wrong")
    assert json.loads(stream.getvalue())["exception"].endswith("KeyError: 'lost'")


def test_a_format_that_is_none_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], root_logger: logging.Logger
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--log-format=nothing", "healthchecks"])
    assert caught.value.code == 2
    assert "--log-format: Invalid format 'nothing'" in capsys.readouterr().err


def test_a_missing_app_is_a_usage_error(capsys: pytest.CaptureFixture[str], root_logger: logging.Logger) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["healthchecks"])
    assert caught.value.code == 2
    assert "ADJOURN_APP" in capsys.readouterr().err


def test_an_answer_goes_to_stdout_and_the_code_is_returned(
    capsys: pytest.CaptureFixture[str], root_logger: logging.Logger
) -> None:
    assert main(["schema", "--migrations-path"]) == 0
    captured = capsys.readouterr()
    assert captured.out.endswith("migrations\n")
    assert captured.err == ""


def test_a_failure_is_one_line_and_a_traceback_only_for_who_debugs(
    capsys: pytest.CaptureFixture[str], root_logger: logging.Logger
) -> None:
    assert main(["--app=nowhere.app", "healthchecks"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["--app=nowhere.app", "--log-level=debug", "healthchecks"]) == 1
    assert "LoadFromPathError" in capsys.readouterr().err


def test_the_command_prints_the_grants_without_an_app(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", "--roles", "worker=one", "reader=two", "--schema", "jobs"]) == 0
    printed = capsys.readouterr().out
    assert schema.grants("worker", "one", "jobs") in printed
    assert schema.grants("reader", "two", "jobs") in printed
    assert main(["schema", "--roles"]) == 0
    printed = capsys.readouterr().out
    assert all(schema.grants(kind, f"adjourn_{kind}") in printed for kind in schema.ROLES)


@pytest.mark.parametrize("pair", ["wroker=x", "worker"])
def test_the_command_names_a_kind_that_does_not_exist(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str], pair: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["schema", "--roles", pair])
    assert f"--roles: '{pair}' does not name a kind and a role" in capsys.readouterr().err


def test_records_go_to_what_is_stderr_when_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        monkeypatch.setattr(sys, "stderr", first := io.StringIO())
        logs.configure("INFO", "%(message)s", "%")
        first.close()
        monkeypatch.setattr(sys, "stderr", second := io.StringIO())
        logging.getLogger("adjourn").info("here")
    finally:
        root.handlers[:], root.level = before, level
    assert second.getvalue() == "here\n"


def test_a_second_column_that_would_be_narrow_is_below_the_first() -> None:
    formatter = flags.Formatter("adjourn", width=60)
    formatter.add_text(
        f"commands:\n  {'list_jobs [FILTER=VALUE...] [details]':<44}list jobs by id\n  exit  leave the shell"
    )
    assert formatter.format_help().split("\n") == [
        "commands:",
        "  list_jobs [FILTER=VALUE...] [details]",
        "      list jobs by id",
        "  exit  leave the shell",
        "",
    ]
