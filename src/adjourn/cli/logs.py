"""The destination and the format of the command line's log records.

They go to stderr; a command's output goes to stdout. A record has more fields than its message: ``action`` names what
happened, and the dictionaries ``job`` and ``worker`` say to which job and worker. A format can name them, and ``json``
writes all of them.
"""

from __future__ import annotations

import datetime
import json
import logging
import re
import sys
from typing import Any, Literal, TextIO, TypeAlias, cast

Style: TypeAlias = Literal["%", "{", "$"]

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
STYLES = ("%", "{", "$")
DEFAULT_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
JSON_FORMAT = "json"

_FIELD = {"%": r"%\((\w+)\)", "{": r"\{(\w+)", "$": r"\$\{?(\w+)"}
_STANDARD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})


class ForgivingFormatter(logging.Formatter):
    """Writes records in a format; fields that a record lacks are empty.

    Parameters
    ----------
    text
        The format.
    style
        Its style, as in `logging.Formatter`.

    Raises
    ------
    ValueError
        If the format does not fit its style.
    """

    def __init__(self, text: str, style: Style) -> None:
        super().__init__(text, style=style, defaults=dict.fromkeys(re.findall(_FIELD[style], text), ""))
        self._fallback = logging.Formatter(DEFAULT_FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name of logging
        """Return the record's line, in the default format if one of its values does not fit the format."""
        try:
            return super().formatMessage(record)
        except (TypeError, ValueError):
            record.asctime = self._fallback.formatTime(record)
            return self._fallback.formatMessage(record)


class JSONFormatter(logging.Formatter):
    """Writes a record as one line of JSON, with all its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        fields: dict[str, Any] = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        fields |= {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what is stderr when a record comes. A program that runs a command may have another one later."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # nobody sets it
        """Where records go."""
        return sys.stderr


def configure(level: str, text: str, style: str) -> None:
    """Send the log records of this process to stderr.

    Parameters
    ----------
    level
        The least important level to show, one of `LEVELS`.
    text
        The format, or ``json``.
    style
        The style of the format, one of `STYLES`.

    Raises
    ------
    ValueError
        If the format does not fit its style.
    """
    formatter = JSONFormatter() if text == JSON_FORMAT else ForgivingFormatter(text, cast("Style", style))
    handler = StderrHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
