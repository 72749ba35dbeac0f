"""Move the jobs of Procrastinate's tables into adjourn's, while both run. For programs; the command is
``adjourn migrate-from-procrastinate``.
"""

from __future__ import annotations

from adjourn.migration.migration import Migration
from adjourn.migration.report import MigrationRefused, Report

__all__ = ["Migration", "MigrationRefused", "Report"]
