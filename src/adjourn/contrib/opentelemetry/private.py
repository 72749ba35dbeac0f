"""The private part of OpenTelemetry's API that is used here, as seen in opentelemetry-api 1.30 to 1.38."""

from __future__ import annotations

from opentelemetry import context


def suppression_key(default: str) -> str:
    """Return the key by which instrumentations written for older releases know that they should be silent.

    Parameters
    ----------
    default
        What to return where there is none.
    """
    return str(getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", default))
