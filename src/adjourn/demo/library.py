"""The demo's input: the source files of Python's own standard library."""

from __future__ import annotations

import sysconfig
from pathlib import Path

ROOT = Path(sysconfig.get_path("stdlib"))
SINGLE_MODULES = "(single modules)"


def source_files(limit: int | None = None) -> list[str]:
    """Return the sorted paths of the source files; with a limit, only that many, evenly spread."""
    paths = sorted(str(path) for path in ROOT.rglob("*.py") if not _is_installed(path))
    if limit is None or limit >= len(paths):
        return paths
    return [paths[index * len(paths) // limit] for index in range(limit)]


def package(path: str) -> str:
    """Return the name of the top-level package that a source file belongs to."""
    first, *rest = Path(path).relative_to(ROOT).parts
    return first if rest else SINGLE_MODULES


def _is_installed(path: Path) -> bool:
    return not {"site-packages", "dist-packages"}.isdisjoint(path.parts)
