"""The figures of `adjourn metrics` at ``/metrics`` of the dashboard, for who may see its pages."""

from __future__ import annotations

import importlib
from typing import Any

from starlette.responses import Response

from adjourn.app import App
from adjourn.exceptions import InvalidOption

_INTEGRATION = "adjourn.contrib.prometheus"


class Metrics:
    """Reads the figures of an app's database when somebody asks for them, on a connection of its own.

    Parameters
    ----------
    app
        The app. It need not be open.

    Raises
    ------
    InvalidOption
        If Prometheus' client is not installed, or the app has no database.
    """

    def __init__(self, app: App) -> None:
        try:
            integration = importlib.import_module(_INTEGRATION)  # it is above this module, and may be missing
        except ImportError as error:
            raise InvalidOption(f"metrics=True: {error}") from error
        self._collector: Any = integration.DatabaseCollector(app)

    def answer(self, accept: str) -> Response:
        """Return the figures in a format that a request accepts. It waits for the database for some seconds at most."""
        kind, body = self._collector.exposition(accept)
        return Response(body, headers={"Content-Type": kind, "Cache-Control": "no-store"})

    def close(self) -> None:
        """Close the connection."""
        self._collector.close()
