"""Contexts of traces: how they are stored with a job, and which of them a worker keeps away from its own work."""

from __future__ import annotations

import contextlib
import contextvars
import logging
from collections.abc import Iterator, Mapping

from opentelemetry import context, propagate, trace
from opentelemetry.context import Context

from adjourn.contrib.opentelemetry import private

logger: logging.Logger = logging.getLogger("adjourn.opentelemetry")

MOST_BYTES = 1024
"""What the context of a trace may take in a job's headers."""
_FIRST_LEFT_OUT = ("tracestate", "baggage")
_SUPPRESSED = "suppress_instrumentation"
"""The key by which instrumentations of other libraries know that they should be silent."""
_KEYS = (_SUPPRESSED, private.suppression_key(_SUPPRESSED))
_ambient: contextvars.ContextVar[Context | None] = contextvars.ContextVar("adjourn_ambient", default=None)
_malformed: set[str] = set()


def is_suppressed(within: Context | None = None) -> bool:
    """Return whether instrumentations should be silent in a context, by default the current one."""
    return any(context.get_value(key, within) for key in _KEYS)


def ambient() -> Context:
    """Return the context of the program that runs the worker; outside of workers, the current one."""
    outside = _ambient.get()
    return context.get_current() if outside is None else outside


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep instrumentations of other libraries from seeing what a worker does for itself."""
    outside = context.get_current()
    remembered = _ambient.set(outside)
    attached = context.attach(context.set_value(_SUPPRESSED, True, outside))
    try:
        yield
    finally:
        context.detach(attached)
        _ambient.reset(remembered)


@contextlib.contextmanager
def attached(within: Context) -> Iterator[None]:
    """Make a context the current one."""
    token = context.attach(within)
    try:
        yield
    finally:
        context.detach(token)


def carrier_of(within: Context, *, baggage: bool) -> dict[str, str]:
    """Return the headers that carry a context to the job's runs.

    Parameters
    ----------
    within
        The context.
    baggage
        Whether to keep the program's baggage, which may be anything.
    """
    carrier: dict[str, str] = {}
    propagate.inject(carrier, context=within)
    if not baggage:
        carrier.pop("baggage", None)
    for name in _FIRST_LEFT_OUT:
        if _size(carrier) > MOST_BYTES:
            carrier.pop(name, None)
    return carrier if _size(carrier) <= MOST_BYTES else {}


def _size(carrier: Mapping[str, str]) -> int:
    return sum(len(name.encode()) + len(value.encode()) for name, value in carrier.items())


def context_from(headers: Mapping[str, str] | None, base: Context, *, baggage: bool) -> Context:
    """Return the context that a job's headers carry, on top of another one; that one alone if they carry none that is valid.

    Parameters
    ----------
    headers
        The headers of the job.
    base
        The context that it is added to.
    baggage
        Whether to take baggage.
    """
    if not headers:
        return base
    carrier = {name.lower(): value for name, value in headers.items() if baggage or name.lower() != "baggage"}
    if sum(len(value) for value in carrier.values()) > 8 * MOST_BYTES:
        return base
    found = propagate.extract(carrier, context=base)
    written = carrier.get("traceparent")
    if written is not None and not trace.get_current_span(found).get_span_context().is_valid and not _malformed:
        _malformed.add(written[:100])
        logger.debug("A job has a malformed traceparent: %.100r", written, extra={"action": "malformed_traceparent"})
    return found
