"""The weeks of which finished jobs are kept, as a bar of time with a text that says the same."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from markupsafe import Markup

from adjourn._domain.wording import counted, verb
from adjourn.types import Row

STEP, HEIGHT, LEAST = 20, 60, 6
"""How wide a week is drawn, how high the fullest one, and how high one without jobs."""
MOST_MISSING = 200
"""Of so many weeks without a partition between others each is drawn."""
WEEK = 7 * 86_400


@attrs.frozen(kw_only=True)
class Weeks:
    """The bar, and what it says.

    Attributes
    ----------
    picture
        The bar, from the first week to the last.
    told
        What can be seen in it.
    begin, end
        The day on which it begins, and the one on which it ends.
    rows
        The partitions, the latest first: ``told``, what it holds, ``rows``, ``bytes`` and ``note``, a word with its class or None.
    in_default
        How many jobs are in the default partition, as far as they are counted.
    """

    picture: Markup
    told: str
    begin: str
    end: str
    rows: Sequence[dict[str, Any]]
    in_default: int


def weeks_of(rows: Sequence[Row], now: datetime.datetime, size: Callable[[float], str]) -> Weeks | None:
    """Return the bar of the partitions of finished jobs; None if there are none.

    Parameters
    ----------
    rows
        What the monitor has read, in the order of time.
    now
        The time.
    size
        Tells a number of bytes.
    """
    partitions = [row for row in rows if row["begins"] is not None and row["ends"] is not None]
    in_default = sum(row["rows"] for row in rows if row["is_default"])
    if not partitions:
        return None
    at = now.timestamp()
    shown = [
        {**row, "day": _day(row["begins"]), "state": _state(row, at), "words": _words(row, at, size)}
        for row in partitions
    ]
    begin, end = partitions[0]["begins"], max(row["ends"] for row in partitions)
    missing = _missing(partitions)
    return Weeks(
        picture=_drawn(shown, missing, at, begin, end, told := _told(partitions, missing, at, in_default)),
        told=told,
        begin=_day(begin),
        end=_day(end),
        rows=[
            {"told": row["day"], "rows": row["rows"], "bytes": row["bytes"], "note": _note(row)} for row in shown[::-1]
        ],
        in_default=in_default,
    )


def _state(row: Row, at: float) -> str:
    return "ahead" if row["begins"] > at else "now" if at < row["ends"] else "past"


def _note(row: Row) -> tuple[str, str] | None:
    if row["is_detaching"]:
        return "its removal was interrupted", "warn"
    return {"ahead": ("ahead", ""), "now": ("this week", "good")}.get(row["state"])


def _words(row: Row, at: float, size: Callable[[float], str]) -> str:
    if _state(row, at) == "ahead" and not row["rows"]:
        return f"from {_day(row['begins'])}: ahead, empty"
    return f"from {_day(row['begins'])}: about {counted(row['rows'], 'job')}, {size(row['bytes'])}"


def _missing(partitions: Sequence[Row]) -> list[tuple[float, float]]:
    """Return the times between partitions of which there is none: their jobs would be in the default one."""
    return [
        (before["ends"], after["begins"])
        for before, after in itertools.pairwise(partitions)
        if after["begins"] > before["ends"]
    ]


def _told(partitions: Sequence[Row], missing: Sequence[tuple[float, float]], at: float, in_default: int) -> str:
    ahead = sum(row["begins"] > at for row in partitions)
    kept = len(partitions) - ahead
    rows = sum(row["rows"] for row in partitions)
    text = f"Jobs that have ended are kept in {counted(kept, 'week')} from {_day(partitions[0]['begins'])} on, about {counted(rows, 'job')} in all. "
    if ahead:
        until = _day(max(row["ends"] for row in partitions))
        text += f"There {verb(ahead, 'is', 'are')} {counted(ahead, 'partition')} ahead, until {until}. "
    else:
        text += "There is no partition ahead. "
    if missing:
        text += f"Between them {counted(len(missing), 'time')} {verb(len(missing), 'has', 'have')} no partition, the first from {_day(missing[0][0])} on. "
    if in_default:
        return f"{text}The default partition has {counted(in_default, 'job')}."
    return f"{text}The default partition is empty."


def _drawn(
    partitions: Sequence[dict[str, Any]],
    missing: Sequence[tuple[float, float]],
    at: float,
    begin: float,
    end: float,
    told: str,
) -> Markup:
    scale = STEP / WEEK
    width = max(STEP, round((end - begin) * scale))
    top = max((row["rows"] for row in partitions), default=0)
    drawn = Markup("").join(
        Markup(
            '<g><title>{}</title><rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/></g>'
        ).format(
            row["words"],
            "bad" if row["is_detaching"] else row["state"],
            (row["begins"] - begin) * scale + 1,
            HEIGHT - (high := max(LEAST, row["rows"] / top * HEIGHT if top else 0)),
            max(1.0, (row["ends"] - row["begins"]) * scale - 2),
            high,
        )
        for row in partitions
    )
    gaps = Markup("").join(
        Markup(
            '<g><title>from {}: no partition</title><rect class="missing" x="{:.1f}" y="{}" width="{:.1f}" height="{}"/></g>'
        ).format(_day(first), (first - begin) * scale + 1, HEIGHT - LEAST, max(1.0, (last - first) * scale - 2), LEAST)
        for first, last in missing[:MOST_MISSING]
    )
    mark = Markup('<line class="mark" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1}"/>').format((at - begin) * scale, HEIGHT)
    return Markup(
        '<svg class="chart weeks" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-labelledby="weeks-title weeks-told">'
        '<title id="weeks-title">Partitions of finished jobs</title><desc id="weeks-told">{}</desc>{}{}{}</svg>'
    ).format(width, HEIGHT, told, drawn, gaps, mark if begin <= at <= end else "")


def _day(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d")
