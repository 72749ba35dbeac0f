"""Connections of frameworks, which have the driver's own inside. They are known by their looks, never imported."""

from __future__ import annotations

from typing import Any


def is_wrapper(connection: Any) -> bool:
    """Say whether this is a connection of Django's to PostgreSQL: ``django.db.connection``, or one by its alias."""
    return getattr(connection, "vendor", None) == "postgresql" and callable(
        getattr(connection, "ensure_connection", None)
    )


def unwrapped(connection: Any) -> Any:
    """Return the driver's connection inside of a framework's, connected by now; any other as it is."""
    if not is_wrapper(connection):
        return connection
    connection.ensure_connection()
    return connection.connection
