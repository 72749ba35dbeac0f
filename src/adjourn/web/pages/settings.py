"""How this browser shows the dashboard: the time zone. And what its user may do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import RedirectResponse, Response

from adjourn.web import zones
from adjourn.web.access import PERMISSIONS
from adjourn.web.page import Page, View

YEAR = 365 * 86_400


def show(view: View) -> Mapping[str, Any] | Response:
    """Return what can be chosen; or keep the time zone of the address in a cookie, which changes nothing but how times are shown."""
    if not view.query.flag("keep"):
        denied = [name for name in PERMISSIONS if not view.may(name)]
        return {"zones": zones.names(), "permissions": PERMISSIONS, "denied": denied}
    answer = RedirectResponse(view.url("settings"), 303)
    answer.set_cookie(
        zones.COOKIE,
        view.zone.key,
        max_age=YEAR,
        path=view.root or "/",
        secure=view.request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return answer


PAGE = Page(name="settings", title="Settings", show=show, is_listed=False)
