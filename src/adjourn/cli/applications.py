"""The app that a command works with."""

from __future__ import annotations

import argparse
import contextlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from adjourn._domain.spelling import hint
from adjourn.app import App
from adjourn.exceptions import LoadFromPathError, MissingApp


def load(options: argparse.Namespace) -> App:
    """Return the app that a framework has brought along, or import the one that ``--app`` names, also from the current
    directory.

    Raises
    ------
    MissingApp
        If no app was named.
    LoadFromPathError
        If there is no such app, or its module raises; the message then names the error, the file and the line.
    """
    if not is_named(options):
        raise MissingApp()
    if hasattr(options, "given_app"):
        app: App = options.given_app()
        return app
    # A console script has its own directory on the path instead of the user's. Python's safe-path mode forbids both.
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path and not sys.flags.safe_path:
        sys.path.insert(0, here)
    with _telling_where(options.app):
        return App.from_path(options.app)


def load_with_tasks(options: argparse.Namespace) -> App:
    """Return the app as `load` does, and import the modules that declare its tasks.

    Raises
    ------
    MissingApp
        If no app was named.
    LoadFromPathError
        If there is no such app or module, or it raises; the message then names the error, the file and the line.
    """
    app = load(options)
    with _telling_where(f"import_paths of {getattr(options, 'app', 'the app')}"):
        app.perform_import_paths()
    return app


@contextlib.contextmanager
def _telling_where(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the modules are the user's
        if isinstance(error, SyntaxError):
            reason, where = error.msg, f"{error.filename}, line {error.lineno}"
        else:
            # The last line at the top level of a module, because deeper code may be in another library.
            lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == "<module>"]
            if not lines:
                raise
            reason, where = str(error), f"{lines[-1].filename}, line {lines[-1].lineno}"
        raise LoadFromPathError(f"{what}: {type(error).__name__}: {reason} ({where})") from error


def doubt_task(app: App, name: str) -> None:
    """Say on stderr that the app has no task of this name, if one that it has was probably meant: another app may have it."""
    if not app.may_know(name) and (meant := hint(name, app.tasks)) != ".":
        print(f"adjourn: there is no task {name!r} here{meant}", file=sys.stderr)


def is_named(options: argparse.Namespace) -> bool:
    """Return whether there is an app: a framework's, or one that the command line or the environment names."""
    return hasattr(options, "given_app") or bool(getattr(options, "app", ""))
