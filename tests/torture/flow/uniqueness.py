"""What is checked of unique jobs."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator

from torture.ledger import Entry
from torture.spans import beyond, spans
from torture.story import FAR, Deferred, Story, told
from torture.tables import JobRow, Tables


def twice(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A unique job was stored while another one with its key surely waited or ran, or two of one key ran at the same time."""
    by_key: dict[str, list[Deferred]] = defaultdict(list)
    for deferred in story.deferred.values():
        if deferred.same is not None:
            by_key[deferred.same].append(deferred)
    for key, group in by_key.items():
        for first, second in itertools.permutations(group, 2):
            if _stored(story, first) < second.asked and _stored(story, second) < _ended(story, jobs, first):
                yield f"unique key {key}: job {second.job} was stored while job {first.job} was there"
    for key, ordered in spans(
        story.runs.values(), lambda run: [run.facts["same"]] if "same" in run.facts else []
    ).items():
        for runs in beyond(ordered, 1):
            yield f"unique key {key}: {told(runs)}"


def _stored(story: Story, deferred: Deferred) -> float:
    """Return when a job was stored, at the latest."""
    return min([deferred.acknowledged, *(run.begun for run in story.runs.get(deferred.job, ()))])


def _ended(story: Story, jobs: dict[int, JobRow], deferred: Deferred) -> float:
    """Return when a job ended, at the earliest."""
    row = jobs.get(deferred.job)
    if row is None:
        return 0.0
    if row.status in ("todo", "doing"):
        return FAR
    return max(
        (run.over for run in story.runs.get(row.id, ()) if run.claim == row.claim and run.ended < FAR), default=0.0
    )


def unknown(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A deferrer was told that there is a job with the unique key already, and that job is in no table."""
    for entry in _others(story, "exists", "replaced", "refused"):
        for id_ in entry.get("jobs") or [entry.get("job")]:
            if id_ not in jobs:
                yield f"unique key {entry['same']}: {entry.event}, and job {id_} is not there"


def replacement_lost(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A deferrer was told that a waiting job has its arguments now, and the job ran without them, or those of a later call."""
    calls: dict[str, list[Entry]] = defaultdict(list)
    for entry in _others(story, "replaced", "unknown"):
        calls[entry["same"]].append(entry)
    for entry in _others(story, "replaced"):
        runs = story.runs.get(entry["job"])
        if not runs:
            continue
        # Of a call without an answer it is not known when it did what it did.
        later = {
            call["key"] for call in calls[entry["same"]] if call.event == "unknown" or call.monotonic > entry["asked"]
        }
        if runs[-1].facts["key"] not in later:
            yield f"job {entry['job']} ran with {runs[-1].facts['key']}, and was told to with {entry['key']}: {told(runs)}"


def _others(story: Story, *events: str) -> list[Entry]:
    return [entry for event in events for entry in story.others[event] if entry.get("same") is not None]
