"""What is checked of this part, by the names of the faults, and what is counted of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torture.flow import durable, limits, uniqueness, workflows
from torture.story import Story
from torture.tables import JobRow, Tables

Check = Callable[[Story, dict[int, JobRow], Tables], Iterator[str]]
CHECKS: dict[str, Check] = {
    "more than a limit": limits.above_a_limit,
    "more than a rate": limits.above_a_rate,
    "places not given back": limits.places_kept,
    "unique twice": uniqueness.twice,
    "unknown instead of a unique job": uniqueness.unknown,
    "replacement lost": uniqueness.replacement_lost,
    "workflow in parts": workflows.in_parts,
    "child before its parents": workflows.early,
    "wrong end in a workflow": workflows.wrong_end,
    "workflow without an end": workflows.unended,
    "step run again": durable.step_again,
    "slept too short": durable.short_sleep,
    "event lost": durable.event_lost,
    "wrong event": durable.wrong_event,
    "effect without its end": durable.effect_alone,
    "end without its effect": durable.end_alone,
}


def counts(story: Story, jobs: dict[int, JobRow], tables: Tables) -> dict[str, int]:
    """Count what was tried: runs under limits and rates, unique jobs, and what was answered instead of them, and so on."""
    runs = [run for each in story.runs.values() for run in each]
    refused = [entry for entry in story.others["refused"] if entry.get("same")]
    return {
        "limited": sum(bool(run.facts.get("places")) for run in runs),
        "rated": sum("rated" in run.facts for run in runs),
        "unique": sum(job.task == "unique" for job in jobs.values()),
        "not stored": len(story.others["exists"]) + len(story.others["replaced"]) + len(refused),
        "workflows": len(tables.workflows),
        "steps": len(story.others["step"]),
        "events": len(story.others["sent"]),
        "effects": len(tables.effects),
    }
