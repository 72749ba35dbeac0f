"""Short programs for the machine of test_flow.py: what hypothesis would find only after a long search, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from adjourn._domain.outcomes import Ended, HandedBack, Outcome, Retried, Suspended
from adjourn._domain.workflows import Planned
from properties.flow_model import ALL_DONE, ANY_FAILED, RUNNING, SUCCEEDED, Known, Numbers

if TYPE_CHECKING:
    from properties.test_flow import Machine, New, Simulated

SCENES: dict[str, Callable[[Scene], None]] = {}
KEYED, RATED, FIRST, SECOND = ("key", "keyed"), ("key", "rated"), 0, 1
HOUR = 3600.0


def scene(run: Callable[[Scene], None]) -> Callable[[Scene], None]:
    """Note a scene by the name of its function."""
    SCENES[run.__name__.replace("_", " ")] = run
    return run


class Chosen:
    """What hypothesis would have drawn."""

    def __init__(self, *choices: Any) -> None:
        self._choices = list(choices)

    def draw(self, strategy: Any, label: Any = None) -> Any:
        return self._choices.pop(0)


class Scene:
    """A machine with two workers, and what a scene does with it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.start_worker(None)
        machine.start_worker(None)
        for limit, numbers in ((KEYED, Numbers(2)), (RATED, Numbers(None, 3))):
            machine.set_limit(limit, numbers)

    def new(
        self,
        task: str = "whole",
        *,
        key: str = "x",
        queue: str = "a",
        lock: str | None = None,
        priority: int = 0,
        is_late: bool = False,
        term: str | None = None,
    ) -> New:
        return task, key, queue, lock, priority, is_late, term

    def defer(self, task: str = "whole", **options: Any) -> int:
        """Store a job, and return its id."""
        self.machine.defer([self.new(task, **options)])
        return max(self.machine.model.jobs)

    def workflow(self, *waits: list[int], rules: dict[int, int] | None = None, is_open: bool = False) -> list[int]:
        """Store a workflow: for each job the numbers of those that it waits for; return their ids. A number below zero is the id of a
        job that is there already."""
        plans: list[Planned] = []
        news = [self.new() for _ in waits]
        found = [(rules or {}).get(number) for number in range(len(waits))]
        for number, parents in enumerate(waits):
            others: list[Any] = [plans[parent] if parent >= 0 else -parent for parent in parents]
            plans.append(Planned(self.machine.job(news[number]), None, others, [None] * len(others), found[number]))
        self.machine.store_workflow(plans, news, found, None, is_open=is_open)
        return sorted(self.machine.model.jobs)[-len(waits) :] if waits else []

    @property
    def flow(self) -> int:
        """The latest workflow."""
        return self.machine.flows[-1]

    def job(self, id_: int) -> Known:
        return self.machine.model.jobs[id_]

    def worker(self, number: int) -> Simulated:
        return self.machine.workers[number]

    def take(self, limit: int = 9, worker: int = FIRST) -> list[int]:
        """Have a worker claim jobs, and return their ids."""
        return [job.id or 0 for job in self.machine.ask(self.worker(worker), [], limit).jobs]

    def tell(self, id_: int, outcome: Callable[..., Outcome], *args: Any, **options: Any) -> None:
        """Have the worker of a job say what became of the run."""
        job = self.job(id_)
        (worker,) = [each for each in self.machine.workers if each.id == job.worker]
        self.machine.ask(worker, [outcome(id_, job.claim, *args, **options)], 0)

    def end(self, *ids: int, status: str = SUCCEEDED) -> None:
        """Have jobs end, those that nobody runs once they were claimed."""
        for id_ in ids:
            if self.job(id_).status != RUNNING:
                self.take()
            self.tell(id_, Ended, status)

    def place(self) -> None:
        self.machine.settle_places()

    def again(self, id_: int, *, settles: bool = True) -> None:
        """Run a job again that has ended."""
        if settles:
            self.place()
        self.machine.manager.retry_job_by_id(id_)
        self.machine.model.revive({id_}, {id_})
        self.machine.every_job_is_as_promised()

    def cancel(self, id_: int) -> None:
        self.machine.cancel(Chosen(id_ and self.job(id_)), delete=False)

    def dies(self, worker: int = FIRST) -> None:
        """A worker dies, and another comes in its place."""
        dead = self.machine.workers.pop(worker)
        self.machine.workers.append(dead)
        dead.manager.unregister_worker(dead.id)
        dead.is_dead = True
        self.machine.start_worker(None)
        self.machine.workers.insert(worker, self.machine.workers.pop())
        self.machine.rescue()

    def step(self, id_: int, name: str = "e", claim: int | None = None) -> None:
        """A run, perhaps an earlier one, stores a step."""
        self._remember("step", id_, name, claim)

    def wait_for_event(self, id_: int, name: str = "e") -> None:
        self._remember("event", id_, name, None)

    def _remember(self, kind: str, id_: int, name: str, claim: int | None) -> None:
        worker = self.worker(FIRST)
        self.machine.remember(Chosen(worker, (id_, claim or self.job(id_).claim)), kind, name)

    def wait_for(self, id_: int, *ids: int, ends: bool = True) -> None:
        """A run waits for jobs."""
        job = self.job(id_)
        (worker,) = [each for each in self.machine.workers if each.id == job.worker]
        self.machine.wait_for(worker, id_, job.claim, list(ids), ends=ends)


