"""Jobs in the transaction of a caller's session."""

from __future__ import annotations

from typing import Any, Unpack

from adjourn.manager import JobDeferrer
from adjourn.tasks import Task
from adjourn.types import ConfigureOptions


class Transaction:
    """Stores jobs in the transaction of a session or connection: they exist if that commits.

    Parameters
    ----------
    connection
        The session or connection, as ``task.configure(connection=...)`` takes it.

    Attributes
    ----------
    connection
        The same.
    is_used
        Whether anything was deferred in it.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.is_used: bool = False

    def configure(self, task: Task[Any, Any, Any], **options: Unpack[ConfigureOptions]) -> JobDeferrer:
        """Set options for jobs of a task in this transaction; call ``defer`` or ``defer_async`` on the result.

        Parameters
        ----------
        task
            The task.
        **options
            The options of `Task.configure`, but for ``connection``.
        """
        self.is_used = True
        return task.configure(**{**options, "connection": self.connection})

    def defer(self, task: Task[Any, Any, Any], /, **arguments: Any) -> int:
        """Store a job in the transaction of a session that blocks, and return its id.

        Parameters
        ----------
        task
            The task.
        **arguments
            The arguments of the job.

        Raises
        ------
        AlreadyEnqueued
            If the queueing lock is taken. The transaction goes on.
        InvalidConnection
            If the session is asynchronous, or of another driver than the app's connector takes.
        InvalidTaskArguments
            If the task does not take these arguments, or they cannot be stored.
        """
        return self.configure(task).defer(**arguments)

    async def defer_async(self, task: Task[Any, Any, Any], /, **arguments: Any) -> int:
        """Store a job in the transaction of an asynchronous session, and return its id. See `defer`."""
        return await self.configure(task).defer_async(**arguments)
