"""The connectors for psycopg2, where programs that were written for Procrastinate import them from."""

from __future__ import annotations

from adjourn.connectors.psycopg2 import AsyncPsycopg2Connector, Psycopg2Connector

__all__ = ["AsyncPsycopg2Connector", "Psycopg2Connector"]
