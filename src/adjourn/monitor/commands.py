"""Command lines to paste into a shell."""

from __future__ import annotations

import shlex

UNNAMED = "..."
"""What stands for the path of an app that was not imported by one."""


def command_of(path: str | None, words: str) -> str:
    """Return a command line of ``adjourn``.

    Parameters
    ----------
    path
        The path by which the app can be imported; None if it is not known.
    words
        The command and what it takes, quoted for a shell.
    """
    return f"adjourn --app={shlex.quote(path) if path else UNNAMED} {words}"


def naming(path: str | None, text: str) -> str:
    """Return a text of those who know no app, whose commands name it from now on."""
    return text.replace(command_of(None, ""), command_of(path, ""))
