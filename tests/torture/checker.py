"""Compares the ledger of a run with the tables, and names what is not as adjourn promises.

It is independent of what it checks: a body says itself when it began and ended, and a deferrer which ids it was given. It reads
no log of the library, and knows of its tables only what `tables` copies.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from torture.flow import checks as flow
from torture.ledger import Entry
from torture.spans import beyond, spans
from torture.story import FAR, Deferred, Story, may_have_succeeded, tell, told
from torture.tables import JobRow, Tables

TICKS = {"tick": 1}
"""Periodic tasks without a queueing lock, and the seconds between their ticks: none of these may be missing."""
PERIODIC = {*TICKS, "locked_tick"}
FAILS = {"fails"}
"""Tasks that always fail."""
JUDGED = {"node_async", "node_sync"}
"""Tasks of workflows, of which some are to fail or to be cancelled: `torture.flow.workflows` judges their ends."""
TICK_GRACE = 4.0
"""Seconds around a fault, and at both ends of a run, in which a tick may be missing."""


@dataclass
class Verdict:
    """What the checker found.

    Attributes
    ----------
    faults
        For each kind of fault, a line for each case. All kinds are there.
    counts
        How often what happened.
    """

    faults: dict[str, list[str]]
    counts: Counter[str]

    @property
    def total(self) -> int:
        """The number of faults."""
        return sum(map(len, self.faults.values()))


def check(entries: Iterable[Entry], tables: Tables) -> Verdict:
    """Compare a ledger with the tables."""
    story = tell(entries)
    jobs = {row.id: row for row in tables.jobs}
    faults = {name: list(find(story, jobs, tables)) for name, find in CHECKS.items()}
    story.counts["runs"] = sum(map(len, story.runs.values()))
    story.counts["jobs"] = len(jobs)
    story.counts["rescues"] = sum(row.losses for row in tables.jobs)
    story.counts.update(flow.counts(story, jobs, tables))
    return Verdict(faults, story.counts)


# Jobs


def lost(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A job whose id ``defer`` returned is in no table."""
    for id_, deferred in story.deferred.items():
        if id_ not in jobs:
            yield f"job {id_} ({deferred.key}) was acknowledged, and is neither waiting nor finished"


