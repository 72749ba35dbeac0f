"""Who waits for jobs to end, and who tells."""

from __future__ import annotations

from adjourn._runtime.ends import Ends


def test_an_end_that_is_told_has_still_to_be_looked_at() -> None:
    """It may be told between the caller's look and its wait."""
    ends = Ends()
    wait = ends.expect([1, 2])
    ends.has_seen(wait, [2])
    ends.tell([1])
    assert wait.turn.done()
    assert wait.seen == {2}
    ends.forget(wait)
