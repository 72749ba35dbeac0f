"""Finds out what ails the database that holds an app's jobs: it only reads, and says what to do. The command is
``adjourn doctor``.
"""

from __future__ import annotations

from adjourn.doctor.examination import CHECKS, Examination, Examined, examine, json_schema
from adjourn.doctor.findings import Finding, Level
from adjourn.doctor.thresholds import Thresholds

__all__ = ["CHECKS", "Examination", "Examined", "Finding", "Level", "Thresholds", "examine", "json_schema"]
