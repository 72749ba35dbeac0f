"""Frameworks' connections, which wrap a driver's connection. They are recognised by their attributes, without an
import."""

from __future__ import annotations

from typing import Any


def is_wrapper(connection: Any) -> bool:
    """Return whether this is a Django connection to PostgreSQL: ``django.db.connection``, or one by its alias."""
    return getattr(connection, "vendor", None) == "postgresql" and callable(
        getattr(connection, "ensure_connection", None)
    )


def unwrapped(connection: Any) -> Any:
    """Return the driver's connection inside a framework's, after connecting it; any other connection as it is."""
    if not is_wrapper(connection):
        return connection
    connection.ensure_connection()
    return connection.connection
