"""The bench's checker finds each kind of fault in a ledger that was made up for it, and none in a good one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.invented import DAY, OTHER_PID, Made
from torture.checker import CHECKS
from torture.flow import checks as flow
from torture.ledger import Ledger, read


def good() -> Made:
    """Return a run with everything that may happen: retries, a rescue, a zombie, locks, ticks and a rollback."""
    made = Made()
    made.note("served", 0)
    for second in range(60):
        if not 30 <= second < 40:
            made.row(1000 + second, task="tick", tick=int(DAY) + second, key=None)
            made.begin(1000 + second, second, task="tick")
            made.end(1000 + second, second + 0.1)
    made.note("disturbed", 30, what="outage")
    made.note("undisturbed", 40, what="outage")
    for n in range(3):
        made.run(n, 2 + 2 * n, lock="a")
    # A job that failed and was retried.
    made.defer(10, 1)
    made.begin(10, 2)
    made.end(10, 3, how="raised")
    made.begin(10, 4, claim=2)
    made.end(10, 5, claim=2)
    made.row(10, claim=2, attempts=2)
    # A job whose worker was killed; the next of its lock came after it.
    made.defer(11, 1, lock="b")
    made.begin(11, 2, lock="b", pid=OTHER_PID)
    made.note("killed", 3, pid=OTHER_PID)
    made.begin(11, 6, claim=2, lock="b")
    made.end(11, 7, claim=2)
    made.row(11, claim=2, losses=1)
    made.run(12, 8, lock="b")
    # A job whose worker was stopped for long, and woke when the job had been run by another.
    made.defer(13, 1, lock="c")
    made.begin(13, 2, lock="c", pid=OTHER_PID + 1)
    made.note("paused", 2.5, pid=OTHER_PID + 1)
    made.begin(13, 6, claim=2, lock="c")
    made.end(13, 7, claim=2)
    made.end(13, 9, pid=OTHER_PID + 1)
    made.row(13, claim=2, losses=1)
    made.run(14, 8, lock="c")
    # Two that ran one after the other in a worker that was stopped before it had stored an outcome. Both run again.
    for job in (70, 71):
        made.defer(job, 1, lock="e")
        made.begin(job, 2 if job == 70 else 2.2, lock="e", pid=OTHER_PID + 1)
        made.begin(job, 6 if job == 70 else 7, claim=2, lock="e")
        made.end(job, 6.5 if job == 70 else 7.5, claim=2)
        made.row(job, claim=2)
    made.end(70, 2.1, pid=OTHER_PID + 1)
    made.end(71, 9, pid=OTHER_PID + 1)
    # A retry with a delay lets the next job of its lock go first, and a higher priority goes first.
    made.defer(15, 1, lock="d")
    made.begin(15, 2, lock="d")
    made.end(15, 2.5, how="raised")
    made.run(16, 3, lock="d")
    made.begin(15, 5, claim=2, lock="d")
    made.end(15, 6, claim=2)
    made.row(15, claim=2)
    made.defer(17, 6, lock="d")
    made.run(18, 7, lock="d", priority=5)
    made.begin(17, 9, lock="d")
    made.end(17, 10)
    made.row(17)
    # One job of a queueing lock after the other.
    made.run(20, 2, queueing_lock="q", claimed=DAY + 1.9)
    made.run(21, 4, queueing_lock="q")
    # Two whose answers came in another order than they were stored in.
    made.defer(22, 6.5, queueing_lock="r")
    made.begin(22, 6.2, claimed=DAY + 6.1)
    made.end(22, 6.3)
    made.row(22)
    made.defer(23, 6.45, queueing_lock="r")
    made.begin(23, 6.6, claimed=DAY + 6.55)
    made.end(23, 6.7)
    made.row(23)
    # What was to fail, and what was rolled back or refused.
    made.run(30, 4, task="fails")
    made.row(30, "failed", task="fails")
    made.note("rolled_back", 5, "deferrer", key="never")
    made.note("unknown", 5, "deferrer", key="perhaps", asked=4.9, error="the connection was lost")
    made.row(40, key="perhaps")
    made.begin(40, 6)
    made.end(40, 7)
    # It is not due yet.
    made.defer(50, 59, is_scheduled=True)
    made.row(50, "todo", claim=0, is_scheduled=True)
    made.note("stopping", 60)
    return made


def test_a_good_run_has_no_fault() -> None:
    assert good().faults() == set()


def lose(made: Made) -> None:
    del made.jobs[0]


def leave_waiting(made: Made) -> None:
    made.defer(60, 1)
    made.row(60, "todo", claim=0)


def leave_doing(made: Made) -> None:
    made.defer(60, 1)
    made.row(60, "doing", worker=7)


def leave_doing_at_a_live_worker(made: Made) -> None:
    made.workers.add(7)
    leave_doing(made)


def fail(made: Made) -> None:
    made.row(0, "failed", losses=5)


def succeed_without_a_run(made: Made) -> None:
    made.defer(60, 1)
    made.row(60)


def run_twice_without_a_rescue(made: Made) -> None:
    made.begin(0, 4, claim=2)
    made.end(0, 5, claim=2)
    made.row(0, claim=2)


def run_twice_by_one_claim(made: Made) -> None:
    made.begin(20, 3.5, pid=OTHER_PID)
    made.end(20, 3.6, pid=OTHER_PID)


def run_twice_by_a_worker_that_was_declared_dead_before(made: Made) -> None:
    made.defer(81, 1)
    made.note("declared dead", 5, pid=OTHER_PID + 2)
    made.begin(81, 5.5, pid=OTHER_PID + 2)
    made.end(81, 5.6, pid=OTHER_PID + 2)
    made.begin(81, 6, claim=2)
    made.end(81, 6.1, claim=2)
    made.row(81, claim=2)


def run_more_often_than_rescued(made: Made) -> None:
    made.begin(11, 7.1, claim=3, lock="b")
    made.end(11, 7.2, claim=3)
    made.row(11, claim=3, losses=1)


def rescue_from_a_live_worker(made: Made) -> None:
    made.entries = [entry for entry in made.entries if "disturbed" not in entry.event]
    made.begin(0, 4, claim=2)
    made.end(0, 5, claim=2)
    made.row(0, claim=2, losses=1)


def finish_by_a_stale_run(made: Made) -> None:
    made.row(13, claim=1, losses=1)


def begin_by_a_stale_run(made: Made) -> None:
    made.begin(11, 7.5, claim=1, lock="b", pid=OTHER_PID + 2)
    made.end(11, 7.6, claim=1, pid=OTHER_PID + 2)
    made.row(11, claim=2, losses=2)


def vanish(made: Made) -> None:
    made.begin(10, 5.5, claim=3)
    made.row(10, claim=2, losses=1)


def overlap(made: Made) -> None:
    made.run(60, 2.5, lock="a", priority=1)


def overlap_with_a_rescued_run(made: Made) -> None:
    """Another job of the lock begins before the one that was rescued."""
    made.run(60, 4, lock="c", priority=1)


def overlap_with_a_follower_that_was_rescued(made: Made) -> None:
    """Another job of the lock begins before one that ran in the process that was stopped runs again."""
    made.run(60, 4, lock="e", priority=1)


def invert(made: Made) -> None:
    made.defer(60, 0.5, lock="a")
    made.begin(60, 20, lock="a")
    made.end(60, 21)
    made.row(60)


def wait_together(made: Made) -> None:
    made.run(60, 2.2, queueing_lock="q")


def store_though_rolled_back(made: Made) -> None:
    made.run(60, 2)
    made.row(60, key="never")


def store_twice(made: Made) -> None:
    made.run(60, 2)
    made.row(60, key="key 0")


def raise_something_strange(made: Made) -> None:
    made.note("strange", 4, "deferrer", key="key 60", error="KeyError: 'id'")


def double_a_tick(made: Made) -> None:
    made.run(60, 2, task="tick")
    made.row(60, task="tick", tick=int(DAY) + 20)


def lose_a_tick(made: Made) -> None:
    del made.jobs[1020]


def leave_a_session(made: Made) -> None:
    made.sessions.append("worker-1, idle, select 1")


FAULTS: list[tuple[Callable[[Made], None], str]] = [
    (lose, "lost"),
    (leave_waiting, "left waiting"),
    (leave_doing, "doing without a worker"),
    (leave_doing_at_a_live_worker, "doing for ever"),
    (fail, "failed wrongly"),
    (succeed_without_a_run, "succeeded without a run"),
    (run_twice_without_a_rescue, "doubled without a rescue"),
    (run_twice_by_one_claim, "doubled without a rescue"),
    (run_twice_by_a_worker_that_was_declared_dead_before, "doubled without a rescue"),
    (run_more_often_than_rescued, "doubled without a rescue"),
    (rescue_from_a_live_worker, "rescued in vain"),
    (finish_by_a_stale_run, "finished by a stale run"),
    (begin_by_a_stale_run, "begun by a stale run"),
    (vanish, "vanished"),
    (overlap, "overlap within a lock"),
    (overlap_with_a_rescued_run, "overlap within a lock"),
    (overlap_with_a_follower_that_was_rescued, "overlap within a lock"),
    (invert, "inversion within a lock"),
    (wait_together, "queueing lock broken"),
    (store_though_rolled_back, "stored though rolled back"),
    (store_twice, "stored twice"),
    (raise_something_strange, "strange errors"),
    (double_a_tick, "doubled ticks"),
    (lose_a_tick, "lost ticks"),
    (leave_a_session, "sessions left"),
]


@pytest.mark.parametrize(("do", "name"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_each_fault_is_found(do: Callable[[Made], None], name: str) -> None:
    made = good()
    do(made)
    assert name in made.faults()


def test_a_job_may_run_again_that_began_before_its_worker_was_declared_dead() -> None:
    made = good()
    made.defer(80, 1)
    made.begin(80, 2, pid=OTHER_PID + 2)
    made.end(80, 2.1, pid=OTHER_PID + 2)
    made.note("declared dead", 5, pid=OTHER_PID + 2)
    made.begin(80, 6, claim=2)
    made.end(80, 6.1, claim=2)
    made.row(80, claim=2)  # claimed ahead, so it has no losses
    assert made.faults() == set()


def test_a_rescue_from_a_worker_that_was_killed_or_stopped_is_no_fault() -> None:
    made = good()
    made.entries = [entry for entry in made.entries if "disturbed" not in entry.event]
    assert made.faults() == {"lost ticks"}


def test_each_check_has_a_fault_here() -> None:
    assert {name for _, name in FAULTS} == set(CHECKS) - set(flow.CHECKS)


def test_a_ledger_is_read_as_it_was_written(tmp_path: Path) -> None:
    first, second = Ledger(tmp_path, "first"), Ledger(tmp_path, "second")
    first.write("begin", job=1)
    second.write("begin", job=2)
    first.write("end", job=1)
    assert [(entry.process, entry.event, entry["job"]) for entry in read(tmp_path)] == [
        ("first", "begin", 1),
        ("second", "begin", 2),
        ("first", "end", 1),
    ]
