"""The one error of the embedded server."""

from __future__ import annotations

from adjourn.exceptions import AdjournException


class EmbeddedServerError(AdjournException):
    """The embedded Postgres server could not be started, joined or stopped; the message says what stood in the way
    and what to do about it."""
