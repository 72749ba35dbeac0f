"""Messages count one thing as one, and several as several."""

from __future__ import annotations

import logging
import re
from types import SimpleNamespace
from typing import Any

import pytest

from adjourn._domain.wording import counted, verb
from adjourn.events import jobs, workers
from adjourn.events.log import WRITERS
from adjourn.events.subscriptions import Event
from adjourn.exceptions import ConnectorException, OutcomesNotStored, WorkerStuck

WORKER: Any = SimpleNamespace(id=1, name="w", queues=None, started_at=None, identity={})
ONE_OF_MANY = re.compile(r"\b1 (?:\w+ )?(?:jobs|outcomes|slots|weeks|workers)\b")


def rescue(**fields: Any) -> jobs.JobsRescued:
    """The event of a rescue, of which only these fields matter."""
    fields = {"rescued": 0, "failed": 0, "max_losses": 5, "dead_workers": 1, "worker_names": ("w2",), **fields}
    return jobs.JobsRescued(**{"rescued_ids": (), "failed_ids": (), **fields})


def events(number: int) -> list[Event]:
    """Events that tell of so many things."""
    error = ConnectorException("gone")
    return [
        rescue(rescued=number, failed=number, max_losses=number, dead_workers=number),
        workers.WorkerStarted(worker=WORKER, concurrency=number),
        workers.WorkerDeclaredDead(worker=WORKER, silence=30, given_up=number),
        workers.SlotsLost(worker=WORKER, slots=number, duration=60, ends_after=None),
        workers.EventLoopBlocked(worker=WORKER, job=None, patience=1, handed_back=number, stack=""),
        workers.ConnectionLost(worker=WORKER, error=error, failures=7, is_news=True, retry_in=1, waiting=number),
        workers.UnregisteringFailed(worker=WORKER, error=error, waiting=number, unstored=0),
    ]


def told(event: Event, caplog: pytest.LogCaptureFixture) -> str:
    """What the log says of an event."""
    caplog.clear()
    _, _, write = WRITERS[type(event)]
    with caplog.at_level(logging.DEBUG):
        write(event)
    return caplog.messages[-1]


@pytest.mark.parametrize("place", range(len(events(1))))
def test_a_record_counts_one_and_several(place: int, caplog: pytest.LogCaptureFixture) -> None:
    one, several = (told(events(number)[place], caplog) for number in (1, 12))
    assert not ONE_OF_MANY.search(one), one
    assert re.search(r"\b12 (?:\w+ )?\w+s\b", several), several
    assert one != several.replace("12", "1")


def test_nothing_is_said_of_jobs_that_did_not_fail(caplog: pytest.LogCaptureFixture) -> None:
    message = told(rescue(rescued=1, rescued_ids=(7,)), caplog)
    assert message == "Rescued 1 job of 1 worker without heartbeats ('w2'): 7"


def test_a_rescue_names_the_jobs_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    message = told(rescue(failed=1, failed_ids=(9,)), caplog)
    assert message == (
        "Rescued 0 jobs of 1 worker without heartbeats ('w2'); 1 job failed, having lost 5 workers each: 9"
    )


def test_a_large_rescue_says_how_many_it_does_not_name(caplog: pytest.LogCaptureFixture) -> None:
    message = told(rescue(rescued=1200, rescued_ids=(1, 2), dead_workers=3, worker_names=("a", "b")), caplog)
    assert message == "Rescued 1,200 jobs of 3 workers without heartbeats ('a', 'b' and 1 more): 1, 2 and 1,198 more"


def test_errors_count_too() -> None:
    assert "the outcome of 1 job that has ended is not" in str(OutcomesNotStored(1, None))
    assert "its only slot was held" in str(WorkerStuck(1, 60))
    assert "all its 2 slots were held" in str(WorkerStuck(2, 60))


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 jobs are"), (1, "1 job is"), (2, "2 jobs are"), (1200, "1,200 jobs are")]
)
def test_a_number_a_noun_and_a_verb(number: int, text: str) -> None:
    assert f"{counted(number, 'job')} {verb(number, 'is', 'are')}" == text
