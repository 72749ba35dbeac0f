"""Calls of batch tasks: one body, and a run and an end for each of its jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from adjourn._domain.claimed import ClaimedJob
from adjourn._domain.protocols import TaskLike
from adjourn.batches import BatchItem
from adjourn.worker.runners import Run
from adjourn.worker.verdicts import Verdict, Verdicts


@attrs.define(eq=False)
class BatchCall:
    """A call of a batch task.

    Attributes
    ----------
    runs
        The run of each of its jobs, first that which has the body.
    items
        What the task gets, in the same order.
    """

    runs: list[Run]
    items: list[BatchItem]


class Calls:
    """The calls of one worker.

    Parameters
    ----------
    verdicts
        Judges each run.
    end
        Ends a run.
    """

    def __init__(self, verdicts: Verdicts, end: Callable[[Run, Verdict], None]) -> None:
        self._verdicts = verdicts
        self._end = end
        self.companions: set[Run] = set()
        """The runs that have no body of their own, and take no slot."""

    def open(self, run: Run, task: TaskLike, companions: Sequence[Run]) -> None:
        """Make a call of these runs: the first has its body."""
        call = BatchCall([run, *companions], [BatchItem(each.job) for each in (run, *companions)])
        for each in call.runs:
            each.declared, each.call = task, call
        self.companions.update(companions)

    def leave(self, run: Run) -> None:
        """Take note that a run is not followed any more, or has ended."""
        self.companions.discard(run)

    def asks_to_abort(self, run: Run) -> None:
        """Tell the task that somebody has asked to abort one of the jobs."""
        if run.call is not None:
            run.call.items[run.call.runs.index(run)].abort_requested = True

    def not_begun(self, run: Run) -> list[ClaimedJob]:
        """Return the jobs of a call whose body has not begun."""
        return [run.claimed] if run.call is None else [each.claimed for each in run.call.runs]

    def finish(self, run: Run, error: BaseException | None) -> None:
        """Decide the outcome of each job of a call that has ended."""
        call = run.call
        assert call is not None
        # The one that has the body is the last, so that its slot is taken until all have ended.
        for each, item in reversed(list(zip(call.runs, call.items, strict=True))):
            each.task, each.timeout = run.task, run.timeout
            each.abort_reason = run.abort_reason
            self._end(each, self._verdict(each, item, error, was_refused=run.was_refused))

    def _verdict(self, run: Run, item: BatchItem, error: BaseException | None, *, was_refused: bool) -> Verdict:
        if was_refused:
            return self._verdicts.handed_back(run)
        own: Any = item.error if item.has_ended else error
        if own is None:
            return self._verdicts.returned(run, item.result)
        if not item.has_ended:
            return self._verdicts.raised(run, own)
        # Whatever became of the call, the task has said this of the job.
        reason, run.abort_reason = run.abort_reason, None
        try:
            return self._verdicts.raised(run, own)
        finally:
            run.abort_reason = reason
