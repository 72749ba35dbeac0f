"""SQL text, and the one function that puts a schema's name into it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from adjourn import sql
from adjourn.exceptions import InvalidOption


@pytest.mark.parametrize("name", ["", "a\0b", "a$b", "x" * 64, "ü" * 32, None, 5])
def test_what_cannot_name_a_schema_is_refused(name: Any) -> None:
    with pytest.raises(InvalidOption, match="schema="):
        sql.statements(name)
    with pytest.raises(InvalidOption, match="schema="):
        sql.migrations(name)


def test_no_mark_is_left_in_any_statement_or_migration() -> None:
    for statement in sql.statements("adjourn").values():
        assert not re.search(r"@\w", statement.text), statement.name
    for migration in sql.migrations("adjourn"):
        assert not re.search(r"@\w", migration.text), migration.name


def test_quotes_and_percent_signs_of_a_schema_are_doubled_where_they_count() -> None:
    name = "q\"p%s'"
    assert '"q""p%%s\'".adjourn_jobs' in sql.statements(name)["get_stalled_jobs"].text
    assert "'\"q\"\"p%%s''\"'" in sql.statements(name)["check_connection"].text
    assert '"q""p%s\'".adjourn_jobs' in sql.migrations(name)[0].text


def test_two_schemas_share_neither_channel_nor_keys() -> None:
    assert sql.channel("one") != sql.channel("two")
    texts = [sql.statements(name)["lock_migrations"].text for name in ("one", "two")]
    assert texts[0] != texts[1]


def test_migrations_are_numbered_without_gaps_and_the_last_is_the_latest() -> None:
    versions = [migration.version for migration in sql.migrations()]
    assert versions == list(range(1, len(versions) + 1))
    assert sql.latest_version() == versions[-1]


@pytest.mark.parametrize(("version", "words"), [(0, "no adjourn schema"), (1, "version 1"), (None, "no, or an older")])
def test_a_schema_that_does_not_fit_is_described_with_the_command_that_mends_it(
    version: int | None, words: str
) -> None:
    message = str(sql.out_of_date("adjourn", version))
    assert words in message
    assert "schema --apply" in message
