"""A dashboard in the browser: what waits, what runs, who works, what fails. Needs the extra ``web``. The command is ``adjourn web``.

`create_app` returns it as an ASGI application, which can be mounted in another one.
"""

from __future__ import annotations

try:
    import jinja2 as _jinja2  # noqa: F401
    import starlette as _starlette  # noqa: F401
except ModuleNotFoundError as _error:
    raise ImportError("adjourn.web needs Starlette and Jinja: pip install 'adjourn[web]'") from _error

from adjourn.web.access import PERMISSIONS, Auth, Header, Password, User, anybody
from adjourn.web.application import create_app
from adjourn.web.links import Link

__all__ = ["PERMISSIONS", "Auth", "Header", "Link", "Password", "User", "anybody", "create_app"]
