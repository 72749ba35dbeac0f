"""What the command line says of a name that nobody knows: it may be right, for jobs that come, or misspelled."""

from __future__ import annotations

import sys

from adjourn._domain.spelling import hint
from adjourn.app import App
from adjourn.limits import Scope


def doubt(app: App, scope: Scope, name: str) -> None:
    """Say on stderr that neither this app nor the database knows a queue, a task, or a limit with a key, of this name.

    Parameters
    ----------
    app
        The app, open.
    scope, name
        What was named.
    """
    manager = app.job_manager
    tasks = app.tasks.values()
    if scope == "task":
        if app.may_know(name) or manager.list_tasks(task=name, live_only=True):
            return
        known, what = set(app.tasks), "no job of it waits or runs"
    elif scope == "queue":
        if any(name in (worker.queues or ()) for worker in manager.list_workers()):
            return
        known = {task.queue for task in tasks} | set(app.queue_limits)
        known |= {row["name"] for row in manager.list_queues(live_only=True)}
        what = "no job in it waits or runs, and no worker is for it alone"
    else:
        known = {limit.name for limit in manager.list_limits() if limit.scope == "key"}
        keyed = ((task, task.limits.keyed) for task in tasks if task.limits is not None)
        known |= {limit.name or task.name for task, limit in keyed if limit is not None}
        what = "no program has declared a limit with a key of this name"
    if name not in known:
        of_it = "limit" if scope == "key" else scope
        print(f"adjourn: there is no {of_it} {name!r} here, and {what}{hint(name, known)}", file=sys.stderr)
