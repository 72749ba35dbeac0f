"""Statements in psycopg's style of parameters, as a driver that numbers them reads them."""

from __future__ import annotations

import pytest

from adjourn import sql
from adjourn._drivers.numbered import has_several_commands, numbered
from adjourn.exceptions import ConnectorException


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1", ("SELECT 1", ())),
        ("SELECT %(a)s, %(b)s::int[], %(a)s", ("SELECT $1, $2::int[], $1", ("a", "b"))),
        ("SELECT '100%%' LIKE %(a)s", ("SELECT '100%' LIKE $1", ("a",))),
        ("SELECT '%%(a)s', 5 %% %(a)s", ("SELECT '%(a)s', 5 % $1", ("a",))),
    ],
)
def test_each_name_has_one_number_and_a_doubled_percent_sign_is_one(
    text: str, expected: tuple[str, tuple[str, ...]]
) -> None:
    assert numbered(text) == expected


@pytest.mark.parametrize("text", ["SELECT 5 % 2", "SELECT %s", "SELECT 100%"])
def test_a_percent_sign_that_is_not_doubled_is_refused(text: str) -> None:
    with pytest.raises(ConnectorException, match="double the"):
        numbered(text)


def test_every_statement_of_adjourns_can_be_numbered() -> None:
    for statement in sql.statements("a % b").values():
        text, names = numbered(statement.text)
        assert "%(" not in text
        assert all(f"${number}" in text for number in range(1, len(names) + 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1", False),
        ("SELECT 1 ;\n", False),
        ("SELECT ';', \";\", E'\\';', $$;$$, $a$;$$;$a$ -- ;\n /* ; */", False),
        ("SELECT 1; SELECT 2", True),
        ("SELECT ';'; SELECT 2;", True),
    ],
)
def test_several_commands_are_told_from_one(text: str, expected: bool) -> None:
    assert has_several_commands(text) is expected
