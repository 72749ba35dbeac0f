"""SQL text, and the marks in it."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from adjourn import schema, sql
from adjourn.exceptions import InvalidOption
from adjourn.sql import history, procrastinate, templates
from adjourn.sql.constants import NUMBERS, Hold

FOLDER = Path(str(resources.files("adjourn.sql")))
TEXTS = {file.relative_to(FOLDER).as_posix(): file.read_text("utf-8") for file in sorted(FOLDER.rglob("*.sql"))}


@pytest.mark.parametrize("name", ["", "a\0b", "a$b", "x" * 64, "ü" * 32, "\ud800", None, 5])
def test_what_cannot_name_a_schema_is_refused(name: Any) -> None:
    with pytest.raises(InvalidOption, match="schema="):
        sql.statements(name)
    with pytest.raises(InvalidOption, match="schema="):
        schema.versions(name)


def test_no_mark_is_left_in_any_statement_or_version() -> None:
    for statement in sql.statements("adjourn").values():
        assert not re.search(r"@\w", statement.text), statement.name
    for version in sql.versions("adjourn"):
        assert not re.search(r"@\w", version.sql), version.name


def test_a_mark_that_is_not_known_is_refused() -> None:
    with pytest.raises(LookupError, match="@redy"):
        templates.render("select @redy", "adjourn")


def test_what_looks_like_a_mark_in_a_schema_s_name_is_left_alone() -> None:
    assert templates.render("@schema", "a@ready") == '"a@ready"'


def test_a_number_stands_by_its_name() -> None:
    names = " ".join(f"@{name}" for name in NUMBERS)
    assert templates.render(names, "adjourn") == " ".join(map(str, NUMBERS.values()))
    assert [Hold(number).name for number in range(4)] == ["READY", "SCHEDULED", "BEHIND", "UNPLACED"]


@pytest.mark.parametrize("file", TEXTS)
def test_no_hold_is_a_bare_number(file: str) -> None:
    assert not re.search(r"\bhold (=|<>|in) (\(?\d|case\b[^,;]*?(then|else) \d\b)", TEXTS[file])


def test_quotes_and_percent_signs_of_a_schema_are_doubled_where_they_count() -> None:
    name = "q\"p%s'"
    assert '"q""p%%s\'".adjourn_jobs' in sql.statements(name)["get_stalled_jobs"].text
    assert "'\"q\"\"p%%s''\"'" in sql.statements(name)["check_connection"].text
    assert '"q""p%s\'".adjourn_jobs' in sql.versions(name)[0].sql


def test_two_schemas_share_neither_channel_nor_keys() -> None:
    assert sql.channel("one") != sql.channel("two")
    texts = [sql.statements(name)["lock_migrations"].text for name in ("one", "two")]
    assert texts[0] != texts[1]


def test_versions_are_numbered_without_gaps_and_the_last_is_the_latest() -> None:
    numbers = [version.number for version in sql.versions()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert sql.latest_version() == numbers[-1]


def test_text_of_a_version_is_left_alone_by_drivers_and_by_sqlalchemy() -> None:
    for version in sql.versions():
        assert "%" not in version.sql
        assert not re.search(r"(?<![:\w\\]):\w+(?!:)", version.sql), "SQLAlchemy would take it for a parameter"


@pytest.mark.parametrize("file", [file for file in TEXTS if "functions/" in file])
def test_a_function_s_file_makes_the_function_of_its_name_and_no_other(file: str) -> None:
    made = re.findall(r"^create (?:or replace )?function @schema\.(\w+)\(", TEXTS[file], re.MULTILINE)
    assert [f"adjourn_{file.removesuffix('.sql').replace('functions/', '').replace('/', '_')}"] == made
    assert TEXTS[file].startswith("--"), "it says what the function is for"


def test_each_function_is_brought_in_by_one_migration() -> None:
    brought = [name for migration in history.read_migrations(FOLDER) for name in migration.functions]
    assert sorted(f"functions/{name}.sql" for name in brought) == [
        file for file in TEXTS if file.startswith("functions/")
    ]
    for migration in history.read_migrations(FOLDER):
        assert not re.search(
            r"^create.* function", TEXTS[f"migrations/{migration.number:04}_{migration.name}.sql"], re.M
        )


def test_each_function_that_is_called_exists() -> None:
    made = {file.removeprefix("functions/").removesuffix(".sql").replace("/functions/", "_") for file in TEXTS}
    for file, text in TEXTS.items():
        assert set(re.findall(r"@schema\.adjourn_(\w+_v\d+)", text)) <= made, file


def test_a_migration_that_names_a_function_without_a_file_is_refused(tmp_path: Path) -> None:
    for name in ("functions", "migrations"):
        (tmp_path / name).mkdir()
    (tmp_path / "migrations" / "0001_initial.sql").write_text("\\ir ../functions/none_v1.sql\n")
    with pytest.raises(LookupError, match=r"none_v1\.sql: there is no such file"):
        history.read_migrations(tmp_path)


def test_versions_can_be_asked_for_from_one_on_and_up_to_one() -> None:
    latest = sql.latest_version()
    assert schema.versions() == sql.versions()
    assert schema.versions(after=latest) == schema.versions(through=0) == []
    assert [version.number for version in schema.versions(through=1)] == [1]
    assert '"elsewhere".adjourn_jobs' in schema.versions("elsewhere")[0].sql


@pytest.mark.parametrize("version", [-1, 1_000, "1", True, 1.0])
def test_versions_that_do_not_exist_are_refused(version: Any) -> None:
    for argument in ("after", "through"):
        with pytest.raises(InvalidOption, match=f"^{argument}="):
            schema.versions(**{argument: version})


@pytest.mark.parametrize(("version", "words"), [(0, "no adjourn schema"), (1, "version 1"), (None, "no, or an older")])
def test_a_schema_that_does_not_fit_is_described_with_the_command_that_mends_it(
    version: int | None, words: str
) -> None:
    message = str(sql.out_of_date("adjourn", version))
    assert words in message
    assert "schema --apply" in message


def test_no_mark_and_no_percent_sign_is_left_in_what_a_migration_from_procrastinate_executes() -> None:
    name = 'their "own" 5% @ready'
    source = procrastinate.Source(
        schema=name, queueing_lock_index="an index", columns=frozenset({"procrastinate_jobs.worker_id"})
    )
    scripts = (procrastinate.beginning, procrastinate.forwarding, procrastinate.stopping, procrastinate.forgetting)
    texts = [script("adjourn", source).text for script in scripts]
    texts += [each.text for each in procrastinate.statements("adjourn", source).values()]
    quoted = '"their ""own"" 5% @ready"'
    assert any(f"{quoted}.procrastinate_jobs" in text for text in texts)
    for text in texts:
        rest = text.replace("%%", "%").replace(quoted, "").replace(name, "")
        assert not re.search(r"@\w", rest), rest
        assert not re.search(r"%(?!\(\w+\)s)", rest), rest
        assert not re.search(r"(?<![:\w\\]):\w+(?!:)", rest), "SQLAlchemy would take it for a parameter"


def test_only_statements_of_many_rows_and_of_schemas_are_waited_for_for_long() -> None:
    long = {name for name, statement in sql.statements().items() if statement.may_take_long}
    assert long == {
        *("defer_batch", "defer_unique_batch", "clear_results", "clean_workflows", "delete_old_jobs"),
        *("drop_partition", "lock_migrations", "make_partitions"),
    }
