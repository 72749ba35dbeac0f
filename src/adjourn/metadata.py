"""What the installed package says of itself, where programs that were written for Procrastinate import it from."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

__all__ = ["extract_metadata"]


def extract_metadata() -> Mapping[str, str]:
    """Return the package's ``author``, ``email``, ``license``, ``url`` and ``version``; what it does not say is empty."""
    said: Any = importlib.metadata.metadata("adjourn")
    fields = {"author": "Author", "email": "Author-email", "license": "License-Expression", "url": "Home-page"}
    return {name: said.get(field, "") for name, field in {**fields, "version": "Version"}.items()}
