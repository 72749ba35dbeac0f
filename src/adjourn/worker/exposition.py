"""What ``/metrics`` answers. The integration of Prometheus makes it, if its package is there."""

from __future__ import annotations

import importlib
from http import HTTPStatus
from typing import Any

_INTEGRATION = "adjourn.contrib.prometheus"


def metrics(accept: str) -> tuple[HTTPStatus, str, bytes]:
    """Return the status, the type and the text of an answer.

    Parameters
    ----------
    accept
        The header ``Accept`` of the request, which chooses a format.
    """
    integration = loaded()
    if integration is None:
        missing = b"There are no metrics without Prometheus' client: pip install 'adjourn[prometheus]'\n"
        return HTTPStatus.NOT_IMPLEMENTED, "text/plain", missing
    kind, body = integration.exposition(accept)
    return HTTPStatus.OK, kind, body


def loaded() -> Any:
    """Return the integration, or None without its package."""
    try:
        return importlib.import_module(_INTEGRATION)  # it is above this module, and may be missing
    except ImportError:
        return None
