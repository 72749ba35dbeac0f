"""Connectors and integrations for packages that adjourn does not depend on. Each says which extra it needs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adjourn.contrib import click as click
    from adjourn.contrib import django as django


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"adjourn.contrib.{name}")
