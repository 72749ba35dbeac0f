"""The command ``adjourn doctor``: its forms, and its exit codes."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import jsonschema
import pytest

from adjourn import cli
from adjourn.doctor import CHECKS, Finding, Level, json_schema
from adjourn.doctor.examination import JSON_VERSION
from support.databases import apply_schema, new_database
from support.pages import ROOT, read


@pytest.fixture(scope="module")
def address(server_dsn: str) -> Iterator[str]:
    name = f"adjourn_doctor_command_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with new_database(server_dsn, name) as address:
        apply_schema(address)
        yield address


@pytest.fixture
def command(address: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("program")
    (folder / "clinic.py").write_text(
        "import os, adjourn\napp = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=os.environ['CLINIC_DSN']))\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("CLINIC_DSN", address)
    monkeypatch.delitem(sys.modules, "clinic", raising=False)
    return ["--app=clinic.app", "doctor", "--timeout=60"]


def test_it_prints_a_line_for_each_check_and_what_to_do(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main([*command, "--only=version,workers,indexes"])
    printed = capsys.readouterr().out
    assert re.search(r"^ok       version: PostgreSQL", printed, re.MULTILINE)
    assert re.search(r"^warn     workers: No worker is alive\n {9}do: Start a worker", printed, re.MULTILINE)
    assert printed.splitlines()[-1].startswith("1 check warn, 2 checks ok, in ")
    assert all(len(line) <= 80 for line in printed.splitlines())
    assert "\033" not in printed


def test_commands_to_paste_name_the_app(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main([*command, "--only=workers"])
    printed = capsys.readouterr().out
    assert "\n             adjourn --app=clinic.app worker" in printed
    assert "--app=..." not in printed


def test_only_what_is_wrong_is_printed_if_it_is_quiet(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main([*command, "--only=version,workers", "--quiet"])
    assert "version" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--only=version"], 0),
        (["--only=workers"], 0),
        (["--only=workers", "--strict"], 1),
        (["--only=connections", "--threshold=connections_warn=0", "--threshold=connections_critical=0"], 1),
        (["--only=version", "--nagios"], 0),
        (["--only=workers", "--nagios"], 1),
        (["--only=connections", "--threshold=connections_warn=0", "--threshold=connections_critical=0", "--nagios"], 2),
        (["--only=workers", "--json"], 0),
        (["--only=workers", "--json", "--strict"], 1),
        (["--only=workers", "--quiet", "--strict"], 1),
    ],
)
def test_the_exit_code_says_how_bad_it_is(command: list[str], options: list[str], code: int) -> None:
    assert cli.main([*command, *options]) == code


def test_what_is_unknown_is_3_for_a_monitoring_system_and_counts_if_it_is_strict(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLINIC_DSN", "postgresql://nobody:secret@127.0.0.1:1/none")
    assert cli.main([*command, "--only=workers", "--nagios"]) == 3
    assert cli.main([*command, "--only=workers"]) == 0
    assert cli.main([*command, "--only=workers", "--strict"]) == 1
    assert cli.main([*command, "--nagios"]) == 2


def test_a_monitoring_system_gets_one_line_with_figures(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main([*command, "--only=version,workers", "--nagios"])
    (line,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"ADJOURN WARNING - workers: No worker is alive \| ok=1 unknown=0 warn=1 critical=0 time=[\d.]+s", line
    )


def test_a_program_gets_json(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main([*command, "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert facts["version"] == 1
    assert [each["id"] for each in facts["checks"]] == [check.id for check in CHECKS]
    for each in facts["checks"]:
        assert each["why"]
        for found in each["findings"]:
            assert found["text"]
            assert found["level"] == "ok" or found["level"] == "unknown" or found["remedy"], found


FORM: dict[str, Any] = json.loads(json_schema())
SCHEMA = jsonschema.Draft202012Validator(FORM)


@pytest.mark.parametrize("options", [[], ["--only=version"], ["--only=connections", "--threshold=connections_warn=0"]])
def test_its_json_is_as_its_schema_says(
    command: list[str], options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main([*command, "--json", *options])
    SCHEMA.validate(json.loads(capsys.readouterr().out))


def test_the_json_of_a_server_that_is_away_is_as_the_schema_says(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLINIC_DSN", "postgresql://nobody:secret@127.0.0.1:1/none")
    cli.main([*command, "--json"])
    facts = json.loads(capsys.readouterr().out)
    SCHEMA.validate(facts)
    assert facts["level"] == "critical"


def test_the_schema_says_what_is_required_and_knows_nothing_else(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    jsonschema.Draft202012Validator.check_schema(FORM)
    cli.main([*command, "--json", "--only=workers"])
    facts = json.loads(capsys.readouterr().out)
    (check,) = facts["checks"]
    (finding,) = check["findings"]
    assert FORM["properties"]["version"]["const"] == JSON_VERSION
    assert FORM["$defs"]["level"]["enum"] == list(Level)
    assert list(FORM["$defs"]["finding"]["properties"]) == [each.name for each in attrs.fields(Finding)]
    for whole in (facts, check, finding):
        for name in list(whole):
            value = whole.pop(name)
            assert not SCHEMA.is_valid(facts), name
            whole[name] = value
        whole["more"] = 1
        assert not SCHEMA.is_valid(facts)
        del whole["more"]
    finding["remedy"] = ""
    assert not SCHEMA.is_valid(facts)


def test_thresholds_may_be_in_the_environment(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ADJOURN_DOCTOR_THRESHOLDS", "connections_warn=0, connections_critical=0")
    assert cli.main([*command, "--only=connections"]) == 1
    assert cli.main([*command, "--only=connections", "--threshold=ready_warn=1"]) == 0  # the command line wins
    monkeypatch.setenv("ADJOURN_DOCTOR_THRESHOLDS", "connections_warn=soon")
    for form, code in (([], 2), (["--nagios"], 3)):
        with pytest.raises(SystemExit) as ended:
            cli.main([*command, *form, "--only=connections"])
        assert ended.value.code == code
        assert "ADJOURN_DOCTOR_THRESHOLDS" in capsys.readouterr().err


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ``pyproject.toml`` of a project in a folder of which the command runs."""
    below = tmp_path / "shop" / "below"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    return tmp_path / "shop" / "pyproject.toml"


