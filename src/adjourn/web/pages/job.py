"""A job: what it is, what became of its attempts, and what keeps it."""

from __future__ import annotations

import datetime
import json
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from starlette.responses import Response

from adjourn._domain.jobs import Job
from adjourn._domain.progress import progress_of
from adjourn.exceptions import JobChanged, TaskNotFound, WorkerLost
from adjourn.jobs import Seen
from adjourn.manager import JobManager
from adjourn.monitor.reader import Reader
from adjourn.monitor.reasons import told_limit, why_waits
from adjourn.tasks import Task
from adjourn.types import Row
from adjourn.web import zones
from adjourn.web.failures import told_error
from adjourn.web.page import Action, Answer, Done, Page, View
from adjourn.web.pages.noting import told_note
from adjourn.web.pages.pausing import pauses_of, told_waits
from adjourn.web.problems import BadInput, Conflict, NotFound, Unavailable
from adjourn.web.traces import parts_of

MOST_SHOWN = 65_536
"""Characters of the arguments that are shown at most."""
FILES = ("args", "result")
LONGEST_ERROR = 20_000
LEAST_WIDTH = 1.5
"""An attempt is seen, however short it was: so many percent of the line are its bar at least."""
LONGEST_NOTICE = 4000
MOST_BACK = 2048
KEPT = 1.9
"""Seconds for which a look at a job is shown to others who look at it."""
NO_TIME = (
    "A job that waits for other jobs or for an event has no time that it could be given: see to what it waits for."
)
UNKNOWN = f"{TaskNotFound.__module__}.{TaskNotFound.__qualname__}: "
"""How the error of a job begins whose task no worker knew."""
LOST = f"{WorkerLost.__module__}.{WorkerLost.__qualname__}"
REMEDIES = {
    "job.retry": "Only a job that has ended is run again: let this one end, or cancel it first.",
    "job.run_now": f"Only a job that waits for its time is run now. {NO_TIME}",
    "job.reschedule": f"Only a job that waits is put off. {NO_TIME}",
    "job.priority": "Only a job that waits gets another priority. One that has ended can be run again.",
    "job.move": "Only a job that waits gets another queue. One that has ended can be run again.",
    "job.cancel": "Only a job that waits is cancelled. One that runs can be asked to end.",
    "job.abort": "Only a job that runs is asked to end. One that waits can be cancelled.",
    "job.delete": "A job that runs is not deleted: ask it to end, and delete it then.",
}
"""What to do instead of an action that does not suit a job."""
BUILTIN = "builtin:"
STARTS = frozenset({"job.retry", "job.run_now", "job.reschedule", "job.move"})
"""The actions after which one expects that a job runs."""
Change = Callable[[JobManager, int, Any], list[int]]
"""Changes a job in a transaction, and returns its id if it did."""


def show(view: View) -> Answer:
    """Return a job with all that is known of it; or its arguments or its result as a file, if these are longer than what is shown."""
    number = view.query.number("id")
    if number is None:
        raise BadInput("id", "it is missing: pass the id of a job.")
    read = _read(view, number)
    if read is None:
        lead = ("Search for jobs", view.url("jobs"))
        raise NotFound(f"There is no job {number}. Jobs are deleted some time after they have ended.", lead=lead)
    row, chain, place, steps, notes, pauses, why = read
    audit = notes if view.may("audit") else []
    job = Job.from_row(row)
    hide = view.site.hides(job)
    whole = {"args": _whole(view.site.masked(job.task_name, job.task_kwargs, job))}
    if job.has_result:
        whole["result"] = hide(_whole(view.site.masked(job.task_name, job.result, job)))
    if part := view.query.choice("file", FILES):
        if part not in whole:
            raise NotFound(f"Job {number} has no {part}.")
        return _file(whole[part], f"job-{number}-{part}.json")
    is_declared = job.task_name in view.app.tasks
    # A dashboard may be started by an app that has nothing but the database.
    has_tasks = any(not name.startswith(BUILTIN) for name in view.app.tasks)
    return {
        "title": f"Job {number}",
        "job": job,
        "row": row,
        "pauses": pauses,
        "waits_for": "pause" if pauses else row["waits_for"],
        "why": "" if pauses else why,
        "args": _shown(whole["args"]),
        "result": _shown(whole["result"]) if "result" in whole else None,
        "files": [name for name, text in whole.items() if len(text) > MOST_SHOWN],
        "gate": told_limit(row["gate_scope"], row["gate_name"]) if row["gate_name"] else None,
        "is_unknown": _is_unknown(job, row),
        "is_doubtful": row["waits_for"] == "worker" and has_tasks and not is_declared,
        "is_declared": is_declared,
        "ends_how": _ends_how(view.app.tasks.get(job.task_name)) if job.status == "doing" else None,
        "error_class": UNKNOWN,
        "progress": progress_of(row["progress"]),
        "attempts": attempts(job, view.now, hide),
        "steps": [{**step, "value": _step(view, job, step, hide)} for step in steps],
        "chain": chain,
        "place": place,
        "audit": [told_note(view, note) for note in audit],
        "links": _links(view, job),
        "seen": {"id": number, "status": job.status, "claim": job.claim},
        "headers": sorted((job.headers or {}).items()),
    }


