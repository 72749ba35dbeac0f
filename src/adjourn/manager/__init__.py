"""The managers in both colours: what is written once in async, and its generated twin, side by side."""

from __future__ import annotations

from adjourn.manager.deferrer import JobDeferrer
from adjourn.manager.jobs import JobManager
from adjourn.manager.schema import SchemaManager

__all__ = ["JobDeferrer", "JobManager", "SchemaManager"]
