"""The command line of the migration."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy

import adjourn
from adjourn import cli
from adjourn.connector import BaseConnector
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector, SQLAlchemyPsycopg2Connector
from adjourn.migration import MigrationRefused, command
from support.procrastinates import Old

PROGRAM = """
import os, adjourn

app = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=os.environ["DATABASE"]))

@app.task(name="echo")
def echo(**arguments):
    pass
"""


def run(app: adjourn.App, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """Run a step, and return its exit code and reports."""
    options = cli.parse(["--app=unused", "migrate-from-procrastinate", "--json", *words])
    output = io.StringIO()
    return command.run(app, options, output), [json.loads(line) for line in output.getvalue().splitlines()]


def test_every_step_has_its_flags_and_prints_what_it_did(app: adjourn.App, old: Old) -> None:
    waiting, ended = old.defer(), old.defer(priority=1)
    old.fetch(old.register())
    old.end(ended)
    code, (plan,) = run(app)
    assert (code, plan["step"], plan["by_status"], plan["to_decide"]) == (0, "plan", {"todo": 1, "succeeded": 1}, [])
    code, (start,) = run(app, "start", "--id-gap", "100", "--no-forwarding")
    assert (start["forwarding"], start["first_id"]) == (False, ended + 101)
    run(app, "start")
    code, (trial,) = run(app, "move", "--dry-run")
    assert (trial["moved"], trial["dry_run"], old.jobs()) == (1, True, [waiting])
    code, (moved,) = run(app, "move", "--batch=1", "--queue=default", "--take-over-stalled", "--stalled-after=60")
    assert (code, moved["moved"], moved["left"]["todo"]) == (0, 1, 0)
    assert run(app, "history", "--since=2020-01-01")[1][0]["copied"] == 1
    assert run(app, "status")[1][0]["history_done"]
    assert run(app, "finish", "--force", "--drop")[1][0]["dropped"]


def test_a_plan_with_something_to_decide_fails(app: adjourn.App, old: Old) -> None:
    old.defer(queue="")
    code, (plan,) = run(app, "plan")
    assert code == 1
    assert "its queue has no name" in plan["to_decide"][0]


def test_an_option_of_another_step_is_refused(app: adjourn.App, old: Old) -> None:
    with pytest.raises(MigrationRefused, match="--no-forwarding is an option of start, not of move"):
        run(app, "move", "--no-forwarding")
    with pytest.raises(MigrationRefused, match="--drop is an option of finish, not of plan"):
        run(app, "--drop")


@pytest.mark.parametrize(
    "words", [["move", "--batch=0"], ["move", "--stalled-after=-1"], ["history", "--since=tomorrow"], ["mvoe"]]
)
def test_what_makes_no_sense_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        cli.parse(["migrate-from-procrastinate", *words])
    assert refusal.value.code == 2
    assert words[-1].partition("=")[2] in capsys.readouterr().err


def test_following_ends_with_an_interrupt(both: str, old: Old, app: adjourn.App, tmp_path: Path) -> None:
    old.defer()
    run(app, "start")
    (tmp_path / "shop.py").write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, "-m", "adjourn", "--app=shop.app", "migrate-from-procrastinate", "move", "--follow"],
        cwd=tmp_path,
        env={**os.environ, "DATABASE": both},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "Moved 1 job, 0 left to move, 0 running there\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    process.stdout.close()


@pytest.mark.parametrize("driver", ["psycopg2", "sqlalchemy", "asyncpg"])
def test_every_connector_can_migrate(driver: str, both: str, old: Old) -> None:
    old.defer(lock="a%b")
    parts = {name: str(value) for name, value in psycopg.conninfo.conninfo_to_dict(both).items()}
    url = sqlalchemy.URL.create(
        "postgresql+asyncpg" if driver == "asyncpg" else "postgresql+psycopg2",
        username=parts.get("user"),
        database=parts["dbname"],
        query={"host": parts["host"], "port": parts.get("port", "5432")},
    ).render_as_string(hide_password=False)
    connector: BaseConnector
    if driver == "psycopg2":
        connector = adjourn.Psycopg2Connector(both)
    elif driver == "sqlalchemy":
        connector = SQLAlchemyPsycopg2Connector(dsn=url)
    else:
        connector = SQLAlchemyConnector(dsn=url)
    with adjourn.App(connector=connector).open() as app:
        assert run(app, "plan")[1][0]["by_status"] == {"todo": 1}
        run(app, "start")
        old.run("alter table adjourn.adjourn_jobs add constraint no_shoes check (task_name <> 'shoes')")
        old.defer("shoes")
        old.run("alter table adjourn.adjourn_jobs drop constraint no_shoes")
        assert run(app, "move")[1][0]["moved"] == 2
        assert run(app, "status")[1][0]["problems"][0]["message"].startswith("new row for relation")
        assert run(app, "history")[1][0]["copied"] == 0
        run(app, "finish", "--force", "--drop")
