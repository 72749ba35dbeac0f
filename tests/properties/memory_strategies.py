"""What a program and its workers may ask of the database: few names, so that they meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from adjourn._domain.terms import JobTerms
from adjourn.jobs import Job
from adjourn.unique import Unique

QUEUES = st.sampled_from(["a", "b"])
LOCKS = st.sampled_from([None, "l", "l", "m"])
QUEUEING_LOCKS = st.sampled_from([None, None, "q", "r"])
PRIORITIES = st.integers(-1, 1)
TASKS = st.sampled_from(["one", "two"])
STATUSES = st.sampled_from(["todo", "doing", "succeeded", "failed", "cancelled", "aborted"])
RESULTS = st.none() | st.none() | st.sampled_from(["null", "1", '{"b": 1, "a": [1.50, null]}'])
TTLS = st.sampled_from([None, 600, 3600])
FINISHED = st.sampled_from(["succeeded", "failed", "aborted"])
SECONDS = st.sampled_from([None, None, None, None, -3600, 600, 3600])
"""When something is scheduled, from now."""
TERMS = st.sampled_from(
    [
        None,
        None,
        None,
        JobTerms(expires_in=300.0),
        JobTerms(expires_in=4000.0, max_attempts=1),
        JobTerms(max_attempts=0),
        JobTerms(is_batch=True),
    ]
)

_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([1e22, -0.0, 1e-7, 100.0])
    | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=5,
)
ERRORS = st.none() | st.just('{"b": 1, "a": [1.50, null]}')


@st.composite
def jobs(draw: st.DrawFn) -> tuple[Job, float | None]:
    """A job that is not stored yet, and in how many seconds it is scheduled."""
    job = Job(
        queue=draw(QUEUES),
        task_name=draw(TASKS),
        priority=draw(PRIORITIES),
        lock=draw(LOCKS),
        queueing_lock=draw(QUEUEING_LOCKS),
        task_kwargs=draw(st.dictionaries(_TEXTS, JSON, max_size=2)),
        headers=draw(st.sampled_from([None, None, {"traceparent": "00-é"}])),
        terms=draw(TERMS),
    )
    return job, draw(SECONDS)


@st.composite
def unique_jobs(draw: st.DrawFn) -> tuple[Job, float | None]:
    """A job that may be unique, and in how many seconds it is scheduled."""
    job, seconds = draw(jobs())
    if draw(st.integers(0, 4)) == 0:
        return job, seconds
    over = draw(st.sets(STATUSES, min_size=1) | st.sampled_from([["todo"], ["todo", "doing"]]))
    policies = ["raise", "skip", "replace"] if "todo" in over else ["raise", "skip"]
    rule = Unique(
        key=draw(st.sampled_from(["k", "m"])),
        period=draw(st.sampled_from([None, 1500])),
        over=over,
        on_conflict=draw(st.sampled_from(policies)),
    )
    return job.evolve(queueing_lock=None, unique=rule), seconds


def filters() -> st.SearchStrategy[dict[str, Any]]:
    """The filters that all lists have."""
    return st.fixed_dictionaries(
        {}, optional={"queue": QUEUES, "task": TASKS, "status": STATUSES, "lock": st.sampled_from(["l", "m"])}
    )


def decisions() -> st.SearchStrategy[dict[str, Any]]:
    """How a job is to be run again, but for the time."""
    return st.fixed_dictionaries(
        {}, optional={"priority": PRIORITIES, "queue": QUEUES, "lock": st.sampled_from(["l", "m"])}
    )
