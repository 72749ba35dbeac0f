"""The watchdog looks at calls that go on in threads of their own."""

from __future__ import annotations

from adjourn._drivers.watchdog import Wait, Watchdog


class MovesOn:
    """A task whose call goes on to another connection just when the watchdog asks whether it was cancelled."""

    wait: Wait

    def cancelling(self) -> int:
        self.wait.on(None)
        return 0


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
