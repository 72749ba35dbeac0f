"""The parameters of Django's database, for connections beside Django's own."""

from __future__ import annotations

from typing import Any

from django.db import connections

from adjourn.contrib.django.settings import settings

__all__ = ["connector_params", "is_psycopg2", "role"]

OWN = frozenset({"context", "cursor_factory"})
"""What Django adds for its own connections alone: how it reads and writes values."""


def connector_params(alias: str | None = None) -> dict[str, Any]:
    """Return the parameters with which Django connects to a database, for a connector.

    ``PsycopgConnector(kwargs=connector_params())``, or with psycopg2 ``Psycopg2Connector(**connector_params())``. They
    are those of this moment: within a test, those of the test's database.

    Parameters
    ----------
    alias
        The name of the database in ``DATABASES``. Default: ``ADJOURN_DATABASE_ALIAS``.
    """
    parameters = connections[settings.DATABASE_ALIAS if alias is None else alias].get_connection_params()
    return {("dbname" if name == "database" else name): value for name, value in parameters.items() if name not in OWN}


def role(alias: str) -> str | None:
    """Return the role that Django assumes once it is connected (``assume_role`` in ``OPTIONS``), or None."""
    return connections[alias].settings_dict["OPTIONS"].get("assume_role") or None


def is_psycopg2(connection: Any) -> bool:
    """Return whether a connection of Django is on psycopg2."""
    return getattr(connection.Database, "__name__", "") == "psycopg2"
