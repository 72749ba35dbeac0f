"""The ids of the current span in adjourn's log records."""

from __future__ import annotations

import logging

from opentelemetry import trace

NAMES = ("adjourn.jobs", "adjourn.worker", "adjourn.events", "adjourn.telemetry")
"""Loggers that may not exist yet."""


class CurrentSpan(logging.Filter):
    """Writes the ids of the current span into records, as fields ``trace_id`` and ``span_id``; lets all records pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Write the ids, unless the record has them."""
        span = trace.get_current_span().get_span_context()
        if span.is_valid and not hasattr(record, "trace_id"):
            record.trace_id = trace.format_trace_id(span.trace_id)
            record.span_id = trace.format_span_id(span.span_id)
        return True

    def add(self) -> None:
        """Begin to do that for all loggers of adjourn."""
        for logger in _loggers():
            logger.addFilter(self)

    def remove(self) -> None:
        """End that."""
        for logger in _loggers():
            logger.removeFilter(self)


def _loggers() -> list[logging.Logger]:
    # A logger's filters do not see the records of the loggers below it.
    known = {name for name in logging.root.manager.loggerDict if name == "adjourn" or name.startswith("adjourn.")}
    return [logging.getLogger(name) for name in sorted(known | set(NAMES))]
