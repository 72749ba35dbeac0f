"""Who types a command: the notes of what it changes say so."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
from collections.abc import Mapping
from typing import Any

from adjourn.app import App
from adjourn.jobs import Author
from adjourn.manager import JobManager

HOW = "shell"
"""How we know who it is: the operating system says so."""


def author() -> Author:
    """Return who runs this process: ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # nobody in a container has a name
        user = str(os.getuid()) if hasattr(os, "getuid") else "somebody"
    return Author(name=f"{user}@{socket.gethostname()}", how=HOW)


def manager_of(app: App, filters: Mapping[str, Any] | None = None) -> JobManager:
    """Return the manager of an app that notes what it changes, and who has typed that.

    Parameters
    ----------
    app
        The app.
    filters
        Those of a change of many jobs, which gets a name of its own then.
    """
    target = None if filters is None else f"bulk {secrets.token_hex(4)}"
    return app.job_manager.acting_for(author(), target=target, filter=filters)
