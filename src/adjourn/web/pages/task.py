"""A task: how often it fails, how long it takes, and what became of its jobs."""

from __future__ import annotations

import json
from typing import Any

from adjourn.exceptions import AlreadyEnqueued, InvalidOption, InvalidTaskArguments
from adjourn.monitor.unknown import by_task
from adjourn.types import JSONDict
from adjourn.web import zones
from adjourn.web.failures import failures
from adjourn.web.inputs import Inputs
from adjourn.web.page import Action, Done, Page, View
from adjourn.web.pages.pausing import told_waits
from adjourn.web.problems import BadInput, Conflict, NotFound
from adjourn.web.trends import trend

MOST_ARGUMENTS = 40_000
"""Characters of the arguments of a new job."""


def show(view: View) -> dict[str, Any]:
    """Return a task. One that nobody has heard of is one that has never run."""
    name = view.query.known_name("name")
    declared = view.app.tasks.get(name)
    return {
        "title": f"Task {name}",
        "of": name,
        "declared": declared if declared is not None and declared.name == name else None,
        "pause": next((row for row in view.feed("pauses") if row["scope"] == "task" and row["name"] == name), None),
        "working": [job for job in view.feed("working") if job["task"] == name],
        "limit": next((row for row in view.feed("limits") if row["scope"] == "task" and row["name"] == name), None),
        "unknown": next((row for row in by_task(view.feed("unknown")) if row["task"] == name), None),
        "failures": failures(view, task=name),
        "trend": trend(view, task=name),
    }


def defer(view: View) -> Done:
    """Store a job of the task."""
    form = view.form
    name = form.known_name("task")
    task = view.app.tasks.get(name)
    if task is None:
        raise NotFound(
            f"The app of this dashboard does not declare a task {name}, so it does not know its arguments. Name the module that declares it "
            "in the app's import_paths, and start the dashboard again; or store the job by `adjourn defer --unknown`."
        )
    arguments = _arguments(form.text("args", most=MOST_ARGUMENTS))
    options: dict[str, Any] = {
        "queue": form.known_name("queue", needed=False) or None,
        "lock": form.text("lock") or None,
        "priority": form.number("priority", least=-(2**31), most=2**31 - 1),
        "schedule_at": form.moment("at", zones.zone_of(form, None)),
    }
    try:
        with view.database.changing() as connection:
            said = {option: value for option, value in options.items() if value is not None}
            job = task.configure(**said, connection=connection).defer_job(**arguments)
            is_new = job.enqueued_at is not None
            if is_new:
                outcome, told = f"a job of {name}", f"Job {job.id} of {name} is stored."
            elif task.unique is not None and task.unique.on_conflict == "replace":
                outcome, told = (
                    f"new arguments of a job of {name}",
                    f"Job {job.id} of {name} was there, and has these arguments now.",
                )
            else:
                outcome, told = (
                    "nothing: it was there",
                    f"Job {job.id} of {name} is there already, so nothing was stored.",
                )
            view.app.job_manager.actions.add_audit(
                view.author, "job.defer", target=str(job.id), outcome=outcome, connection=connection
            )
    except InvalidTaskArguments as error:
        raise BadInput("args", f"{error} Nothing was stored.") from error
    except InvalidOption as error:
        raise BadInput("job", f"{error} Nothing was stored.") from error
    except AlreadyEnqueued as error:
        raise Conflict(f"{error} Nothing was stored: let that job run, or cancel it.") from error
    return Done(told + told_waits(view, lambda: [(job.queue, job.task_name)]), view.url("job", id=job.id))


def _arguments(text: str) -> JSONDict:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise BadInput("args", f'it is no JSON: {reason}. Write such as {{"user": 7}}. Nothing was stored.') from None
    if not isinstance(found, dict):
        raise BadInput("args", 'arguments have names: write such as {"user": 7}. Nothing was stored.')
    return found


def _asked(form: Inputs) -> dict[str, list[str]]:
    """Return the parameters of the page of the task whose job was to be stored."""
    return {"name": form.values.get("task", []), **({"zone": form.values["zone"]} if "zone" in form.values else {})}


PAGE = Page(
    name="task",
    title="Task",
    show=show,
    feeds=("server", "pauses", "working", "unknown", "limits", "counters"),
    is_listed=False,
    within="tasks",
)
ACTIONS = (Action(name="job.defer", permission="job.defer", act=defer, page="task", asked=_asked),)
