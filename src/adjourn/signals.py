"""Programs that were written for Procrastinate import how it handles signals from here. Each name says what to use instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adjourn._compat.moved import moved

__all__: list[str] = []

if not TYPE_CHECKING:  # type checkers report these names

    def __getattr__(name: str) -> Any:
        return moved(__name__, name)
