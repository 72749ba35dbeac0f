"""The connector of a worker on psycopg."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adjourn.connectors.psycopg import PsycopgConnector

__all__ = ["made_psycopg_connector"]


def made_psycopg_connector(
    parameters: Mapping[str, Any], role: str | None, pool: Mapping[str, Any], own: Mapping[str, Any]
) -> PsycopgConnector:
    """Return a connector with the parameters of Django's connection.

    Parameters
    ----------
    parameters
        The parameters of each connection.
    role
        The role that each connection assumes, or None.
    pool
        The options of the pool.
    own
        The connector's own options.
    """
    options = dict(pool)
    if role is not None:

        async def configure(connection: Any) -> None:
            await connection.execute("select set_config('role', %s, false)", [role])

        options.setdefault("configure", configure)
    return PsycopgConnector(kwargs=dict(parameters), **options, **own)
