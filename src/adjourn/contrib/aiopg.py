"""Programs that were written for Procrastinate import the connector for aiopg from here. It says what to use instead."""

from __future__ import annotations

from adjourn._compat.moved import AiopgConnector

__all__ = ["AiopgConnector"]
