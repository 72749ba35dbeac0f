"""What `scripts/migration` shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
import pytest
from scripts import schema_changes

from adjourn import sql


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The SQL of adjourn, and a second migration that changes a bit of everything."""
    for name in ("migrations", "functions"):
        shutil.copytree(Path(sql.__file__).parent / name, tmp_path / name)
    for file in (tmp_path / "migrations").glob("000[2-9]*"):
        file.unlink()
    wake = (tmp_path / "functions" / "wake_v1.sql").read_text().replace("_v1", "_v2").replace("''", "'new'")
    (tmp_path / "functions" / "wake_v2.sql").write_text(wake)
    (tmp_path / "functions" / "paint_v1.sql").write_text(
        "create function @schema.adjourn_paint_v1() returns text language sql as $$ select 'red' $$;\n"
    )
    (tmp_path / "migrations" / "0002_colours.sql").write_text("""
alter table @schema.adjourn_jobs add colour text not null default 'grey', alter column priority drop not null;
create index adjourn_jobs_colour on @schema.adjourn_jobs (colour) where hold = @scheduled;
drop index @schema.adjourn_jobs_ready;
\\ir ../functions/wake_v2.sql
\\ir ../functions/paint_v1.sql
drop function @schema.adjourn_job_status_v1;
create or replace function @schema.adjourn_with_error_v1(p_errors jsonb, p_error jsonb) returns jsonb
language sql immutable as $$ select p_errors $$;
""")
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert schema_changes.main(arguments) == 0
    return capsys.readouterr().out


def test_a_migration_is_shown_by_what_it_changes(
    folder: Path, dsn: str, observer: psycopg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(capsys, "--folder", str(folder), "--dsn", dsn)
    blocks = text.split("\n\n")
    assert blocks[0] == "Migration 2 (colours)"
    assert blocks[1].splitlines() == [
        "table adjourn_jobs is changed",
        "  - priority integer not null",
        "  + priority integer",
        "  + colour text not null default 'grey'::text",
    ]
    assert blocks[2].splitlines() == [
        "index adjourn_jobs_colour is new",
        "  + CREATE INDEX adjourn_jobs_colour ON adjourn_jobs USING btree (colour) WHERE (hold = 1)",
    ]
    assert blocks[3].splitlines()[0] == "index adjourn_jobs_ready is gone"
    functions = {block.split()[1]: block.splitlines() for block in blocks[4:]}
    assert functions.keys() == {
        *("adjourn_job_status_v1", "adjourn_paint_v1", "adjourn_wake_v2", "adjourn_with_error_v1"),
    }
    assert functions["adjourn_job_status_v1"] == ["function adjourn_job_status_v1 is gone"]
    assert functions["adjourn_paint_v1"] == ["function adjourn_paint_v1 is new: functions/paint_v1.sql, 1 lines"]
    wake = functions["adjourn_wake_v2"]
    assert wake[:3] == [
        "function adjourn_wake_v2 is the next version of wake_v1",
        "  --- functions/wake_v1.sql",
        "  +++ functions/wake_v2.sql",
    ]
    assert "  -        perform pg_notify(@channel, '');" in wake
    assert "  +        perform pg_notify(@channel, 'new');" in wake
    assert functions["adjourn_with_error_v1"][0] == "function adjourn_with_error_v1 is changed"
    left = observer.execute("select from pg_namespace where nspname = %s", [schema_changes.SCHEMA]).fetchall()
    assert left == []


def test_each_migration_of_our_own_can_be_shown(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    for version in sql.versions():
        assert shown(capsys, str(version.number), "--dsn", dsn).startswith(
            f"Migration {version.number} ({version.name})\n"
        )


def test_a_migration_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        schema_changes.main(["1000"])
    assert caught.value.code == 2
    assert "there is no migration 1000" in capsys.readouterr().err
