"""The dashboard for WSGI servers, and to mount in WSGI applications such as Flask's. Needs a2wsgi, which the extra ``web`` has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

try:
    from a2wsgi import ASGIMiddleware
except ModuleNotFoundError as _error:
    raise ImportError("adjourn.web.wsgi needs a2wsgi: pip install 'adjourn[web]'") from _error

from adjourn.app import App
from adjourn.web.application import create_app


def create_wsgi_app(app: App | Mapping[str, App], **options: Any) -> Any:
    """Return the dashboard of an app as a WSGI application.

    A WSGI server has a thread for each request, so there are no server-sent events: browsers ask every five seconds.

    Parameters
    ----------
    app
        The app, or several by their names.
    **options
        Options of `adjourn.web.create_app`, other than ``streams``.

    Raises
    ------
    InvalidOption
        If one of them is not valid.
    """
    return ASGIMiddleware(cast("Any", create_app(app, **options, streams=False)))
