"""What a worker says about the declarations of an app's tasks."""

from __future__ import annotations

import weakref

from adjourn._domain.protocols import AppLike

_ADVISED: weakref.WeakSet[object] = weakref.WeakSet()


def hasty_tasks(app: AppLike) -> tuple[str, ...]:
    """Return the names of the tasks that retry without a wait, the first time that this is asked about an app.

    A test suite may run a worker after each test, and an app may have many.
    """
    if app.job_manager in _ADVISED:
        return ()
    _ADVISED.add(app.job_manager)
    return tuple(sorted({task.name for task in app.tasks.values() if task.retries_at_once}))
