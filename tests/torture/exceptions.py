"""The exception that means that a scenario cannot run here."""

from __future__ import annotations


class NotRun(Exception):
    """The scenario cannot run here; the message says what is missing."""
