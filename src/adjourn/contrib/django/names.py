"""The names that jobs of ``django.tasks`` have: a namespace of their own, a colon, and the path of the task."""

from __future__ import annotations

__all__ = ["NAMESPACE", "path_of"]

NAMESPACE = "django"


def path_of(name: str) -> str:
    """Return the path of a task of ``django.tasks``, and the name of any other task as it is."""
    return name.removeprefix(f"{NAMESPACE}:")
