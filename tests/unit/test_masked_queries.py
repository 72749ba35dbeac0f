"""Statements of other sessions are shown without the values in them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjourn.doctor.queries import MOST_CHARACTERS, masked_query


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "update users set mail = 'ann@example.org', age=42\n  where id = 7",
            "update users set mail = ?, age=? where id = ?",
        ),
        (
            "select adjourn.adjourn_exchange_v1($1, $2), t1.a2 from t1",
            "select adjourn.adjourn_exchange_v1($1, $2), t1.a2 from t1",
        ),
        (
            "select 'it''s', E'it\\'s', U&'\\0041', x'1F', b'01', N'n' from t",
            "select ?, ?, ?, ?, ?, ? from t",
        ),
        ("select $$secret$$, $a$ $$ secret $b$ $a$, 1", "select ?, ?, ?"),
        ("select 1.5e-3, .5, 0x1F, 1_000, -2", "select ?-?, ?, ?, ?, -?"),
        ("select 1 -- of secret\n, 2 /* secret /* 'more' */ secret */ from t", "select ? , ? from t"),
        ('select "it\'s a column 5" from "t 1"', 'select "it\'s a column 5" from "t 1"'),
        ("alter role ann password 'secret", "alter role ann password ?"),
        ("select E'secret\\", "select ?"),
        ("select $$secret", "select ?"),
        ("select 1 /* secret", "select ?"),
        ("select 'it\\'s a secret', x", "select ? ..."),
        ("select 'C:\\', 'secret'", "select ? ..."),
        ("", ""),
    ],
)
def test_constants_and_comments_are_hidden(text: str, shown: str) -> None:
    assert masked_query(text) == shown


def test_only_the_beginning_is_shown() -> None:
    shown = masked_query("select " + ", ".join(f"column_{number}" for number in range(1000)))
    assert len(shown) == MOST_CHARACTERS
    assert shown.endswith("...")


QUOTES = st.sampled_from(
    [
        lambda text: "'" + text.replace("'", "''") + "'",
        lambda text: "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'",
        lambda text: "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'",  # of servers that read backslashes
        lambda text: "$q$" + text.replace("$", "") + "$q$",
        lambda text: "/* " + text.replace("/", "").replace("*", "") + " */ 1",
    ]
)


@given(
    st.lists(st.tuples(QUOTES, st.text(alphabet="'\\$-/* \"\nx", max_size=8)), min_size=1, max_size=4),
    st.integers(0, 200),
)
def test_no_value_shows_however_it_is_quoted_and_cut_off(
    values: list[tuple[Callable[[str], str], str]], cut: int
) -> None:
    constants = [quote(f"{text}SECRET{text}") for quote, text in values]
    text = "select " + ", ".join(constants)
    assert "SECRET" not in masked_query(text)
    assert "SECRET" not in masked_query(text[:cut])


@given(st.text(max_size=100))
def test_any_text_is_shown_on_one_line(text: str) -> None:
    shown = masked_query(text)
    assert "\n" not in shown
    assert len(shown) <= MOST_CHARACTERS