def play(machine: Machine, run: Callable[[Scene], None]) -> None:
    """Have a scene run, and then everything come to its end."""
    found = Scene(machine)
    run(found)
    machine.every_job_is_as_promised()
    machine.settle()
    machine.everything_ends()


# Limits


@scene
def a_limit_is_lowered_below_what_was_admitted(s: Scene) -> None:
    for _ in range(2):
        s.defer("keyed")
    s.place()
    s.machine.set_limit(KEYED, Numbers(1))
    assert len(s.take()) <= 1


@scene
def a_limit_is_lowered_below_what_runs(s: Scene) -> None:
    s.machine.set_limit(KEYED, Numbers(3))
    for _ in range(6):
        s.defer("keyed")
    s.place()
    running = s.take()
    s.machine.set_limit(KEYED, Numbers(1))
    for id_ in running:
        s.end(id_)
        s.take()


@scene
def a_better_job_takes_the_place_of_the_head_of_its_lock(s: Scene) -> None:
    s.machine.set_limit(KEYED, Numbers(1))
    s.defer("keyed", lock="l")
    s.place()
    s.defer("keyed", lock="l", priority=1)


@scene
def the_next_of_a_key_follows_one_that_ends(s: Scene) -> None:
    s.machine.set_limit(KEYED, Numbers(1))
    first = s.defer("keyed")
    s.defer("keyed")
    s.place()
    s.end(first)


@scene
def the_next_of_a_key_follows_one_that_is_retried_later(s: Scene) -> None:
    s.machine.set_limit(KEYED, Numbers(1))
    first = s.defer("keyed")
    s.defer("keyed")
    s.place()
    s.take()
    s.tell(first, Retried, retry_in=HOUR)


@scene
def somebody_holds_the_next_of_a_key(s: Scene) -> None:
    s.machine.set_limit(KEYED, Numbers(1))
    first, second = s.defer("keyed"), s.defer("keyed")
    s.place()
    s.take()
    with s.machine.locked(second):
        s.end(first)


@scene
def what_is_paused_does_not_run_and_what_is_resumed_does(s: Scene) -> None:
    for what in (("task", "plain"), ("queue", "a")):
        for task in ("plain", "plain", "keyed"):
            s.defer(task, lock="l" if task == "keyed" else None)
        s.place()
        s.machine.pause_or_resume(what)
        s.take()
        s.defer("plain")
        s.machine.settle()
        s.machine.pause_or_resume(what)
        s.machine.settle()


@scene
def no_more_start_than_a_rate_says(s: Scene) -> None:
    for _ in range(5):
        s.defer("rated")
        s.place()
        s.take(1)


@scene
def no_more_are_admitted_than_a_rate_says(s: Scene) -> None:
    for _ in range(3):
        for _ in range(3):
            s.defer("rated")
        s.place()
    s.take(20)


@scene
def a_job_with_a_place_is_replaced(s: Scene) -> None:
    s.machine.set_limit(KEYED, Numbers(1))
    s.machine.defer_unique(s.new("keyed"), "u", "replace")
    s.defer("keyed")
    s.place()
    s.machine.defer_unique(s.new("plain"), "u", "replace")


