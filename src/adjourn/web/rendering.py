"""Templates, and how values are shown in them. Everything is escaped, and control characters are spelled out, unless a template says
``|exact`` for what a form sends back."""

from __future__ import annotations

import datetime
import functools
from typing import Any

import jinja2
from markupsafe import Markup, escape

from adjourn._domain.wording import amount, counted, shown, span
from adjourn.monitor.commands import command_of
from adjourn.monitor.unknown import waiting
from adjourn.monitor.waits import WAITS_FOR
from adjourn.web import pictures
from adjourn.web.words import cron_in_words

ABSENT = "\u2013"
"""What stands for a value that is not there."""
LONGEST = 300
"""Characters of a text that are shown in a list."""


@functools.cache
def environment() -> jinja2.Environment:
    """Return the templates of the package, which are compiled once a process."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("adjourn.web", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalized,
        auto_reload=False,
    )
    made.filters.update(
        amount=amount,
        counted=counted,
        cron_in_words=cron_in_words,
        exact=exact,
        moment=moment,
        named=named,
        number=number,
        per_second=per_second,
        shown=shown,
        size=size,
        span=span,
        waiting=waiting,
    )
    made.globals.update(absent=ABSENT, command_of=command_of, waits=WAITS_FOR)
    made.globals.update(sparkline=pictures.sparkline, histogram=pictures.histogram, bar=pictures.bar)
    return made


def _finalized(value: Any) -> Any:
    """Return what is printed of a value: data must not control who reads it, nor turn the text around."""
    if value is None:
        return ABSENT
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def exact(text: str) -> Markup:
    """Return a text as it is, escaped, for the value of a field."""
    return escape(text)


def named(text: str, longest: int = LONGEST) -> Markup:
    """Return the name of something that others have chosen, as one run of text that changes no direction around it."""
    told = shown(text)
    if len(told) > longest:
        return Markup('<bdi title="{}">{}…</bdi>').format(told[:2000], told[:longest])
    return Markup("<bdi>{}</bdi>").format(told)


def number(value: float | None) -> str:
    """Return a whole number with thousands."""
    return ABSENT if value is None else f"{value:,.0f}"


def per_second(value: float) -> str:
    """Return a rate."""
    return f"{value:,.1f}/s" if 0 < value < 10 else f"{value:,.0f}/s"


def size(value: float | None) -> str:
    """Return a number of bytes."""
    if value is None:
        return ABSENT
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


@jinja2.pass_context
def moment(context: Any, value: datetime.datetime | float | None, now: datetime.datetime) -> Markup:
    """Return a time as so long ago, or in so long, with the time itself for programs and on hovering.

    Parameters
    ----------
    context
        Knows the viewer's time zone.
    value
        The time, or seconds since 1970.
    now
        The time that it is.
    """
    if value is None:
        return escape(ABSENT)
    at = value if isinstance(value, datetime.datetime) else datetime.datetime.fromtimestamp(value, datetime.UTC)
    seconds = (now - at).total_seconds()
    told = f"{span(seconds)} ago" if seconds >= 0 else f"in {span(-seconds)}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.isoformat(timespec="seconds"), at.astimezone(context["view"].zone).strftime("%Y-%m-%d %H:%M:%S %Z"), told
    )
