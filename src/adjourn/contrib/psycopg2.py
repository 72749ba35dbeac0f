"""The address of the connectors for psycopg2 in programs that were written for Procrastinate."""

from __future__ import annotations

from adjourn.connectors.psycopg2 import AsyncPsycopg2Connector, Psycopg2Connector

__all__ = ["AsyncPsycopg2Connector", "Psycopg2Connector"]
