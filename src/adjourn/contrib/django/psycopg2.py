"""The connector of a worker on psycopg2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adjourn.connectors.psycopg2 import AsyncPsycopg2Connector

__all__ = ["made_psycopg2_connector"]

_NAMES = {"min_size": "minconn", "max_size": "maxconn"}


def made_psycopg2_connector(
    parameters: Mapping[str, Any], role: str | None, pool: Mapping[str, Any], own: Mapping[str, Any]
) -> AsyncPsycopg2Connector:
    """Return a connector with the parameters of Django's connection.

    Parameters
    ----------
    parameters
        The parameters of each connection.
    role
        The role that each connection assumes, or None.
    pool
        The options of the pool; ``min_size`` and ``max_size`` are ``minconn`` and ``maxconn`` here.
    own
        The connector's own options.
    """
    options = {**parameters, **{_NAMES.get(name, name): value for name, value in pool.items()}}
    if role is not None:
        # This driver's pool calls nothing for a new connection, so libpq sets the role while it connects.
        escaped = role.replace("\\", "\\\\").replace(" ", "\\ ")
        options["options"] = f"{parameters.get('options', '')} -c role={escaped}".strip()
    return AsyncPsycopg2Connector(**options, **own)
