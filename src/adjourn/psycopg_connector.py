"""`PsycopgConnector`, where programs that were written for Procrastinate import it from."""

from __future__ import annotations

from adjourn.connectors.psycopg import PsycopgConnector

__all__ = ["PsycopgConnector"]
