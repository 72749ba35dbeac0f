"""What is checked of workflows. Each of their jobs says in its arguments whom it waits for, and under which rule."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from torture.story import FAR, Run, Story, told
from torture.tables import JobRow, Tables


def _nodes(jobs: dict[int, JobRow]) -> dict[str, JobRow]:
    return {job.args["key"]: job for job in jobs.values() if "flow" in job.args}


def in_parts(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """Some jobs of a workflow are stored, and others are not."""
    counts = Counter((job.args["flow"], job.args["of"]) for job in _nodes(jobs).values())
    for (flow, of), count in counts.items():
        if count != of:
            yield f"workflow {flow} has {count} of its {of} jobs"


def early(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A job of a workflow began before those that it waits for had ended."""
    nodes = _nodes(jobs)
    for job in nodes.values():
        runs = story.runs.get(job.id)
        for parent in (nodes[key] for key in job.args["after"] if runs and key in nodes):
            assert runs
            if runs[0].begun < _ended(story, parent):
                yield f"job {job.id} ({job.key}) began before job {parent.id} had ended: {told(runs)}"


def _ended(story: Story, job: JobRow) -> float:
    """Return when a job ended, at the earliest."""
    if job.status in ("todo", "doing"):
        return FAR
    own: list[Run] = [run for run in story.runs.get(job.id, ()) if run.claim == job.claim and run.ended < FAR]
    return max((run.ended for run in own), default=0.0)


def wrong_end(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A job of a workflow was cancelled, or not run, although its rule and the ends of those before it say that it runs, or the other way round. A callback that is never run is among these; one that is run twice is doubled without a rescue."""
    nodes = _nodes(jobs)
    for job in nodes.values():
        parents = [nodes[key].status for key in job.args["after"] if key in nodes]
        wanted = "cancelled"
        if _is_due(job.args["run_if"], parents):
            wanted = "failed" if job.args["fails"] else "succeeded"
        has_run = bool(story.runs.get(job.id))
        if job.status != wanted or (wanted == "cancelled" and has_run):
            ran = "it ran" if has_run else "it did not run"
            yield f"job {job.id} ({job.key}, {job.args['run_if']} of {parents}) is {job.status}, not {wanted}; {ran}"


def _is_due(rule: str, parents: list[str]) -> bool:
    if not parents or rule == "all_done":
        return True
    has_failed = any(status != "succeeded" for status in parents)
    return has_failed if rule == "any_failed" else not has_failed


def unended(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A workflow is not marked as ended although its jobs are, or counts others than have ended and failed."""
    failed: dict[int | None, int] = defaultdict(int)
    stored: dict[int | None, int] = defaultdict(int)
    for job in _nodes(jobs).values():
        stored[job.workflow] += 1
        failed[job.workflow] += job.status == "failed"
    for flow in tables.workflows:
        if not flow.is_ended or flow.remaining or (flow.jobs, flow.failed) != (stored[flow.id], failed[flow.id]):
            yield f"{flow}, and {stored[flow.id]} jobs are stored, of which {failed[flow.id]} have failed"
