"""When a worker's looks for ready jobs have floors."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from adjourn._domain.outcomes import Look
from adjourn.worker.floors import LONGEST, SHARE, SLOW_LOOKS, Floors


def slow(took: float = 0.01, floors: str | None = "[1]") -> Look:
    return Look(took, floors)


def test_each_look_is_whole_while_looks_are_fast() -> None:
    floors = Floors()
    for now in range(10):
        assert floors.asked(now) is None
        floors.told(None, None, now)
    assert floors.is_whole
    assert floors.due_at is None


def test_one_slow_look_changes_nothing() -> None:
    floors = Floors()
    for now in range(10):
        floors.told(None, slow() if now % 2 else None, now)
        assert floors.asked(now) is None


def test_after_slow_looks_the_next_begin_where_the_last_ended() -> None:
    floors = Floors()
    for number in range(SLOW_LOOKS):
        assert floors.asked(1.0) is None
        floors.told(None, slow(0.01, f"[{number}]"), 1.0)
    last = f"[{SLOW_LOOKS - 1}]"
    assert floors.asked(1.0) == last
    floors.told(last, slow(0.0001, "[9]"), 1.0)
    assert floors.asked(1.0) == "[9]"
    assert floors.due_at == 1.0 + SHARE * 0.01


def test_a_look_that_finds_nothing_leaves_the_floors() -> None:
    floors = Floors()
    for _ in range(SLOW_LOOKS):
        floors.told(None, slow(0.01, "[5]"), 1.0)
    floors.told("[5]", slow(0.0001, None), 1.0)
    assert floors.asked(1.0) == "[5]"
    floors.told(None, slow(0.01, None), 1.0)
    assert floors.asked(1.0) == "[5]"


def test_a_fast_whole_look_ends_it() -> None:
    floors = Floors()
    for _ in range(SLOW_LOOKS):
        floors.told(None, slow(), 1.0)
    floors.told(floors.asked(1.0), slow(), 1.0)
    floors.told(None, None, 3.0)
    assert floors.asked(1.0) is None
    assert floors.due_at is None


@given(st.lists(st.tuples(st.floats(0, 0.5), st.floats(0.0001, 100))))
def test_whole_looks_take_a_small_share_of_the_time_and_come_soon_enough(looks: list[tuple[float, float]]) -> None:
    floors = Floors()
    now, whole_at, took_last = 0.0, -math.inf, 0.0
    for pause, took in looks:
        now += pause
        asked = floors.asked(now)
        if asked is None:
            now += took
            floors.told(None, slow(took), now)
            whole_at, took_last = now, took
        else:
            assert now - whole_at <= min(SHARE * took_last, LONGEST)
            floors.told(asked, slow(0.0), now)
            assert floors.due_at is not None
            assert floors.due_at - whole_at <= LONGEST + 1e-9
