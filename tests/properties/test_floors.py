"""A look for ready jobs with floors finds what is above them, in the order of all looks."""

from __future__ import annotations

import json

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

QUEUES = ("a", "b")
JOB = st.tuples(st.sampled_from([*QUEUES, "c"]), st.integers(-2, 2), st.booleans())
FLOOR = st.tuples(st.sampled_from(QUEUES), st.integers(-2, 2), st.integers(0, 12))
FILL = """
    insert into adjourn.adjourn_jobs (id, queue, priority, task_name, args, hold, special)
    overriding system value select id, queue, priority, 't', '{}', 0, nullif(special, false)
    from unnest(%s::bigint[], %s::text[], %s::integer[], %s::boolean[]) j(id, queue, priority, special)
"""
LEAST, GREATEST = -(2**31), 2**31 - 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(JOB, max_size=12),
    st.lists(FLOOR, max_size=4, unique_by=lambda floor: floor[:2]),
    st.integers(1, 12),
    st.booleans(),
)
def test_floors_count_for_their_own_priority(
    observer: psycopg.Connection,
    database: str,
    jobs: list[tuple[str, int, bool]],
    found: list[tuple[str, int, int]],
    limit: int,
    is_named: bool,
) -> None:
    columns = zip(*((id_, *job) for id_, job in enumerate(jobs, 1)), strict=True)
    names = list(QUEUES) if is_named else None
    if names is None:  # one floor a priority
        found = list({priority: (queue, priority, turn) for queue, priority, turn in found}.values())
    texts = [{"queue": queue if names else None, "priority": priority, "turn": turn} for queue, priority, turn in found]
    observer.execute("delete from adjourn.adjourn_jobs")
    observer.execute(FILL, list(map(list, columns)) or [[], [], [], []])

    def is_above(id_: int) -> bool:
        queue, priority, _ = jobs[id_ - 1]
        floors = [turn for name, at, turn in found if at == priority and (names is None or name == queue)]
        return (names is None or queue in names) and id_ > max(floors, default=0)

    expected = sorted(filter(is_above, range(1, len(jobs) + 1)), key=lambda id_: (-jobs[id_ - 1][1], id_))
    with observer.transaction():
        for setting in ("enable_seqscan", "enable_sort", "jit"):  # as where they are called
            observer.execute(f"set local {setting} = off")
        (picked,) = observer.execute(
            "select adjourn.adjourn_pick_above_v1(%s, %s::json, %s)", [names, json.dumps(texts), limit]
        ).fetchone() or ([],)
        (floors,) = observer.execute(
            "select adjourn.adjourn_floors_v1(%s, %s, %s::json)", [picked, names, json.dumps(texts)]
        ).fetchone() or (None,)
    if names is None and not texts:
        assert picked == []  # a worker asks so only with floors
        return
    assert picked == [-id_ if jobs[id_ - 1][2] else id_ for id_ in expected[:limit]]
    after = {(each["queue"], each["priority"]): each["turn"] for each in floors or ()}
    for id_ in expected[:limit]:
        queue, priority, _ = jobs[id_ - 1]
        assert after[queue if names else None, priority] >= id_
    for each in texts:
        assert after[each["queue"], each["priority"]] >= each["turn"]


@pytest.mark.parametrize("edge", [LEAST, GREATEST])
def test_the_extreme_priorities_can_have_a_floor(observer: psycopg.Connection, database: str, edge: int) -> None:
    observer.execute(FILL, [[1, 2, 3], ["a", "a", "a"], [edge, edge, 0], [False, False, False]])
    floors = json.dumps([{"queue": None, "priority": edge, "turn": 1}])
    row = observer.execute("select adjourn.adjourn_pick_above_v1(null, %s::json, 9)", [floors]).fetchone()
    assert row == (([2, 3] if edge == GREATEST else [3, 2]),)
