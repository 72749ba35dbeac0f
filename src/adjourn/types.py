"""Names for the shapes that travel between the rooms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

import attrs
from typing_extensions import TypeAlias

JSONValue: TypeAlias = "dict[str, Any] | list[Any] | str | int | float | bool | None"
JSONDict: TypeAlias = dict[str, Any]
JSONDumps: TypeAlias = Callable[[Any], str]
JSONLoads: TypeAlias = Callable[[str], Any]
Parameters: TypeAlias = Mapping[str, Any]
Row: TypeAlias = dict[str, Any]


class TimeDeltaParams(TypedDict, total=False):
    """The keywords of `datetime.timedelta`, as `schedule_in` and `retry_in` take them."""

    weeks: float
    days: float
    hours: float
    minutes: float
    seconds: float
    milliseconds: float
    microseconds: float


@attrs.frozen
class Statement:
    """One SQL command, and the name by which people, logs and the in-memory connector know it."""

    name: str
    text: str