def _is_unknown(job: Job, row: Row) -> bool:
    """Return whether a job waits for a worker that knows its task, as others do if none has met it yet, or failed because there was none."""
    if job.status != "failed" or not job.errors:
        return row["waits_for"] == "task" or (row["waits_for"] == "worker" and bool(row["others_unknown"]))
    last = job.errors[-1]
    # The job's own code may raise the same: of another task, then.
    return f"{last.get('exception')}: " == UNKNOWN and repr(job.task_name) in str(last.get("message"))


def _ends_how(task: Task[Any, Any, Any] | None) -> str:
    """Return how a run of a task ends that is asked to, as far as the task is declared here."""
    if task is None:
        return "unknown"
    return "cancelled" if task.is_async else "looks" if task.pass_context else "blind"


_Read: TypeAlias = "tuple[Row, list[Row], Row | None, list[Row], list[Row], list[Row], str]"
"""A job, the line of its lock, its place there, its steps, what people did with it, the pauses that hold it up, and why no worker takes it."""


def _read(view: View, number: int) -> _Read | None:
    """Return what is known of a job; None if there is none. Those who look at it while it goes on share what was read."""

    def find(reader: Reader) -> _Read | None:
        rows = reader.rows("job", id=number)
        if not rows:
            return None
        (row,) = rows
        lock = row["lock"]
        is_waiting = row["status"] in ("todo", "doing")
        chain = reader.rows("chain", lock=lock) if lock is not None and is_waiting else []
        place = reader.rows("place_in_chain", lock=lock, id=number)[0] if chain else None
        audit = reader.rows("audit", target=str(number), actor=None, before_id=None)
        # A worker has to look at a job of a paused task before the job itself is known to wait for that.
        is_held = row["waits_for"] in ("pause", "worker")
        pauses = pauses_of(reader.rows("pauses"), [(row["queue"], row["task_name"])]) if is_held else []
        why = ""
        seconds = row["ready_for"] or 0.0
        # One whose time has come waits for a worker, too.
        if not pauses and (row["waits_for"] == "worker" or (row["waits_for"] in ("time", "retry") and seconds > 0)):
            why = why_waits(reader.rows("crew"), reader.rows("working"), row["queue"], seconds)
        return row, chain, place, reader.rows("steps", id=number), audit, pauses, why

    if not view.is_look:
        with view.database.reader() as reader:
            return find(reader)
    nothing: _Read | None = None
    answer = view.site.kept.read(("job", number), KEPT, find, nothing)
    if answer.found is None and (answer.error or view.site.collector.is_down):
        raise Unavailable(answer.error or "The database does not answer.")
    return answer.found


