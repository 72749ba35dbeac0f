"""The watchdog looks at calls that go on in threads of their own."""

from __future__ import annotations

from adjourn._drivers.watchdog import CANCELLATION, Wait, Watchdog


class MovesOn:
    """A task whose call goes on to another connection just when the watchdog asks whether it was cancelled."""

    wait: Wait | None = None

    def cancelling(self) -> int:
        if self.wait is not None:
            self.wait.on(None)
        return 0


class Cancelled:
    """A task that was cancelled so many times."""

    times = 1

    def cancelling(self) -> int:
        return self.times


def test_a_cancelled_call_gives_its_server_less_time_and_one_of_a_task_that_went_on_after_a_cancellation_does_not() -> (
    None
):
    task = Cancelled()
    wait = Wait(Watchdog(), 60, task)
    assert not wait.is_over(100.0)
    assert not wait.is_over(159.0)
    task.times = 2
    assert not wait.is_over(120.0)
    assert wait.is_over(120.0 + CANCELLATION)


def test_a_call_may_go_on_to_another_connection_while_the_watchdog_looks_at_it() -> None:
    task = MovesOn()
    task.wait = wait = Wait(Watchdog(), 5, task)
    wait.deadline = 100.0
    assert not wait.is_over(99.0)
    wait.deadline = 100.0
    assert wait.is_over(101.0)
    # What it waits on now has time of its own.
    task.wait = Wait(Watchdog(), 5, None)
    assert not wait.is_over(101.0)
    assert wait.deadline == 106.0
