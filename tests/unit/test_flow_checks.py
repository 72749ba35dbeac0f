"""The bench's checker finds each kind of fault of limits, unique jobs, workflows and what lasts in a ledger that was made up for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.invented import DAY, OTHER_PID, PID, Made
from torture.checker import check
from torture.flow.checks import CHECKS
from torture.tables import WorkflowRow

ZOMBIE = OTHER_PID + 1


def run(made: Made, job: int, begun: float, ended: float, task: str = "quick", claim: int = 1, **facts: Any) -> None:
    """Run a job whose body takes from one moment to another."""
    made.begin(job, begun, claim, facts.pop("pid", PID), task, **facts)
    made.end(job, ended, claim, pid=made.entries[-1]["pid"])


def limited(made: Made, job: int, begun: float, ended: float, limit: str = "tenant a", claim: int = 1) -> None:
    run(made, job, begun, ended, "limited_tenant_sync", claim, places=[limit])
    made.row(job, task="limited_tenant_sync", claim=claim)


def probe(made: Made, job: int, n: int, begun: float, ended: float, limit: str = "tenant a") -> None:
    made.defer(job, 50, key=f"probe {limit} {n}")
    limited(made, job, begun, ended, limit)


def unique(made: Made, job: int, deferred: float, begun: float, ended: float) -> None:
    made.defer(job, deferred, same="x")
    run(made, job, begun, ended, "unique", same="x", key=f"key {job}")
    made.row(job, task="unique")


def node(made: Made, job: int, after: list[int], begun: float | None, rule: str = "all_succeeded", **more: Any) -> None:
    """Add a job to workflow 500; it takes a second, or was cancelled."""
    fails = bool(more.get("fails"))
    arguments = {
        "key": f"key {job}",
        "flow": "f",
        "after": [f"key {parent}" for parent in after],
        "run_if": rule,
        "fails": fails,
        "of": 7,
    }
    made.defer(job, 0.5)
    if begun is not None:
        made.begin(job, begun, task="node_sync")
        made.end(job, begun + 1, how="raised" if fails else "succeeded")
    status = "cancelled" if begun is None else "failed" if fails else "succeeded"
    made.row(job, status, task="node_sync", args=arguments, workflow=500)


def got(made: Made, job: int, at: float, name: str, value: str, claim: int = 1) -> None:
    made.note("got", at, "worker", job=job, claim=claim, pid=PID, name=name, value=value)


def step(made: Made, job: int, at: float, name: str, claim: int = 1) -> None:
    made.note("step", at, "worker", job=job, claim=claim, pid=PID, name=name)


def send(made: Made, name: str, at: float, payload: str, event: str = "sent", **facts: Any) -> None:
    made.note(event, at, "deferrer", name=name, payload=payload, asked=at - 0.1, **facts)


def good() -> Made:
    """Return a run with everything that may happen: places, rescues, zombies, refusals, rules, retries and rollbacks."""
    made = Made()
    # Two of a tenant at a time, and one more that a worker lost, which it ran to its end when another had it.
    limited(made, 1, 1, 3)
    limited(made, 2, 2, 4)
    limited(made, 3, 4, 5)
    made.note("paused", 10, pid=ZOMBIE)
    made.defer(4, 9)
    made.begin(4, 10, pid=ZOMBIE, places=["tenant a"])
    made.begin(4, 14, claim=2, places=["tenant a"])
    made.end(4, 15, claim=2)
    made.row(4, claim=2, losses=1)
    limited(made, 5, 14.5, 16)
    limited(made, 6, 15, 17)
    made.end(4, 18, pid=ZOMBIE)
    for n in range(2):
        probe(made, 10 + n, n, 51, 53)
    # Five within the period, and one at its end, by the database's clock. The body of the first begins late.
    for n, claimed in enumerate([20, 20.1, 20.1, 20.2, 20.3, 20.5, 20.6]):
        run(made, 20 + n, claimed + (0.45 if not n else 0.01), claimed + 0.5, rated="a", claimed=DAY + claimed)
        made.row(20 + n)
    # One of a key after the other, and what was answered to those who came too early.
    unique(made, 40, 1, 2, 3)
    made.note("exists", 1.5, "deferrer", job=40, key="key 41", same="x", asked=1.4)
    made.note("refused", 1.6, "deferrer", jobs=[40], key="key 42", same="x", asked=1.5, error="there is one")
    made.defer(43, 4, same="x")
    made.note("replaced", 4.5, "deferrer", job=43, key="key 44", same="x", asked=4.4)
    made.note("replaced", 4.8, "deferrer", job=43, key="key 45", same="x", asked=4.7)
    run(made, 43, 5, 6, "unique", same="x", key="key 45")
    made.row(43, task="unique", key="key 45")
    # Stored by a call that was asked before the job before it had ended, and answered after it.
    made.note("acknowledged", 6.1, "deferrer", job=46, key="key 46", asked=5.9, same="x", lock=None, priority=0,
              queueing_lock=None, is_scheduled=False)  # fmt: skip
    run(made, 46, 6.2, 6.4, "unique", same="x", key="key 46")
    made.row(46, task="unique")
    # A workflow of which a job fails.
    node(made, 501, [], 1)
    node(made, 502, [], 1.5, fails=True)
    node(made, 503, [501, 502], None)
    node(made, 504, [503], None)
    node(made, 505, [501, 502], 3, "all_done")
    node(made, 506, [501, 502], 3, "any_failed")
    node(made, 507, [501], None, "any_failed")
    made.workflows[500] = WorkflowRow(500, 7, 0, 1, True)
    # A job with steps in three runs, of which the first failed and another slept; its worker was lost when it had called the last.
    made.defer(60, 1)
    made.begin(60, 2, task="story_sync")
    step(made, 60, 2.1, "first")
    made.end(60, 2.2, how="raised")
    made.begin(60, 3, claim=2, task="story_sync")
    step(made, 60, 3.1, "first", claim=2)
    got(made, 60, 3.2, "first", "1", claim=2)
    made.note("sleeping", 3.3, "worker", job=60, claim=2, pid=PID, seconds=1.0)
    made.end(60, 3.4, claim=2, how="raised")
    made.begin(60, 4.4, claim=3, task="story_sync")
    got(made, 60, 4.5, "first", "1", claim=3)
    made.note("slept", 4.6, "worker", job=60, claim=3, pid=PID)
    send(made, "key 60", 4, "in vain", event="sent in vain")
    send(made, "key 60", 4.1, "perhaps", event="sent perhaps")
    send(made, "key 60", 4.2, "again", is_first=False)
    got(made, 60, 4.7, "event", "perhaps", claim=3)
    step(made, 60, 4.8, "last", claim=3)
    made.end(60, 4.9, claim=3, how="raised")
    run(made, 60, 5, 6, "story_sync", claim=4)
    got(made, 60, 5.1, "event", "perhaps", claim=4)
    step(made, 60, 5.2, "last", claim=4)
    got(made, 60, 5.3, "last", "2", claim=4)
    made.row(60, claim=4, task="story_sync")
    # An effect at the second attempt, in a worker that is killed before the body has ended; the next of its lock has begun before.
    made.defer(70, 1, lock="e")
    made.begin(70, 2, task="effect_sync", lock="e")
    made.end(70, 3, how="raised")
    made.begin(70, 4, claim=2, task="effect_sync", lock="e", pid=OTHER_PID)
    made.note("leaving", 4.5, "worker", job=70, claim=2, pid=OTHER_PID)
    run(made, 71, 4.6, 5, lock="e")
    made.row(71)
    made.note("killed", 5, pid=OTHER_PID)
    made.row(70, claim=2, task="effect_sync")
    made.effects.append((70, 2))
    return made


def test_a_good_run_has_no_fault() -> None:
    assert good().faults() == set()


def exceed_a_limit(made: Made) -> None:
    limited(made, 7, 2.5, 2.7)


def exceed_a_limit_beside_a_lost_run(made: Made) -> None:
    """Two others run before the job that was lost runs again."""
    limited(made, 7, 12, 13)
    limited(made, 8, 12, 13)


def exceed_a_rate(made: Made) -> None:
    run(made, 30, 20.45, 20.46, rated="a", claimed=DAY + 20.4)
    made.row(30)


def keep_a_place(made: Made) -> None:
    """The second of a pair that waits for each other begins when the first has given up."""
    del made.jobs[11]
    made.entries = [entry for entry in made.entries if entry.get("job") != 11]
    probe(made, 11, 1, 54, 55)


def store_a_unique_job_twice(made: Made) -> None:
    unique(made, 47, 2.3, 20, 21)


def run_two_of_a_unique_key(made: Made) -> None:
    run(made, 48, 5.5, 5.6, "unique", same="x", key="key 48")
    made.row(48, task="unique")


def answer_with_a_job_that_is_not_there(made: Made) -> None:
    made.note("refused", 1.6, "deferrer", jobs=[99], key="key 42", same="x", asked=1.5, error="there is one")


def lose_a_replacement(made: Made) -> None:
    made.note("replaced", 4.9, "deferrer", job=43, key="key 49", same="x", asked=4.85)


def store_a_part(made: Made) -> None:
    del made.jobs[507]


def begin_early(made: Made) -> None:
    """One of the two parents has not ended."""
    made.entries = [entry for entry in made.entries if entry.get("job") != 505]
    node(made, 505, [501, 502], 2.2, "all_done")


def begin_before_a_parent_that_waits(made: Made) -> None:
    made.row(502, "todo", task="node_sync", args=made.jobs[502].args, workflow=500)


def never_call_back(made: Made) -> None:
    made.row(505, "cancelled", task="node_sync", args=made.jobs[505].args, workflow=500)


def run_although_a_parent_has_failed(made: Made) -> None:
    run(made, 503, 3, 4, "node_sync")
    made.row(503, task="node_sync", args=made.jobs[503].args, workflow=500)


def run_what_was_cancelled(made: Made) -> None:
    run(made, 504, 3, 4, "node_sync")


def end_no_workflow(made: Made) -> None:
    made.workflows[500] = WorkflowRow(500, 7, 0, 1, False)


def count_ends_wrongly(made: Made) -> None:
    made.workflows[500] = WorkflowRow(500, 7, 1, 1, True)


def count_failures_twice(made: Made) -> None:
    made.workflows[500] = WorkflowRow(500, 7, 0, 2, True)


def call_a_step_again(made: Made) -> None:
    step(made, 60, 5.05, "first", claim=4)


def forget_a_result(made: Made) -> None:
    got(made, 60, 5.05, "first", "other", claim=4)


def wake_early(made: Made) -> None:
    made.note("slept", 4.2, "worker", job=60, claim=3, pid=PID)


def lose_an_event(made: Made) -> None:
    made.defer(61, 1)
    send(made, "key 61", 2, "here", is_first=True)
    made.row(61, "todo", task="story_sync", is_scheduled=True)


def deliver_what_was_rolled_back(made: Made) -> None:
    made.defer(61, 1)
    send(made, "key 61", 2, "in vain", event="sent in vain")
    send(made, "key 61", 3, "here", is_first=True)
    run(made, 61, 3, 4, "story_sync")
    got(made, 61, 3.5, "event", "in vain")
    made.row(61, task="story_sync")


def deliver_the_second(made: Made) -> None:
    send(made, "key 60", 3.9, "first", is_first=True)


def deliver_another(made: Made) -> None:
    got(made, 60, 5.15, "event", "again", claim=4)


def store_an_effect_alone(made: Made) -> None:
    made.defer(72, 1)
    made.begin(72, 2, task="effect_sync")
    made.end(72, 3, how="raised")
    made.row(72, "failed", task="effect_sync")
    made.effects.append((72, 1))


def store_an_effect_of_a_run_that_lost_the_job(made: Made) -> None:
    made.effects[:] = [(70, 1)]


def end_without_an_effect(made: Made) -> None:
    made.effects.clear()


def store_an_effect_twice(made: Made) -> None:
    made.effects.append((70, 2))


FAULTS: list[tuple[Callable[[Made], None], str]] = [
    (exceed_a_limit, "more than a limit"),
    (exceed_a_limit_beside_a_lost_run, "more than a limit"),
    (exceed_a_rate, "more than a rate"),
    (keep_a_place, "places not given back"),
    (store_a_unique_job_twice, "unique twice"),
    (run_two_of_a_unique_key, "unique twice"),
    (answer_with_a_job_that_is_not_there, "unknown instead of a unique job"),
    (lose_a_replacement, "replacement lost"),
    (store_a_part, "workflow in parts"),
    (begin_early, "child before its parents"),
    (begin_before_a_parent_that_waits, "child before its parents"),
    (never_call_back, "wrong end in a workflow"),
    (run_although_a_parent_has_failed, "wrong end in a workflow"),
    (run_what_was_cancelled, "wrong end in a workflow"),
    (end_no_workflow, "workflow without an end"),
    (count_ends_wrongly, "workflow without an end"),
    (count_failures_twice, "workflow without an end"),
    (call_a_step_again, "step run again"),
    (forget_a_result, "step run again"),
    (wake_early, "slept too short"),
    (lose_an_event, "event lost"),
    (deliver_what_was_rolled_back, "wrong event"),
    (deliver_the_second, "wrong event"),
    (deliver_another, "wrong event"),
    (store_an_effect_alone, "effect without its end"),
    (store_an_effect_of_a_run_that_lost_the_job, "effect without its end"),
    (end_without_an_effect, "end without its effect"),
    (store_an_effect_twice, "end without its effect"),
]


@pytest.mark.parametrize(("do", "name"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_each_fault_is_found(do: Callable[[Made], None], name: str) -> None:
    made = good()
    do(made)
    assert name in made.faults()


def test_each_check_has_a_fault_here() -> None:
    assert {name for _, name in FAULTS} == set(CHECKS)


def test_a_callback_that_runs_twice_is_doubled() -> None:
    made = good()
    run(made, 505, 6, 7, "node_sync", claim=2)
    made.row(505, claim=2, task="node_sync", args=made.jobs[505].args, workflow=500)
    assert "doubled without a rescue" in made.faults()


def test_what_was_tried_is_counted() -> None:
    made = good()
    verdict = check(sorted(made.entries, key=lambda entry: entry.monotonic), made.tables())
    counted = {
        "limited": 9,
        "rated": 7,
        "unique": 3,
        "not stored": 4,
        "workflows": 1,
        "steps": 4,
        "events": 1,
        "effects": 1,
    }
    assert {name: verdict.counts[name] for name in counted} == counted
