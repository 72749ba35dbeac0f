"""Names that programs written for Procrastinate import from here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adjourn._compat.moved import AiopgConnector, MovedElsewhere, moved
from adjourn._compat.names import utcnow
from adjourn._runtime.callers import caller_module
from adjourn._runtime.contexts import AwaitableContext
from adjourn._runtime.imports import import_all, load_from_path
from adjourn.types import TimeDeltaParams

__all__ = [
    "AiopgConnector",
    "AwaitableContext",
    "MovedElsewhere",
    "TimeDeltaParams",
    "caller_module",
    "import_all",
    "load_from_path",
    "utcnow",
]

if not TYPE_CHECKING:  # names of Procrastinate, which type checkers report

    def __getattr__(name: str) -> Any:
        return moved(__name__, name)
