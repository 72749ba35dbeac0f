"""What is checked of limits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from torture.flow.shared import MOST, PERIOD, RATE
from torture.spans import beyond, most_at_once, spans
from torture.story import Run, Story, told
from torture.tables import JobRow, Tables


def above_a_limit(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """More jobs of a tenant, a task or a queue ran at once than its limit says. A run that was rescued counts as within a lock."""
    for limit, ordered in spans(story.runs.values(), lambda run: run.facts.get("places", ())).items():
        for runs in beyond(ordered, MOST[limit]):
            yield f"limit {limit}: {len(runs)} at once: {told(runs)}"


def above_a_rate(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """More jobs of a tenant started in a period, wherever it begins, than the rate says. They started after the database gave the first of them to a worker, and before the last of their bodies began."""
    by_tenant: dict[str, list[Run]] = defaultdict(list)
    for runs in story.runs.values():
        for run in runs:
            if "rated" in run.facts:
                by_tenant[run.facts["rated"]].append(run)
    for tenant, rated in by_tenant.items():
        rated.sort(key=lambda run: run.claimed)
        for first, run in enumerate(rated):
            started = [each for each in rated[first:] if each.begun + story.to_wall < run.claimed + PERIOD]
            if len(started) > RATE:
                yield f"tenant {tenant}: {len(started)} in {PERIOD} s: {told(started)}"


def places_kept(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """When everything had ended, as many jobs as a limit lets run were deferred to wait for each other, and did not run at once."""
    probes: dict[str, list[int]] = defaultdict(list)
    for deferred in story.deferred.values():
        if deferred.key.startswith("probe "):
            probes[deferred.key.removeprefix("probe ").rpartition(" ")[0]].append(deferred.job)
    for limit, ids in probes.items():
        ordered = spans([story.runs[id_] for id_ in ids if id_ in story.runs], lambda _: [""])[""]
        if most_at_once(ordered) < MOST[limit]:
            yield f"limit {limit}: {most_at_once(ordered)} of {MOST[limit]} at once: {told([run for *_, run in ordered])}"
