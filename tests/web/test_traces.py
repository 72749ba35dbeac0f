"""Tracebacks in pieces: whatever they are, their text stays as it is."""

from __future__ import annotations

import time
import traceback

from hypothesis import given
from hypothesis import strategies as st

from adjourn.web.traces import parts_of

SHOP = """Traceback (most recent call last):
  File "/srv/shop/tasks.py", line 214, in reconcile
    statement = bank.statement(
        order
    )
  File "/srv/shop/.venv/lib/python3.13/site-packages/requests/models.py", line 1026, in raise_for_status
    raise HTTPError(http_error_msg, response=self)
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
requests.exceptions.HTTPError: 503
in two lines

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "<frozen importlib._bootstrap>", line 488, in _call_with_frames_removed
  File "/usr/lib/python3.13/json/decoder.py", line 345, in decode
    obj, end = self.raw_decode(s)
  [Previous line repeated 3 more times]
ValueError: no JSON
"""
LINES = st.lists(
    st.one_of(
        st.sampled_from(SHOP.splitlines(keepends=True)),
        st.sampled_from(
            ["  | ", "  +-+-- 1 --\n", '    |   File "/a.py", line 1, in f\n', "\n", "\r", "\x0b", "\u2028"]
        ),
        st.text(max_size=9),
    )
)


def test_the_frames_of_libraries_are_folded_and_others_are_not() -> None:
    parts = parts_of(SHOP)
    assert [(part.head.split('"')[1] if part.head else "", part.is_open) for part in parts] == [
        ("", True),
        ("/srv/shop/tasks.py", True),
        ("/srv/shop/.venv/lib/python3.13/site-packages/requests/models.py", False),
        ("", True),
        ("<frozen importlib._bootstrap>", False),
        ("/usr/lib/python3.13/json/decoder.py", False),
        ("", True),
    ]
    assert parts[1].text == "    statement = bank.statement(\n        order\n    )\n"
    assert parts[5].text.endswith("[Previous line repeated 3 more times]\n")
    assert parts[6].text == "ValueError: no JSON\n"


def test_where_all_frames_are_of_libraries_the_last_one_is_open() -> None:
    parts = parts_of(SHOP[SHOP.index("During") :])
    assert [part.is_open for part in parts if part.head] == [False, True]
    assert parts_of("") == []
    assert [part.head for part in parts_of("no traceback at all")] == [""]


def test_the_frames_of_a_group_of_exceptions_are_found() -> None:
    def fail() -> None:
        raise ValueError("inner")

    text = ""
    try:
        try:
            fail()
        except ValueError as error:
            raise ExceptionGroup("outer", [error]) from None
    except ExceptionGroup:
        text = traceback.format_exc()
    parts = parts_of(text)
    assert "".join(part.head + part.text for part in parts) == text
    assert sum(bool(part.head) for part in parts) == text.count('File "') == 3
    assert all(part.is_open for part in parts)


@given(LINES.map("".join))
def test_the_pieces_of_any_text_are_that_text(text: str) -> None:
    assert "".join(part.head + part.text for part in parts_of(text)) == text


def test_a_path_that_repeats_itself_takes_no_longer_than_its_length() -> None:
    text = f'  File "{"/Lib/" * 50_000}x.py", line 3, in f\n    code\n'
    began = time.process_time()
    (part,) = parts_of(text)
    assert time.process_time() - began < 2
    assert part.head + part.text == text
