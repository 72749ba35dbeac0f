"""What is checked of steps, sleeps, events, and effects that end their jobs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from torture.ledger import Entry
from torture.story import Story
from torture.tables import JobRow, Tables


def step_again(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A run called a step although the step's result had been stored, or two runs got different results. A run that has lost the job may call a step: it does not know."""
    got: dict[tuple[int, str], list[Entry]] = defaultdict(list)
    for entry in story.others["got"]:
        got[entry["job"], entry["name"]].append(entry)
    for call in story.others["step"]:
        for entry in got[call["job"], call["name"]]:
            if entry.monotonic < call.monotonic and entry["claim"] <= call["claim"]:
                told = f"claim {call['claim']} called it after claim {entry['claim']} had its result"
                yield f"job {call['job']}, step {call['name']}: {told}"
    for (job, name), entries in got.items():
        values = {entry["value"] for entry in entries}
        if len(values) > 1 and name != "event":
            yield f"job {job}, step {name}: it has {sorted(values)}"


def short_sleep(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A job went on before its sleep was over."""
    slept: dict[int, float] = {}
    for entry in story.others["slept"]:
        slept.setdefault(entry["job"], entry.monotonic)
    began: set[int] = set()
    for entry in story.others["sleeping"]:
        id_, seconds = entry["job"], slept.get(entry["job"], float("inf")) - entry.monotonic
        if id_ not in began and seconds < entry["seconds"]:
            yield f"job {id_} slept for {seconds:.3f} s of {entry['seconds']}"
        began.add(id_)


def event_lost(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """An event was sent, and the sender was told so, and the job that waits for it has not gone on."""
    sent = {entry["name"] for entry in story.others["sent"]}
    for job in jobs.values():
        if job.task.startswith("story") and job.key in sent and job.status in ("todo", "doing"):
            yield f"job {job.id} ({job.key}) is {job.status}, and its event was sent"


def wrong_event(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A job got an event that nobody has sent, that was rolled back, or that was not the first of its name; or two runs got different ones."""
    first: dict[str, str] = {}
    possible: dict[str, set[str]] = defaultdict(set)
    for entry in (*story.others["sent"], *story.others["sent perhaps"]):
        possible[entry["name"]].add(entry["payload"])
        if entry.get("is_first"):
            first[entry["name"]] = entry["payload"]
    before: dict[int, str] = {}
    for entry in story.others["got"]:
        if entry["name"] != "event":
            continue
        job, value = jobs.get(entry["job"]), entry["value"]
        name = job.key or "" if job else ""
        if value not in possible[name] or value != first.get(name, value) or value != before.get(entry["job"], value):
            yield f"job {entry['job']} got {value}; sent were {sorted(possible[name])}, first {first.get(name)}"
        before[entry["job"]] = value


def effect_alone(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """An effect is stored, and the job has not succeeded by the same run."""
    for id_, claim in tables.effects:
        job = jobs.get(id_)
        if job is None or (job.status, job.claim) != ("succeeded", claim):
            yield f"the effect of job {id_}, claim {claim}, is stored, and the job is {job.status if job else 'gone'}"


def end_alone(story: Story, jobs: dict[int, JobRow], tables: Tables) -> Iterator[str]:
    """A job has succeeded that ends with its effect, and the effect is not stored, or is stored twice."""
    effects = Counter(id_ for id_, _ in tables.effects)
    for job in jobs.values():
        if job.task.startswith("effect") and job.status == "succeeded" and effects[job.id] != 1:
            yield f"job {job.id} has succeeded, and has {effects[job.id]} effects"