def attempts(job: Job, now: datetime.datetime, hide: Callable[[str], str]) -> list[dict[str, Any]]:
    """Return the attempts of which something is known, each with its place between the first start and the last end, in percent."""
    found: list[dict[str, Any]] = [
        {
            "number": int(error.get("attempt", 0)),
            "began": _time(error.get("started_at")),
            "ended": _time(error.get("ended_at")),
            "what": hide(told_error(error))[:LONGEST_ERROR],
            "traceback": parts_of(hide(str(error.get("traceback") or ""))[-LONGEST_ERROR:]),
            "state": "bad",
            "lost": _lost(error),
        }
        for error in job.errors
    ]
    kept = {each["number"] for each in found}
    if job.status == "doing":
        running: dict[str, Any] = {
            "number": job.attempts + 1,
            "began": job.started_at,
            "ended": None,
            "what": "runs",
            "state": "",
        }
        found.append({**running, "traceback": [], "lost": None})
    elif job.started_at is not None and job.attempts not in kept:
        ended = {"number": job.attempts, "began": job.started_at, "ended": job.finished_at, "what": str(job.status)}
        found.append({**ended, "state": "good" if job.status == "succeeded" else "warn", "traceback": [], "lost": None})
    starts = [each["began"] for each in found if each["began"]]
    if starts:
        first = min(starts)
        last = max([each["ended"] or now for each in found if each["began"]])
        whole = max((last - first).total_seconds(), 1e-6)
        for each in found:
            if each["began"] is not None:
                took = ((each["ended"] or now) - each["began"]).total_seconds()
                each["width"], each["took"] = min(100.0, max(LEAST_WIDTH, 100 * took / whole)), took
                each["from"] = min(100 - each["width"], 100 * (each["began"] - first).total_seconds() / whole)
    numbers = [each["number"] for each in found]
    for before, each in zip([0, *numbers], found, strict=False):
        each["gap"] = max(0, each["number"] - before - 1)
    return found


def _lost(error: Mapping[str, Any]) -> int | None:
    """Return the number of the worker with which an attempt was lost, as its error says it."""
    number = error.get("worker_id")
    return number if error.get("exception") == LOST and isinstance(number, int) else None


