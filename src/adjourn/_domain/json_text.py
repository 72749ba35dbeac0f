"""JSON as `json.dumps` writes it, and as `json.loads` reads it, with less Python around it.

Most of what these functions take for a small value is their own Python. What they call in C is made once here.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

from adjourn.types import JSONDumps, JSONLoads

_raw_decode = json.JSONDecoder().raw_decode


def _encoder() -> Callable[[Any, int], Any] | None:
    """Return the function in C that writes values, as ``json.encoder`` makes one for each call; None without it.

    ``json.encoder.c_make_encoder`` has been in each CPython since 2.6, with these parameters since 3.0. They are the defaults of
    `json.dumps`, except that nobody looks for a value that holds itself: that ends in a `RecursionError`.
    """
    with contextlib.suppress(AttributeError, TypeError):
        module: Any = json.encoder
        default = json.JSONEncoder().default
        made: Callable[[Any, int], Any] = module.c_make_encoder(
            None, default, module.encode_basestring_ascii, None, ": ", ", ", False, False, True
        )
        return made
    return None


_encode = _encoder()


def dumped(value: Any, json_dumps: JSONDumps) -> Any:
    """Return what a ``json_dumps`` makes of a value; whatever it raises is raised."""
    if json_dumps is json.dumps and _encode is not None:
        try:
            return "".join(_encode(value, 0))
        except Exception:
            return json_dumps(value)  # which raises it with its own message
    return json_dumps(value)


def loaded(text: str, json_loads: JSONLoads) -> Any:
    """Return what a ``json_loads`` makes of a text; whatever it raises is raised."""
    if json_loads is json.loads:
        try:
            value, end = _raw_decode(text)
        except ValueError:
            return json_loads(text)  # which raises it with its own message
        if end == len(text):
            return value
    return json_loads(text)