def ids(command: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The checks that the command runs."""
    cli.main([*command, "--json"])
    return [each["id"] for each in json.loads(capsys.readouterr().out)["checks"]]


def test_a_project_says_which_checks_run_and_from_which_numbers_on_something_counts(
    command: list[str], project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write_text(
        "[tool.adjourn.doctor]\nonly = ['version', 'connections', 'clock']\nignore = ['clock']\n"
        "[tool.adjourn.doctor.thresholds]\nconnections_warn = 0\nconnections_critical = 0.0\n",
        encoding="utf-8",
    )
    assert ids(command, capsys) == ["version", "connections"]
    assert cli.main(command) == 1
    # Others of the file remain.
    assert cli.main([*command, "--threshold=connections_critical=1"]) == 0
    assert cli.main([*command, "--threshold=connections_critical=1", "--strict"]) == 1
    # The environment wins over the file, and the command line over both.
    monkeypatch.setenv("ADJOURN_DOCTOR_THRESHOLDS", "connections_critical=1")
    assert cli.main(command) == 0
    assert cli.main([*command, "--threshold=connections_critical=0"]) == 1
    capsys.readouterr()
    monkeypatch.setenv("ADJOURN_DOCTOR_ONLY", "schema,clock")
    assert ids(command, capsys) == ["schema", "clock"]
    monkeypatch.setenv("ADJOURN_DOCTOR_IGNORE", "schema")
    assert ids(command, capsys) == ["clock"]
    assert ids([*command, "--only=schema"], capsys) == ["schema"]
    monkeypatch.delenv("ADJOURN_DOCTOR_ONLY")
    assert ids(command, capsys) == ["version", "clock", "connections"]
    assert ids([*command, "--ignore=version"], capsys) == ["clock", "connections"]


def test_what_the_docs_have_a_project_say_is_read(
    command: list[str], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = [each for each in read(ROOT / "docs/how-to/doctor.md") if each.language == "toml"]
    project.write_text(block.text, encoding="utf-8")
    assert ids(command, capsys) == [check.id for check in CHECKS if check.id != "pooler"]


def test_the_nearest_file_counts_also_if_it_says_nothing(
    command: list[str], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write_text("[tool.adjourn.doctor]\nonly = ['version']\n", encoding="utf-8")
    assert ids(command, capsys) == ["version"]
    Path("pyproject.toml").write_text("[project]\nname = 'other'\n", encoding="utf-8")
    assert len(ids(command, capsys)) == len(CHECKS)


@pytest.mark.parametrize(
    "given", [["--only=version"], ["--ignore=jobs"], ["--only=version", "--threshold=ready_warn=3"]]
)
@pytest.mark.parametrize("text", ["ignore = ['poolr']", "ignore = 'pooler'", "only = ['wrkers']"])
def test_a_mistake_in_a_project_is_refused_whatever_the_command_line_names(
    command: list[str], project: Path, given: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write_text(f"[tool.adjourn.doctor]\n{text}\n", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, *given])
    assert ended.value.code == 2
    assert f"{project}: tool.adjourn.doctor." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("only = 'workers'", "tool.adjourn.doctor.only: 'workers' is no list of checks. Write only = ["),
        ("only = [1]", "tool.adjourn.doctor.only: [1] is no list of checks"),
        ("ignore = ['nonsense']", "tool.adjourn.doctor.ignore: there is no check 'nonsense'. The checks are connect,"),
        ("ignore = ['poolr']", "there is no check 'poolr'; did you mean 'pooler'? The checks are connect,"),
        ("only = ['jobs']\nignore = ['jobs']", "All checks that were to run are ignored."),
        ("treshold = 3", "tool.adjourn.doctor.treshold: there is no such key"),
        ("thresholds = 3", "tool.adjourn.doctor.thresholds: 3 is no table. Write thresholds = {ready_warn = 300}"),
        ("thresholds = {ready = 3}", "tool.adjourn.doctor.thresholds.ready: There is no threshold 'ready'"),
        ("thresholds = {ready_warn = 'soon'}", "thresholds.ready_warn: The threshold ready_warn='soon': pass a number"),
        ("thresholds = {ready_warn = true}", "pass a number of zero or more"),
        ("thresholds = {ready_warn = nan}", "pass a number of zero or more"),
        ("thresholds = {ready_warn = 1" + "0" * 400 + "}", "pass a number of zero or more, up to 1.79769e+308"),
        ("only = " + "[" * 3000, "cannot be read, so nobody knows what it says in [tool.adjourn.doctor]"),
        ("only = [", "cannot be read, so nobody knows what it says in [tool.adjourn.doctor]"),
    ],
)
def test_what_makes_no_sense_in_a_project_is_refused_with_its_file_and_key(
    command: list[str], project: Path, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write_text(f"[tool.adjourn.doctor]\n{text}\n", encoding="utf-8")
    for form, code in (([], 2), (["--nagios"], 3)):
        with pytest.raises(SystemExit) as ended:
            cli.main([*command, *form])
        assert ended.value.code == code
        told = capsys.readouterr().err
        assert words in told
        assert str(project) in told or "All checks" in told


def test_a_folder_that_cannot_be_searched_is_told_in_words(
    command: list[str], project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write_text("[tool.adjourn.doctor]\nonly = ['version']\n", encoding="utf-8")
    stat = Path.stat

    def refused(path: Path, **options: bool) -> os.stat_result:
        if path == project:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refused)  # whoever runs the tests may be allowed everything
    with pytest.raises(SystemExit) as ended:
        cli.main(command)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert f"Nobody knows whether there is a file {project}, which may have [tool.adjourn.doctor]: " in told
    assert "Run the command in a folder that it may search." in told


def test_a_table_that_is_none_is_refused(command: list[str], project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project.write_text("[tool.adjourn]\ndoctor = 3\n", encoding="utf-8")
    with pytest.raises(SystemExit):
        cli.main(command)
    assert "tool.adjourn.doctor is no table. Write [tool.adjourn.doctor]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--only=nonsense"], "there is no check 'nonsense'. The checks are connect, version"),
        (["--threshold=ready=3"], "There is no threshold 'ready'"),
        (["--threshold=ready_warn=-1"], "zero or more"),
        (["--threshold=ready_warn"], "NAME=NUMBER"),
        (["--role=king"], "invalid choice"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_asked(
    command: list[str], options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for form, code in (([], 2), (["--nagios"], 3)):
        with pytest.raises(SystemExit) as ended:
            cli.main([*command, *form, *options])
        assert ended.value.code == code
        assert words in capsys.readouterr().err


def test_a_server_that_is_away_is_one_finding(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLINIC_DSN", "postgresql://nobody:secret@127.0.0.1:1/none")
    assert cli.main(command) == 1
    printed = capsys.readouterr().out
    assert printed.count("critical connect:") == 1
    assert printed.count("There is no connection") == 1
    assert "secret" not in printed
