"""An extension of Flask: tasks, jobs in the application's context, and ``flask adjourn``. Needs the extra ``flask``.

The extension opens nothing before the first job is deferred, so that it works with servers that fork.
"""

from __future__ import annotations

try:
    import flask as _flask  # noqa: F401
except ModuleNotFoundError as _error:
    raise ImportError("adjourn.contrib.flask needs Flask: pip install 'adjourn[flask]'") from _error

from adjourn.contrib._transaction import Transaction
from adjourn.contrib.flask.extension import Adjourn

__all__ = ["Adjourn", "Transaction"]
