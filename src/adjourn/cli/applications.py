"""The app that a command works with."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from adjourn.app import App
from adjourn.exceptions import MissingApp


def load(options: argparse.Namespace) -> App:
    """Import the app that ``--app`` names; modules in the current directory are found.

    Raises
    ------
    MissingApp
        If none was named.
    LoadFromPathError
        If there is no such app.
    """
    if not is_named(options):
        raise MissingApp()
    # A console script has its own directory on the path instead of the user's; who forbade the latter, meant it.
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path and not sys.flags.safe_path:
        sys.path.insert(0, here)
    return App.from_path(options.app)


def is_named(options: argparse.Namespace) -> bool:
    """Tell whether the command line or the environment names an app."""
    return bool(getattr(options, "app", ""))