@scene
def there_is_one_job_of_a_unique_key(s: Scene) -> None:
    for policy in ("raise", "raise", "skip", "replace"):
        s.machine.defer_unique(s.new("plain"), "u", policy)
    s.take()
    for policy in ("raise", "skip", "replace"):
        s.machine.defer_unique(s.new("plain"), "u", policy)


@scene
def a_job_with_a_place_and_one_attempt_is_lost_twice(s: Scene) -> None:
    s.machine.set_limit(KEYED, Numbers(1))
    s.defer("keyed", term="once")
    s.defer("keyed")
    s.place()
    s.take(1)
    s.dies()
    s.place()
    s.take(1)
    s.dies()


# Terms


@scene
def a_job_expires(s: Scene) -> None:
    for _ in range(2):
        s.defer(term="expires")
    s.machine.time_passes()
    s.take()
    s.defer(lock="l")
    s.place()
    s.defer(lock="l", term="expires")
    s.place()
    s.machine.time_passes()
    s.machine.expire(20)


@scene
def calls_take_jobs_that_are_ready(s: Scene) -> None:
    s.defer("plain", is_late=True)
    for _ in range(4):
        s.defer("plain")
    s.take(1)
    s.take(1, SECOND)


# Workflows


@scene
def a_parent_fails(s: Scene) -> None:
    parent, *_ = s.workflow([], [0], [1])
    s.end(parent, status="failed")
    s.place()


@scene
def a_child_waits_for_all(s: Scene) -> None:
    first, second, _ = s.workflow([], [], [0, 1])
    s.take(2)
    s.end(first)
    s.take()
    s.place()
    s.take()
    s.end(second)
    s.place()


@scene
def a_parent_that_had_ended_is_counted(s: Scene) -> None:
    good, bad = s.defer(), s.defer()
    s.end(good)
    s.end(bad, status="failed")
    s.workflow([-good])
    s.workflow([-bad])


@scene
def a_job_runs_again_for_those_that_still_wait(s: Scene) -> None:
    first, second, _ = s.workflow([], [], [0, 1])
    s.take(2)
    s.end(first)
    s.again(first)
    s.end(second)
    s.place()
    s.take()


@scene
def a_job_runs_again_with_those_that_were_cancelled_because_of_it(s: Scene) -> None:
    first, second, last = s.workflow([], [], [0, 1])
    s.end(first, status="failed")
    s.end(second, status="failed")
    s.place()
    assert s.job(last).status == "cancelled"
    s.again(first)
    assert s.job(last).status == "cancelled"
    s.again(second)


@scene
def a_job_runs_again_without_one_that_was_cancelled_by_hand(s: Scene) -> None:
    first, second = s.workflow([], [0])
    s.cancel(second)
    s.end(first)
    s.again(first)


@scene
def a_job_that_runs_again_waits_for_its_parents(s: Scene) -> None:
    _, second, _ = s.workflow([], [0], [0])
    s.cancel(second)
    s.again(second)
    s.take()


@scene
def a_workflow_goes_on_with_one_of_its_jobs(s: Scene) -> None:
    first, second = s.workflow([], [])
    s.take(1)
    assert s.job(first).status == RUNNING
    s.machine.cancel_flow(s.flow)
    s.machine.extend(None, s.flow, [s.new()], [None], is_chained=False, waits=False)
    s.again(second, settles=False)


@scene
def a_cancelled_job_counts_for_its_workflow(s: Scene) -> None:
    first, _ = s.workflow([], [])
    s.cancel(first)
    s.place()
    s.again(first)
    s.place()


@scene
def a_job_that_is_not_needed_does_not_count(s: Scene) -> None:
    waits: list[list[int]] = [[], [0], [1], [1, 0], [1], [3], [1, 0]]
    good, *others = s.workflow(*waits, rules={1: ANY_FAILED, 4: ANY_FAILED, 5: ANY_FAILED, 6: ALL_DONE})
    s.end(good)
    s.place()
    assert [s.job(id_).status for id_ in others[:-1]] == ["cancelled"] * 5
    s.end(others[-1])
    s.place()