def _whole(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def _shown(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}\n… and {len(text) - MOST_SHOWN:,} characters more"


def _file(text: str, name: str) -> Response:
    """Return a text as a file that no browser shows, whatever is in it."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.encode("utf-8", "backslashreplace"), media_type="application/octet-stream", headers=headers)


def _step(view: View, job: Job, step: dict[str, Any], hide: Callable[[str], str]) -> str | None:
    if step["value"] is None:
        return None
    return hide(json.dumps(view.site.masked(job.task_name, json.loads(step["value"]), job), ensure_ascii=False))[:500]


def _time(value: Any) -> datetime.datetime | None:
    try:
        time = datetime.datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return time if time is None or time.tzinfo else None


def _links(view: View, job: Job) -> list[tuple[str, str]]:
    trace = (job.headers or {}).get("traceparent", "").split("-")
    values = {
        "job_id": job.id,
        "task": job.task_name,
        "queue": job.queue,
        "trace_id": trace[1] if len(trace) == 4 else None,
        "begin": job.enqueued_at and job.enqueued_at.isoformat(),
        "end": (job.finished_at or view.now).isoformat(),
    }
    return [(link.text, address) for link in view.site.links if (address := link.address(values)) is not None]


# Actions


def _of_a_job(name: str, act: Callable[[View], Done]) -> Action:
    return Action(name=name, permission=name, act=act, page="job", asked=lambda form: {"id": form.values.get("id", [])})


def _acts(name: str, told: str, change: Change) -> Action:
    """Return an action on one job, which is carried out only while the job is as its form says."""

    def act(view: View) -> Done:
        return _act(view, name, told, change)

    return _of_a_job(name, act)


def _act(view: View, name: str, told: str, change: Change) -> Done:
    form = view.form
    number, claim = form.number("id"), form.number("claim")
    if number is None or claim is None:
        raise BadInput("id" if number is None else "claim", "it is missing: send the form of the job's page.")
    seen = Seen(status=form.needed("status"), claim=claim)
    manager, lead = view.app.job_manager, (f"Job {number} as it is now", view.url("job", id=number))
    try:
        with view.database.changing() as connection:
            manager.actions.hold_job(number, seen, connection)
            if not change(manager, number, connection):
                remedy = REMEDIES[name]
                raise Conflict(f"Job {number} {_state(seen.status)}, and so nothing was done. {remedy}", lead=lead)
            manager.actions.add_audit(view.author, name, target=str(number), connection=connection)
    except JobChanged as error:
        raise Conflict(f"{error} Look at it as it is now, and decide again.", lead=lead) from error
    waits = _told_waits(view, number) if name in STARTS else ""
    return Done(f"Job {number} {told}.{waits}", _next(view, number, is_gone=name == "job.delete"))


def _told_waits(view: View, number: int) -> str:
    """Return which pauses keep a job that is to run."""

    def find() -> list[tuple[str, str]]:
        rows = view.database.rows("job", id=number)
        return [(row["queue"], row["task_name"]) for row in rows if row["status"] == "todo"]

    return told_waits(view, find)


def _next(view: View, number: int, *, is_gone: bool) -> str:
    """Return the address of the list that the form was in, or of the job."""
    back = urllib.parse.parse_qs(view.form.text("back", most=MOST_BACK))
    back.pop("notice", None)
    return view.url("jobs", **back) if back or is_gone else view.url("job", id=number)


def _state(status: str) -> str:
    return {"todo": "waits", "doing": "runs"}.get(status, f"has ended ({status})")


def _reveal(view: View) -> Done:
    """Show the arguments of a job as they are, once."""
    number = view.form.number("id")
    rows = [] if number is None else view.database.rows("job", id=number)
    if not rows:
        raise NotFound("There is no such job any more. Jobs are deleted some time after they have ended.")
    with view.database.changing() as connection:
        view.app.job_manager.actions.add_audit(
            view.author, "view_args", target=str(number), jobs=0, outcome="shown once", connection=connection
        )
    return Done(f"Arguments of job {number}: {rows[0]['args'][:LONGEST_NOTICE]}", view.url("job", id=number))


def _priority(view: View) -> Done:
    value = view.form.number("priority", least=-(2**31), most=2**31 - 1)
    if value is None:
        raise BadInput("priority", "it is missing: pass a whole number.")
    return _act(
        view,
        "job.priority",
        f"has the priority {value}",
        lambda m, n, c: m.change_jobs([n], priority=value, connection=c),
    )


def _move(view: View) -> Done:
    queue = view.form.needed("queue", most=255)
    return _act(
        view, "job.move", f"is in the queue {queue}", lambda m, n, c: m.change_jobs([n], move_to=queue, connection=c)
    )


def _reschedule(view: View) -> Done:
    at = _at(view)
    if at is None:
        raise BadInput("at", "it is missing: pass a time such as 2026-01-31T12:00.")
    return _act(view, "job.reschedule", _told_at(at), lambda m, n, c: m.change_jobs([n], schedule_at=at, connection=c))


def _retry(view: View) -> Done:
    at = _at(view)
    told = "runs again" if at is None else _told_at(at)
    return _act(view, "job.retry", told, lambda m, n, c: m.retry_jobs([n], ENDED, c, retry_at=at))


def _at(view: View) -> datetime.datetime | None:
    """Return the time of a form, which says in which zone it is."""
    return view.form.moment("at", zones.zone_of(view.form, None))


def _told_at(at: datetime.datetime) -> str:
    return f"is to run at {at:%Y-%m-%d %H:%M %Z} or later"


def _delete(manager: JobManager, number: int, connection: Any) -> list[int]:
    deleted = manager.delete_jobs([number], connection)
    return deleted or ([number] if manager.cancel_job_by_id(number, delete_job=True, connection=connection) else [])


PAGE = Page(name="job", title="Job", show=show, feeds=("server",), is_listed=False, within="jobs")
ENDED = ("succeeded", "failed", "cancelled", "aborted")
ACTIONS = (
    _of_a_job("job.retry", _retry),
    _acts(
        "job.run_now", "need not wait for its time any more", lambda m, n, c: m.change_jobs([n], now=True, connection=c)
    ),
    _acts("job.cancel", "is cancelled", lambda m, n, c: m.cancel_jobs([n], c)),
    _acts("job.abort", "was asked to end", lambda m, n, c: m.abort_jobs([n], c)),
    _acts("job.delete", "is deleted", _delete),
    _of_a_job("job.priority", _priority),
    _of_a_job("job.move", _move),
    _of_a_job("job.reschedule", _reschedule),
    Action(name="job.reveal", permission="view_args", act=_reveal),
)
