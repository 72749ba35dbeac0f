"""How values are shown in the admin: escaped, in the time zone of the request, and in its language."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext as _

from adjourn._domain.progress import Progress
from adjourn.contrib.django.names import path_of
from adjourn.contrib.django.procrastinate_app import app
from adjourn.contrib.django.settings import settings

__all__ = [
    "ago",
    "ago_of",
    "badge",
    "code",
    "duration",
    "hides",
    "link",
    "local",
    "progress",
    "sensitive",
    "short",
    "shown_json",
    "table_of",
]

LONGEST_JSON = 20_000
"""Characters of a value that the page of one job shows."""
NOTHING = "–"  # noqa: RUF001 - a dash


def sensitive(task_name: str) -> tuple[str, ...]:
    """Return the names of the arguments that a task of this program has declared sensitive."""
    task = app.tasks.get(task_name)
    return () if task is None else task.sensitive


def hides(task_name: str) -> bool:
    """Return whether ``ADJOURN_ADMIN_HIDE_ARGS`` names a task; one of ``django.tasks`` by its path, too. Or it has declared some sensitive."""
    if not {task_name, path_of(task_name)}.isdisjoint(settings.ADMIN_HIDE_ARGS):
        return True
    return bool(sensitive(task_name))


def local(value: datetime.datetime | None) -> str:
    """Return a time to the second, in the current time zone."""
    if value is None:
        return NOTHING
    return date_format(_localtime(value), "Y-m-d H:i:s")


def _localtime(value: datetime.datetime) -> datetime.datetime:
    # Django reads naive times where USE_TZ is False, and they are local already.
    return timezone.localtime(value) if timezone.is_aware(value) else value


def ago(value: datetime.datetime) -> SafeString:
    """Return how long ago a time was, or how far ahead it is; the time itself shows when the mouse is over it."""
    now = timezone.now()
    seconds = (now - value).total_seconds()
    if abs(seconds) < 60:
        distance = _("%(number)d s") % {"number": abs(seconds)}
    else:
        distance = timesince(value, now, depth=1) if seconds > 0 else timeuntil(value, now, depth=1)
    text = (_("%(time)s ago") if seconds > 0 else _("in %(time)s")) % {"time": distance}
    return format_html('<time class="adjourn-time" title="{}">{}</time>', local(value), text)


def duration(began: datetime.datetime, ended: datetime.datetime) -> str:
    """Return how long something took."""
    seconds = (ended - began).total_seconds()
    if seconds < 1:
        return _("%(number)d ms") % {"number": round(seconds * 1000)}
    if seconds < 60:
        return _("%(number).1f s") % {"number": seconds}
    return timesince(began, ended, depth=2)


def badge(kind: str, label: Any) -> SafeString:
    """Return a label with the colour of its kind."""
    return format_html('<span class="adjourn-badge adjourn-{}">{}</span>', kind, label)


def progress(said: Progress, *, with_message: bool) -> SafeString:
    """Return how far a job has come, and when its task has said so."""
    parts = [f"{said.current:g}" if said.total is None else f"{said.current:g} / {said.total:g}"]
    if said.total:
        parts.append(f"({said.current / said.total:.0%})")
    if said.message and with_message:
        parts.append(said.message)
    return format_html('{} <span class="adjourn-quiet">{}</span>', " ".join(parts), ago_of(said.at))


def ago_of(at: datetime.datetime) -> SafeString:
    """Return how long ago an aware time was, or how far ahead it is, also where Django's times are naive."""
    return ago(at if timezone.is_aware(timezone.now()) else timezone.make_naive(at))


def code(text: str) -> SafeString:
    """Return text as it is, line by line."""
    return format_html('<pre class="adjourn-code">{}</pre>', text)


def short(text: str, length: int) -> SafeString:
    """Return the beginning of a text; all of it shows when the mouse is over it."""
    if len(text) <= length:
        return format_html("{}", text)
    return format_html('<span title="{}">{}…</span>', text, text[: length - 1])


def shown_json(value: Any) -> SafeString:
    """Return a value as indented JSON, or the beginning of it."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if len(text) > LONGEST_JSON:
        text = text[:LONGEST_JSON] + "\n… " + _("(%(number)d more characters)") % {"number": len(text) - LONGEST_JSON}
    return code(text)


def link(page: str, text: Any, *args: Any, **query: Any) -> SafeString:
    """Return a link to a page of the admin.

    Parameters
    ----------
    page
        The page's name, such as ``"job_change"``.
    text
        What the link says.
    args
        What the page's address takes.
    query
        What follows the question mark.
    """
    address = reverse(f"admin:adjourn_{page}", args=args)
    return format_html('<a href="{}">{}</a>', f"{address}?{urlencode(query)}" if query else address, text)


def table_of(headings: Iterable[Any], rows: Iterable[Iterable[Any]]) -> SafeString:
    """Return a table."""
    head = format_html_join("", '<th scope="col">{}</th>', ((each,) for each in headings))
    body = format_html_join(
        "", "<tr>{}</tr>", ((format_html_join("", "<td>{}</td>", ((each,) for each in row)),) for row in rows)
    )
    return format_html('<table class="adjourn-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>', head, body)


def error(entry: Mapping[str, Any], is_open: bool) -> SafeString:
    """Return a failed attempt: its number, times and exception, and the traceback to open."""
    times = [_read(entry.get(name)) for name in ("started_at", "ended_at")]
    began, ended = times
    when = [local(ended)] if ended else []
    if began and ended:
        when.append(_("after %(time)s") % {"time": duration(began, ended)})
    if worker := entry.get("worker_name") or entry.get("worker_id"):
        when.append(_("by %(worker)s") % {"worker": worker})
    return format_html(
        '<details class="adjourn-error"{}><summary>{} <strong>{}</strong>: {} <span class="adjourn-quiet">{}</span></summary>{}</details>',
        SafeString(" open") if is_open else "",
        _("Attempt %(number)s") % {"number": entry.get("attempt", "?")},
        entry.get("exception", "?"),
        entry.get("message", ""),
        ", ".join(when),
        code(str(entry.get("traceback") or _("no traceback"))),
    )


def _read(value: Any) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(value)
    except (TypeError, ValueError):  # a program may have stored something else
        return None
