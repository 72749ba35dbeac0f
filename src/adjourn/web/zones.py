"""In which time zone times are shown: the address says it, or a cookie, or it is UTC."""

from __future__ import annotations

import functools
import zoneinfo

from adjourn.web.inputs import Inputs
from adjourn.web.problems import BadInput

COOKIE = "adjourn_zone"
PARAMETER = "zone"
LONGEST = 64
UTC = zoneinfo.ZoneInfo("UTC")


@functools.cache
def names() -> tuple[str, ...]:
    """Return the names of all time zones that this machine knows, UTC first."""
    known = {
        name
        for name in zoneinfo.available_timezones()
        if "/" in name and not name.startswith(("Etc/", "posix/", "right/", "SystemV/"))
    }
    return ("UTC", *sorted(known))


def zone_of(query: Inputs, cookie: str | None) -> zoneinfo.ZoneInfo:
    """Return the time zone of a request.

    Raises
    ------
    BadInput
        If the address names a zone that is not known. A cookie that does so does not count.
    """
    asked = query.text(PARAMETER, most=LONGEST)
    if asked:
        found = named(asked)
        if found is None:
            raise BadInput(
                PARAMETER, f"{asked!r} is not a time zone that is known here: pass one such as Europe/Berlin."
            )
        return found
    return (named(cookie) if cookie else None) or UTC


def named(name: str) -> zoneinfo.ZoneInfo | None:
    """Return a time zone by its name; None if there is none of this name."""
    return zoneinfo.ZoneInfo(name) if name in names() else None
