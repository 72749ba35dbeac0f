"""What workers of this process say of themselves to metrics. The integration of Prometheus makes the answer of ``/metrics``, if its package is there."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

_INTEGRATION = "adjourn.contrib.prometheus"
_SHARED = "PROMETHEUS_MULTIPROC_DIR"
_adding = threading.Lock()
_workers: tuple[Callable[[], dict[str, Any]], ...] = ()
_slots: tuple[Callable[[], tuple[int, int]], ...] = ()


def add(app: Any, numbers: Callable[[], dict[str, Any]]) -> Callable[[], None]:
    """Record metrics of an app, and have those of a worker shown until the returned function is called.

    Parameters
    ----------
    app
        The app.
    numbers
        Returns what is to be shown of the worker.
    """
    global _workers
    if (integration := loaded()) is not None:
        integration.instrument(app)
    with _adding:
        _workers = (*_workers, numbers)

    def remove() -> None:
        global _workers
        refresh()
        with _adding:
            _workers = tuple(each for each in _workers if each is not numbers)
        refresh()

    return remove


def add_slots(count: Callable[[], tuple[int, int]]) -> Callable[[], None]:
    """Have the slots of a worker told until the returned function is called.

    Parameters
    ----------
    count
        Returns how many slots it has, and how many of them are busy.
    """
    global _slots
    with _adding:
        _slots = (*_slots, count)

    def remove() -> None:
        global _slots
        with _adding:
            _slots = tuple(each for each in _slots if each is not count)

    return remove


def slots() -> tuple[int, int] | None:
    """Return how many slots the workers of this process have, and how many of them are busy; None if there is no worker."""
    counts = [each() for each in _slots]
    return (sum(number for number, _ in counts), sum(busy for _, busy in counts)) if counts else None


def refresh() -> None:
    """Have the processes of the program that share their metrics know what is so now in this one; nothing if they do not."""
    if _SHARED in os.environ and (integration := loaded()) is not None:
        integration.refresh()


def numbers() -> list[dict[str, Any]]:
    """Return what is to be shown of each worker of this process."""
    return [each() for each in _workers]


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


def _disown() -> None:
    """Have a forked child show no workers of its parent, which do not run there."""
    global _adding, _workers, _slots
    _adding, _workers, _slots = threading.Lock(), (), ()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown)
