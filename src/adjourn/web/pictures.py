"""Pictures as inline SVG: lines, bars and graphs, with a text that says the same. Nothing in them is anybody's data but escaped text,
and nothing has a style of its own."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from markupsafe import Markup

WIDTH, HEIGHT = 120, 28
_PAD = 3.0
NAME_WIDTH = 32.0
"""How much room the name of a marked value takes."""


def sparkline(
    values: Sequence[float | None], label: str, *, width: int = WIDTH, height: int = HEIGHT, kind: str = ""
) -> Markup:
    """Return a line of values from the oldest to the newest. Where a value is missing there is a gap.

    Parameters
    ----------
    values
        The values; None where there is none.
    label
        What they are, for who cannot see them; the least, the greatest and the last are added.
    width, height
        The size in pixels.
    kind
        A class for its colour: ``"good"``, ``"bad"`` or ``"warn"``.
    """
    known = [value for value in values if value is not None]
    if not known:
        return Markup('<span class="muted spark-empty">no data yet</span>')
    top, bottom = max(known), min(0.0, *known)
    last = known[-1]
    text = f"{label}: from {_short(min(known))} to {_short(top)}, last {_short(last)}"
    runs: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append(f"{_x(place, len(values), width):.1f},{_y(value, bottom, top, height):.1f}")
    lines = Markup("").join(
        Markup('<polyline class="line" points="{}"/>').format(" ".join(run))
        if len(run) > 1
        else Markup('<circle class="dot" cx="{}" cy="{}" r="1.2"/>').format(*run[0].split(","))
        for run in runs
        if run
    )
    end = len(values) - 1 - next(i for i, value in enumerate(reversed(values)) if value is not None)
    dot = Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="2"/>').format(
        _x(end, len(values), width), _y(last, bottom, top, height)
    )
    base = Markup('<line class="base" x1="0" x2="{0}" y1="{1}" y2="{1}"/>').format(width, height - 0.5)
    return Markup(
        '<svg class="spark {}" viewBox="0 0 {} {}" width="{}" height="{}" preserveAspectRatio="none" role="img" aria-label="{}">'
        "<title>{}</title>{}{}{}</svg>"
    ).format(kind, width, height, width, height, text, text, base, lines, dot)


def histogram(
    counts: Sequence[int],
    bounds: Sequence[float],
    label: str,
    *,
    marks: Sequence[tuple[str, float]] = (),
    width: int = 240,
    height: int = 64,
) -> Markup:
    """Return how many values there are between bounds, as bars.

    Parameters
    ----------
    counts
        The numbers, one more than there are bounds: the last is of what is above all bounds.
    bounds
        The upper bounds.
    label
        What is counted.
    marks
        Names of values, such as ``("p95", 2.5)``, each marked at its bar.
    width, height
        The size in pixels.
    """
    top = max(counts, default=0)
    if not top:
        return Markup('<span class="muted spark-empty">no data yet</span>')
    step = width / len(counts)
    floor = height - 16
    bars = Markup("").join(
        Markup(
            '<rect class="column" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
        ).format(
            place * step + 0.5,
            floor - max(1.5, count / top * (floor - 2)),
            max(1.0, step - 1),
            max(1.5, count / top * (floor - 2)),
            f"{_between(place, bounds)}: {count:,}",
        )
        for place, count in enumerate(counts)
        if count
    )
    places = [((sum(value > bound for bound in bounds) + 0.5) * step, name) for name, value in marks]
    # Names that would lie on one another are written side by side.
    names: list[tuple[float, str]] = []
    for x, name in sorted(places, key=lambda each: each[0]):
        if names and x - names[-1][0] < NAME_WIDTH:
            names[-1] = (names[-1][0], f"{names[-1][1]}, {name}")
        else:
            names.append((x, name))
    ticks = Markup("").join(
        Markup('<line class="mark" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1}"/>').format(x, floor) for x, _ in places
    ) + Markup("").join(
        Markup('<text class="mark-text" x="{:.1f}" y="{}" text-anchor="{}">{}</text>').format(
            x, height - 3, "end" if x > width * 0.8 else "start", name
        )
        for x, name in names
    )
    text = f"{label}: " + ", ".join(f"{name} {_seconds(value)}" for name, value in marks)
    base = Markup('<line class="base" x1="0" x2="{0}" y1="{1}" y2="{1}"/>').format(width, floor)
    return Markup(
        '<svg class="histogram" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}"><title>{}</title>{}{}{}</svg>'
    ).format(width, height, width, height, text, text, base, bars, ticks)


@attrs.frozen
class Dot:
    """What became of one of several.

    Attributes
    ----------
    kind
        A class for its colour: ``"good"``, ``"bad"`` or ``"warn"``; empty for what has no outcome yet.
    told
        What it is, and what became of it.
    is_hollow
        Whether there was nothing of which something could become.
    """

    kind: str
    told: str
    is_hollow: bool = False


def dots(each: Sequence[Dot], label: str) -> Markup:
    """Return what became of several, one beside the other: high where it is bad, low where it is good, and hollow where there was nothing.

    Parameters
    ----------
    each
        These, the oldest first.
    label
        What can be seen in it, for who cannot see it.
    """
    step, height = 7, 20
    drawn = Markup("").join(
        Markup('<rect class="{}" x="{}" y="{}" width="5" height="{}" rx="1.5"><title>{}</title></rect>').format(
            f"{dot.kind} hollow".strip() if dot.is_hollow else dot.kind,
            place * step + 1,
            height - 1 - high,
            high,
            dot.told,
        )
        for place, dot in enumerate(each)
        for high in (18 if dot.kind == "bad" else 13 if dot.kind == "warn" else 8,)
    )
    width = step * len(each)
    return Markup(
        '<svg class="dots" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}"><title>{}</title>{}</svg>'
    ).format(width, height, width, height, label, label, drawn)


def bar(part: float, whole: float, label: str, *, width: int = 120, kind: str = "") -> Markup:
    """Return how much of something is used, as a bar.

    Parameters
    ----------
    part, whole
        The numbers.
    label
        What they are.
    width
        The width in pixels.
    kind
        A class for its colour: ``"good"``, ``"bad"`` or ``"warn"``.
    """
    share = min(1.0, part / whole) if whole > 0 else 0.0
    return Markup(
        '<svg class="bar {}" viewBox="0 0 {} 8" width="{}" height="8" role="img" aria-label="{}"><title>{}</title>'
        '<rect class="track" width="{}" height="8" rx="4"/><rect class="fill" width="{:.1f}" height="8" rx="4"/></svg>'
    ).format(kind, width, width, label, label, width, share * width)


def _x(place: int, count: int, width: int) -> float:
    return _PAD + (place / (count - 1) if count > 1 else 1.0) * (width - 2 * _PAD)


def _y(value: float, bottom: float, top: float, height: int) -> float:
    share = (value - bottom) / (top - bottom) if top > bottom else 0.0
    return height - _PAD - share * (height - 2 * _PAD)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.3g}"


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.3g} s"


def _between(place: int, bounds: Sequence[float]) -> str:
    if place == len(bounds):
        return f"above {_seconds(bounds[-1])}"
    return f"up to {_seconds(bounds[place])}"
