"""The latency of queues is what a slow and simple rule says of their jobs, whatever these are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs
import psycopg
import psycopg.rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adjourn.sql.constants import HEADS, Hold

QUEUES, TASKS = ("a", "b", "c"), ("t", "u")
FILL = """
    insert into adjourn.adjourn_jobs
        (id, turn, queue, priority, task_name, args, hold, lock, worker_id, enqueued_at, scheduled_at, ready_at)
    overriding system value
    select id, turn, queue, priority, task_name, '{}', hold, lock, worker_id,
           now() - age * interval '1 second', now() - due * interval '1 second', now() - ready * interval '1 second'
    from unnest(%s::bigint[], %s::bigint[], %s::text[], %s::integer[], %s::text[], %s::smallint[], %s::text[], %s::bigint[],
                %s::integer[], %s::integer[], %s::integer[])
        j(id, turn, queue, priority, task_name, hold, lock, worker_id, age, due, ready)
"""
PAUSE = "insert into adjourn.adjourn_pauses (scope, name, ends_at) values (%s, %s, now() + %s * interval '1 second')"
READY = "select queue, extract(epoch from now() - since)::float8 from adjourn.adjourn_oldest_ready_v1(%s, %s, 1000)"
UNREADY = "select queue, extract(epoch from now() - since)::float8 from adjourn.adjourn_oldest_unready_v1(%s, %s, %s)"


@attrs.frozen
class Row:
    """A live job. Times are seconds ago; what is less than zero is to come."""

    id: int
    turn: int | None
    queue: str
    priority: int
    task_name: str
    hold: int
    lock: str | None
    worker_id: int | None
    age: int
    due: int | None
    ready: int | None

    @property
    def waited(self) -> int:
        """For how long it could have run."""
        return min(each for each in (self.age, self.due, self.ready) if each is not None)


@attrs.frozen
class Pause:
    scope: str
    name: str
    lasts: int | None

    @property
    def counts(self) -> bool:
        return self.lasts is None or self.lasts > 0


@st.composite
def live_jobs(draw: st.DrawFn) -> list[Row]:
    """Jobs as they may be stored: one that is scheduled has a time, one that is not placed a lock, and a lock has one head."""
    rows: list[Row] = []
    taken: set[str] = set()
    turns: set[int | None] = set()
    ages = st.integers(0, 50)
    for number in range(1, draw(st.integers(0, 20)) + 1):
        hold = draw(st.sampled_from([Hold.READY, Hold.READY, Hold.SCHEDULED, Hold.UNPLACED, Hold.PAUSED]))
        lock = draw(st.sampled_from(["x", "y", "z"] if hold is Hold.UNPLACED else [None, None, "x", "y"]))
        if hold in HEADS:
            lock = None if lock in taken else lock
            taken |= {lock} if lock else set()
        due = draw(st.integers(-20, 50) if hold is Hold.SCHEDULED else st.none() | ages)
        worker_id = draw(st.sampled_from([None, None, 7])) if hold is Hold.READY else None
        turn = draw(st.none() | st.integers(-9, -1) | st.integers(100, 109))
        turn = None if turn in turns else turn  # no two jobs have the same place
        turns.add(turn)
        queue, task_name = draw(st.sampled_from(QUEUES)), draw(st.sampled_from(TASKS))
        ready = draw(st.none() | ages)
        rows.append(
            Row(number, turn, queue, draw(st.integers(0, 2)), task_name, hold, lock, worker_id, draw(ages), due, ready)
        )
    return rows


PAUSES = st.lists(
    st.one_of(
        st.builds(Pause, st.just("queue"), st.sampled_from(QUEUES), st.sampled_from([None, 60, -60])),
        st.builds(Pause, st.just("task"), st.sampled_from(TASKS), st.sampled_from([None, 60, -60])),
    ),
    max_size=3,
    unique_by=lambda pause: (pause.scope, pause.name),
)


def oldest_ready(rows: Iterable[Row], paused_tasks: Sequence[str]) -> list[tuple[str, float]]:
    """Of each queue and priority the first that no worker has; if that was run before, or due, the one that waits for longest."""
    pairs: dict[tuple[str, int], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.id if row.turn is None else row.turn):
        if row.hold == Hold.READY and row.worker_id is None and row.task_name not in paused_tasks:
            pairs.setdefault((row.queue, row.priority), []).append(row)
    found = []
    for (queue, _), waiting in pairs.items():
        first = waiting[0]
        is_plain = first.due is None and first.ready is None
        found.append((queue, float(first.waited if is_plain else max(row.waited for row in waiting))))
    return sorted(found)


def oldest_unready(
    rows: Sequence[Row], paused: Sequence[str], paused_tasks: Sequence[str], heads: set[str | None]
) -> list[tuple[str, float]]:
    """Of each queue the one that is due, or has a free lock, for longest."""
    found: dict[str, float] = {}
    for row in rows:
        if row.queue in paused or row.task_name in paused_tasks or (row.due is not None and row.due < 0):
            continue
        if row.hold == Hold.SCHEDULED and row.due is not None:
            found[row.queue] = max(found.get(row.queue, 0.0), float(row.due))
        elif row.hold == Hold.UNPLACED and row.lock not in heads:
            found[row.queue] = max(found.get(row.queue, 0.0), float(row.waited))
    return sorted(found.items())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(live_jobs(), PAUSES, st.none() | st.lists(st.sampled_from([*QUEUES, "none"]), min_size=1, max_size=3))
def test_the_latency_is_what_a_simple_rule_says(
    observer: psycopg.Connection, database: str, rows: list[Row], pauses: list[Pause], queues: list[str] | None
) -> None:
    paused, paused_tasks = (
        [each.name for each in pauses if each.scope == scope and each.counts] for scope in ("queue", "task")
    )
    served = [row for row in rows if queues is None or row.queue in queues]
    heads = {row.lock for row in rows if row.hold in HEADS}
    with observer.transaction(force_rollback=True), observer.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        cursor.execute("delete from adjourn.adjourn_jobs")
        columns = [list(column) for column in zip(*map(attrs.astuple, rows), strict=True)]
        cursor.execute(FILL, columns or [[]] * 11)
        for pause in pauses:
            cursor.execute(PAUSE, [pause.scope, pause.name, pause.lasts])
        ready = oldest_ready(served, paused_tasks)
        assert sorted(cursor.execute(READY, [queues, paused_tasks]).fetchall()) == ready
        unready = oldest_unready(served, paused, paused_tasks, heads)
        assert sorted(cursor.execute(UNREADY, [queues, paused, paused_tasks]).fetchall()) == unready
        waits = [waited for queue, waited in ready if queue not in paused] + [waited for _, waited in unready]
        assert cursor.execute("select adjourn.adjourn_latency_v1(%s)", [queues]).fetchall() == [
            (max(waits, default=0.0),)
        ]
