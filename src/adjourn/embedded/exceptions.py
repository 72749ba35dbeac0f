"""The exception that the embedded server raises."""

from __future__ import annotations

from adjourn.exceptions import AdjournException


class EmbeddedServerError(AdjournException):
    """The embedded Postgres server could not be started, joined or stopped; the message says why and what to do."""
