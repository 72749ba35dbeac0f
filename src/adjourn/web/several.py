"""Several dashboards in one application: each app has its own below a name, and the header leads from one to the others."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Collection, Mapping

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from adjourn.app import App
from adjourn.exceptions import InvalidOption

NAME: re.Pattern[str] = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
APP = "adjourn.app"
"""What the scope of a request has under this key is the name of the app that it is for: ``request.scope["adjourn.app"]``."""


def checked_apps(apps: Mapping[str, App], taken: Collection[str]) -> dict[str, App]:
    """Return apps by their names.

    Parameters
    ----------
    apps
        What was passed.
    taken
        Names that lead to pages.

    Raises
    ------
    InvalidOption
        If there is none, or a name cannot be a part of an address, or is that of a page.
    """
    if not apps:
        raise InvalidOption("app={}: pass at least one app.")
    for name, app in apps.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InvalidOption(f"app: {name!r} is no name for an app: pass up to 64 letters, digits, '-' and '_'.")
        if name in taken:
            raise InvalidOption(f"app: {name!r} is the name of a page: choose another one, such as '{name}-app'.")
        if not isinstance(app, App):
            raise InvalidOption(f"app: {name!r} is {app!r}: pass an adjourn.App.")
    return dict(apps)


def together(made: Mapping[str, Starlette], prefix: str) -> Starlette:
    """Return one application of several dashboards. An address without a name is one of the first's.

    Parameters
    ----------
    made
        The dashboards, by their names.
    prefix
        The path below which a proxy offers them without taking it away.
    """
    usual = next(iter(made))

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await made[usual](scope, receive, send)
            return
        root = str(scope.get("root_path", ""))
        path = str(scope["path"]).removeprefix(root)
        below = root + prefix if path == prefix or path.startswith(f"{prefix}/") else root
        path = path.removeprefix(below[len(root) :])
        name, _, rest = path.removeprefix("/").partition("/")
        if name in made:
            path = f"/{rest}"
        else:
            name = usual
        placed = {**scope, "root_path": f"{below}/{name}", "path": f"{below}/{name}{path or '/'}", APP: name}
        await made[name](placed, receive, send)

    @contextlib.asynccontextmanager
    async def lifespan(application: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for each in made.values():
                await stack.enter_async_context(each.router.lifespan_context(each))
            yield

    whole = Starlette(routes=[Mount("", app=choose)], lifespan=lifespan)
    whole.state.sites = tuple(site for each in made.values() for site in each.state.sites)
    return whole
