"""Traces and metrics of OpenTelemetry, from the call that defers a job to its runs. Needs the extra ``opentelemetry``.

It needs the API of OpenTelemetry alone; the program brings the SDK, and says where spans go. ``opentelemetry-instrument`` finds
`AdjournInstrumentor` by its entry point.
"""

from __future__ import annotations

try:
    import opentelemetry.trace as _trace  # noqa: F401
except ModuleNotFoundError as _error:
    raise ImportError(
        "adjourn.contrib.opentelemetry needs OpenTelemetry: pip install 'adjourn[opentelemetry]'"
    ) from _error

from adjourn.contrib.opentelemetry.database import observe
from adjourn.contrib.opentelemetry.instrumentor import AdjournInstrumentor

__all__ = ["AdjournInstrumentor", "observe"]