@scene
def one_that_was_not_needed_ends_before_or_after_a_failure(s: Scene) -> None:
    for is_first in (True, False):
        good, bad, _, child, repairs = s.workflow([], [], [0], [2, 1], [3], rules={2: ANY_FAILED, 4: ANY_FAILED})
        s.take()
        for id_ in (good, bad) if is_first else (bad, good):
            s.end(id_, status=SUCCEEDED if id_ == good else "failed")
            s.place()
        assert s.job(child).status == "cancelled"
        s.end(repairs)
        s.place()
        s.again(bad)
        s.end(bad)
        s.place()


@scene
def a_job_runs_again_beside_one_that_was_not_needed(s: Scene) -> None:
    good, bad, helps, child, _ = s.workflow([], [], [0], [2, 1], [2, 1], rules={2: ANY_FAILED, 4: ANY_FAILED})
    s.take()
    s.end(good)
    s.place()
    s.again(helps)
    s.end(helps, status="failed")
    s.end(bad)
    s.place()
    s.again(helps)
    s.end(helps)
    s.again(child)
    s.place()


@scene
def an_open_workflow_is_closed(s: Scene) -> None:
    (only,) = s.workflow([], is_open=True)
    s.end(only)
    s.place()
    s.machine.close_workflow(Chosen(s.flow))
    s.place()


@scene
def an_open_workflow_is_cancelled(s: Scene) -> None:
    s.workflow([], [0], is_open=True)
    s.machine.cancel_flow(s.flow)
    s.place()


@scene
def a_cancelled_workflow_gets_more_and_runs_again(s: Scene) -> None:
    for again in (False, True):
        s.workflow([], [])
        s.take(1)
        s.machine.cancel_flow(s.flow)
        s.machine.extend(None, s.flow, [s.new(), s.new()], [None, None], is_chained=True, waits=False)
        if again:
            s.machine.retry_flow(s.flow)
        s.take()
        s.place()


# Runs


@scene
def a_run_waits_for_one_that_fails(s: Scene) -> None:
    first, second = s.defer(), s.defer()
    s.take()
    s.wait_for(first, second)
    s.place()
    s.end(second, status="failed")
    s.place()


@scene
def a_run_begins_to_wait_for_one_that_has_just_ended(s: Scene) -> None:
    first, second = s.defer(), s.defer()
    s.take()
    s.wait_for(first, second, ends=False)
    s.end(second)
    s.tell(first, Suspended, None, None, True)


@scene
def a_run_does_not_wait_again_for_those_of_an_earlier_one(s: Scene) -> None:
    first, second, third = s.defer(), s.defer(), s.defer()
    s.take()
    s.wait_for(first, second)
    s.place()
    s.end(second)
    s.take()
    s.wait_for(first, third)
    s.place()
    s.again(second)
    s.end(third)
    s.machine.settle()


@scene
def runs_do_not_wait_in_a_circle(s: Scene) -> None:
    first, second = s.defer(), s.defer()
    s.take()
    s.wait_for(first, second)
    s.wait_for(second, first)


@scene
def a_run_waits_for_the_new_end_of_one_that_runs_again(s: Scene) -> None:
    first, second, third = s.defer(), s.defer(), s.defer()
    s.take()
    s.wait_for(first, second, third)
    s.place()
    s.end(second)
    s.again(second)
    s.end(third)
    s.place()
    s.take()


@scene
def an_event_was_sent_before(s: Scene) -> None:
    s.machine.send("e", "1")
    first = s.defer()
    s.take()
    s.wait_for_event(first)


@scene
def an_event_wakes_a_job(s: Scene) -> None:
    first = s.defer()
    s.take()
    s.wait_for_event(first)
    s.machine.send("e", "1")
    s.machine.settle()


@scene
def steps_are_remembered(s: Scene) -> None:
    first = s.defer()
    s.take()
    for outcome in (HandedBack, Retried, Retried):
        s.step(first)
        s.tell(first, outcome)
        s.take()
    s.end(first, status="failed")
    s.again(first)
    s.take()


@scene
def a_run_that_was_lost_stores_no_step(s: Scene) -> None:
    first = s.defer()
    s.take()
    s.step(first, "e")
    claim = s.job(first).claim
    s.tell(first, HandedBack)
    s.take()
    s.step(first, "f", claim=claim)
    s.tell(first, HandedBack)
    s.take()
