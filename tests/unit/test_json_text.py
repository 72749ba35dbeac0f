"""JSON is written and read as `json.dumps` and `json.loads` do it, whatever the value, also where these raise."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjourn._domain.json_text import dumped, loaded

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.booleans() | st.none(), inner),
)


@given(VALUES)
def test_values_are_written_as_json_dumps_writes_them(value: Any) -> None:
    text = dumped(value, json.dumps)
    assert text == json.dumps(value)
    assert repr(loaded(text, json.loads)) == repr(json.loads(text))


def test_what_cannot_be_written_raises_what_json_dumps_raises() -> None:
    circle: list[Any] = []
    circle.append(circle)
    for value in (object(), {"a": {1, 2}}, {(1, 2): 3}, circle):
        with pytest.raises((TypeError, ValueError)) as wanted:
            json.dumps(value)
        with pytest.raises(type(wanted.value)) as raised:
            dumped(value, json.dumps)
        assert str(raised.value) == str(wanted.value)


@pytest.mark.parametrize("text", ["", " ", "{", "[1] 2", " [1]\n", "1 ", "nul", '{"a": 1}x', "\ufeff1"])
def test_a_text_is_read_as_json_loads_reads_it(text: str) -> None:
    assert _read(lambda: loaded(text, json.loads)) == _read(lambda: json.loads(text))


def _read(read: Callable[[], Any]) -> tuple[Any, str]:
    """Return what was read, and the message of what was raised."""
    try:
        return read(), ""
    except ValueError as error:
        return type(error), str(error)


def test_functions_of_users_are_called() -> None:
    assert dumped(math.inf, lambda value: f"<{value}>") == "<inf>"
    assert loaded("1", lambda text: f"<{text}>") == "<1>"
