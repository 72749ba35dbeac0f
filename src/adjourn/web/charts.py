"""Charts of what happened in the course of time, as inline SVG. A chart is stretched to its place, so its words stand beside it, and a
table has its numbers."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from markupsafe import Markup

WIDTH, HEIGHT = 600, 96
_PAD = 2.0


@attrs.frozen(kw_only=True)
class Series:
    """Numbers, one for each step of time.

    Attributes
    ----------
    name
        What they are.
    kind
        A class for their colour: ``"good"``, ``"bad"``, ``"warn"``, ``"plain"`` or ``"light"``.
    values
        The numbers; None where there is none.
    """

    name: str
    kind: str
    values: Sequence[float | None]


@attrs.frozen(kw_only=True)
class Chart:
    """A picture with its words.

    Attributes
    ----------
    picture
        The picture.
    top
        Its largest value; None if it has none.
    parts
        What it is made of, for its legend.
    """

    picture: Markup
    top: float | None
    parts: Sequence[Series]


def columns(id_: str, title: str, told: str, heads: Sequence[str], parts: Sequence[Series]) -> Chart:
    """Return columns in which several numbers stand on each other.

    Parameters
    ----------
    id_
        The picture's id in the page.
    title
        What it shows.
    told
        What can be seen in it, for who cannot see it.
    heads
        The time of each step.
    parts
        The numbers, from below.
    """
    sums = [sum(each.values[place] or 0 for each in parts) for place in range(len(heads))]
    top = max(sums, default=0)
    step = WIDTH / max(1, len(heads))
    drawn = []
    for place, head in enumerate(heads):
        if not sums[place]:
            continue
        y, rects = float(HEIGHT), []
        for part in parts:
            value = part.values[place] or 0
            if value:
                height = max(1.5, value / top * (HEIGHT - _PAD))
                y -= height
                rects.append(
                    Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                        part.kind, place * step + 0.5, max(0.0, y), max(0.8, step - 1), height
                    )
                )
        words = ", ".join(f"{part.values[place] or 0:,.0f} {part.name}" for part in parts)
        drawn.append(Markup("<g><title>{}: {}</title>{}</g>").format(head, words, Markup("").join(rects)))
    return Chart(picture=_picture(id_, title, told, drawn), top=top or None, parts=parts)


def curves(id_: str, title: str, told: str, heads: Sequence[str], parts: Sequence[Series]) -> Chart:
    """Return lines, each with a gap where a value is missing.

    Parameters
    ----------
    id_, title, told
        As those of `columns`.
    heads
        The time of each step.
    parts
        The numbers.
    """
    known = [value for part in parts for value in part.values if value is not None]
    top = max(known, default=0.0)
    step = WIDTH / max(1, len(heads))
    drawn = []
    for part in parts:
        runs: list[list[str]] = [[]]
        for place, value in enumerate(part.values):
            if value is None:
                runs.append([])
            else:
                y = HEIGHT - _PAD - (value / top if top else 0.0) * (HEIGHT - 2 * _PAD)
                runs[-1].append(f"{(place + 0.5) * step:.1f},{y:.1f}")
        for run in runs:
            if len(run) == 1:
                # A line of no length is a dot, for its ends are round.
                run.append(run[0])
            if run:
                drawn.append(Markup('<polyline class="{}" points="{}"/>').format(part.kind, " ".join(run)))
    return Chart(picture=_picture(id_, title, told, drawn), top=top if known else None, parts=parts)


def _picture(id_: str, title: str, told: str, drawn: Sequence[Markup]) -> Markup:
    base = Markup(
        '<line class="base" x1="0" x2="{0}" y1="{1}" y2="{1}"/><line class="base" x1="0" x2="{0}" y1="0.5" y2="0.5"/>'
    ).format(WIDTH, HEIGHT - 0.5)
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-labelledby="{}-title {}-told">'
        '<title id="{}-title">{}</title><desc id="{}-told">{}</desc>{}{}</svg>'
    ).format(WIDTH, HEIGHT, id_, id_, id_, title, id_, told, base, Markup("").join(drawn))