def left(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A job was due, there was time, and no worker ran it. The ticks of the last seconds have no time, so they do not count."""
    last = story.served[1] if story.served else FAR
    for job in jobs.values():
        is_last = job.tick is not None and job.tick > last - TICK_GRACE
        if job.status == "todo" and not job.is_scheduled and not is_last:
            yield f"job {job.id} ({job.task}, lock {job.lock}) still waits"


def doing(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A job is still ``doing``, and its worker no longer exists."""
    for job in jobs.values():
        if job.status == "doing" and job.worker not in tables.workers:
            yield f"job {job.id} ({job.task}) is doing, and its worker {job.worker} is gone"


def stuck(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A job is still ``doing`` at the end, its worker lives, and the worker does not run it."""
    for job in jobs.values():
        if job.status == "doing" and job.worker in tables.workers:
            yield f"job {job.id} ({job.task}) is doing, and its worker {job.worker} has not ended it"


def failed(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A job failed, or was aborted or cancelled, although its body ends in success."""
    for job in jobs.values():
        is_meant = job.task in JUDGED or (job.status == "failed" and job.task in FAILS)
        if job.status in ("failed", "aborted", "cancelled") and not is_meant:
            yield f"job {job.id} ({job.task}) has {job.status}, losses {job.losses}"


def never_ran(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A job has succeeded, although no body of it ended in success."""
    for job in jobs.values():
        if job.status == "succeeded" and not any(map(may_have_succeeded, story.runs.get(job.id, ()))):
            yield f"job {job.id} ({job.task}) has succeeded, and no run of it has"


def doubled(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A job ran twice by one claim, or ran again although no retry, rescue or stop explains it."""
    for id_, runs in story.runs.items():
        if len({run.claim for run in runs}) < len(runs):
            yield f"job {id_} was run twice by one claim: {told(runs)}"
        rerun = [run for run in runs[:-1] if run.how not in ("raised", "cancelled")]
        # A job that was claimed ahead, and has begun since, counts no loss when its worker dies.
        lost = sum(
            run.pid in story.killed.keys() | story.paused or run.begun < story.declared_dead.get(run.pid, 0.0)
            for run in rerun
        )
        if rerun and (id_ not in jobs or len(rerun) > max(jobs[id_].losses, lost)):
            yield f"job {id_} was run {len(runs)} times, losses {jobs[id_].losses if id_ in jobs else '?'}: {told(runs)}"


def rescued_in_vain(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A job was taken from a worker that nobody had killed or stopped, while servers and network were undisturbed."""
    if story.counts["disturbed"] or story.counts["fault"]:
        return
    for id_, runs in story.runs.items():
        for run in runs[:-1]:
            if run.how not in ("raised", "cancelled") and run.pid not in story.killed.keys() | story.paused:
                yield f"job {id_} was taken from process {run.pid}, which was well: {told(runs)}"


def stale_end(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """The outcome that is stored is that of a run that had lost the job to a later one."""
    for job in jobs.values():
        runs = story.runs.get(job.id, [])
        if job.status in ("todo", "doing") or not runs:
            continue
        if runs[-1].claim > job.claim:
            yield f"job {job.id} was finished by claim {job.claim}, and run by later ones: {told(runs)}"
        elif job.status == "succeeded" and not any(run.claim == job.claim and may_have_succeeded(run) for run in runs):
            yield f"job {job.id} has succeeded by claim {job.claim}, whose body did not: {told(runs)}"


def stale_begin(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A body began although a later claim of the same job had begun before it."""
    for id_, runs in story.runs.items():
        for earlier, later in itertools.pairwise(runs):
            if earlier.begun > later.begun:
                yield f"job {id_} was begun by claim {earlier.claim} after claim {later.claim} had begun: {told(runs)}"


def vanished(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A body began and never ended, in a process that nobody killed."""
    for id_, runs in story.runs.items():
        for run in runs:
            if run.ended == FAR:
                yield f"job {id_} began in process {run.pid}, and did not end: {told(runs)}"


# Locks


def overlap(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """Two jobs of one lock ran at the same time.

    A run that was rescued counts until the same job runs again, or one that had ended before it in the same process and was
    rescued with it: what a worker that was taken for dead still does cannot be stopped.
    """
    for lock, ordered in spans(story.runs.values(), lambda run: [] if run.lock is None else [run.lock]).items():
        for runs in beyond(ordered, 1):
            yield f"lock {lock}: {told(runs)}"


def inversion(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A job began before an earlier one of the same lock and priority. Earlier means: its ``defer`` had returned before the other was called."""
    groups: dict[tuple[str, int], list[tuple[float, Deferred]]] = defaultdict(list)
    for deferred in story.deferred.values():
        runs = story.runs.get(deferred.job)
        if deferred.lock is not None and not deferred.is_scheduled and runs:
            groups[deferred.lock, deferred.priority].append((min(run.begun for run in runs), deferred))
    for (lock, _), group in groups.items():
        group.sort(key=lambda each: each[0], reverse=True)
        earliest: Deferred | None = None
        for _, deferred in group:
            if earliest is not None and earliest.acknowledged < deferred.asked:
                yield f"lock {lock}: job {deferred.job} began before job {earliest.job}, which was stored before it"
            if earliest is None or deferred.acknowledged < earliest.acknowledged:
                earliest = deferred


def queueing_lock(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """Two jobs of one queueing lock waited at the same time."""
    by_lock: dict[str, list[Deferred]] = defaultdict(list)
    for deferred in story.deferred.values():
        if deferred.queueing_lock is not None:
            by_lock[deferred.queueing_lock].append(deferred)
    for name, group in by_lock.items():
        for first, second in itertools.permutations(group, 2):
            run = next(iter(story.runs.get(first.job, ())), None)
            # A claim above the first may follow one that never began, and the queueing lock went with that one.
            if run is None or run.claim > 1 or first.acknowledged > second.asked:
                continue
            if second.acknowledged_wall < run.claimed:
                yield f"queueing lock {name}: jobs {first.job} and {second.job} waited at the same time"


# Deferring


def stored_in_vain(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A job is stored although the transaction that deferred it was rolled back."""
    for job in jobs.values():
        if job.key in story.rolled_back:
            yield f"job {job.id} ({job.key}) is stored, and its transaction was rolled back"


def stored_twice(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """One call of ``defer`` stored two jobs."""
    ids: dict[str, list[int]] = defaultdict(list)
    for job in jobs.values():
        if job.key is not None:
            ids[job.key].append(job.id)
    for key, found in ids.items():
        if len(found) > 1:
            yield f"one defer ({key}) has stored jobs {sorted(found)}"


def strange_errors(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A call raised an exception that is not adjourn's, or that no outage explains."""
    yield from story.strange


# Schedules, and what is left


def doubled_tick(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """One tick of a periodic task was deferred twice."""
    ticks: dict[tuple[str, int], list[int]] = defaultdict(list)
    for job in jobs.values():
        if job.task in PERIODIC and job.tick is not None:
            ticks[job.task, job.tick].append(job.id)
    for (task, tick), ids in ticks.items():
        if len(ids) > 1:
            yield f"tick {tick} of {task} has jobs {sorted(ids)}"


def lost_tick(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A tick was not deferred although workers and servers were undisturbed."""
    if story.served is None:
        return
    first, last = story.served
    for task, seconds in TICKS.items():
        found = {job.tick for job in jobs.values() if job.task == task}
        for tick in range(-(-int(first + TICK_GRACE) // seconds) * seconds, int(last - TICK_GRACE), seconds):
            disturbed = any(begin - TICK_GRACE <= tick <= end + TICK_GRACE for begin, end in story.faults)
            if tick not in found and not disturbed:
                yield f"{task} has no job for tick {tick}"


def sessions_left(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """The server still had sessions of ours after all processes had ended."""
    yield from tables.sessions


CHECKS: dict[str, Callable[[Story, dict[int, JobRow], Tables], Iterator[str]]] = {
    "lost": lost,
    "left waiting": left,
    "doing without a worker": doing,
    "doing for ever": stuck,
    "failed wrongly": failed,
    "succeeded without a run": never_ran,
    "doubled without a rescue": doubled,
    "rescued in vain": rescued_in_vain,
    "finished by a stale run": stale_end,
    "begun by a stale run": stale_begin,
    "vanished": vanished,
    "overlap within a lock": overlap,
    "inversion within a lock": inversion,
    "queueing lock broken": queueing_lock,
    "stored though rolled back": stored_in_vain,
    "stored twice": stored_twice,
    "strange errors": strange_errors,
    "doubled ticks": doubled_tick,
    "lost ticks": lost_tick,
    "sessions left": sessions_left,
    **flow.CHECKS,
}
