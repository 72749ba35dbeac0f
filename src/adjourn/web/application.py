"""Makes the web application: its routes, and how a request becomes a page, an action or a refusal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from adjourn.app import App
from adjourn.exceptions import AdjournException, ConnectorException, InvalidOption
from adjourn.web import access, pages, problems
from adjourn.web.access import Auth, User
from adjourn.web.bulk import LARGEST_LIMIT, MOST_JOBS
from adjourn.web.guard import Guard, Rules
from adjourn.web.inputs import MOST_BODY, Inputs
from adjourn.web.links import Link
from adjourn.web.masking import ArgumentsMask, Masker
from adjourn.web.metrics import Metrics
from adjourn.web.page import Action, Done, Page, Site, View
from adjourn.web.rendering import environment
from adjourn.web.several import checked_apps, together

logger: logging.Logger = logging.getLogger(__name__)

MOST_STREAMS = 100
"""So many browsers of a process are told at once of what is new; the others ask."""
LONGEST_STREAM = 300.0
"""Seconds after which a browser connects again, so that it is asked again who it is."""
COMMENT = 15.0
"""Seconds between signs of life of a stream."""


def create_app(
    app: App | Mapping[str, App],
    *,
    auth: Auth | None = None,
    permissions: Collection[str] | None = None,
    mask: ArgumentsMask | None = None,
    read_only: bool = False,
    links: Sequence[Link] = (),
    hide_args: bool = False,
    bulk_limit: int = MOST_JOBS,
    title: str = "",
    prefix: str = "",
    allowed_hosts: Collection[str] = (),
    allowed_origins: Collection[str] = (),
    trusted_proxies: Sequence[str] = (),
    frame_ancestors: Sequence[str] = (),
    streams: bool = True,
    metrics: bool = False,
) -> Starlette:
    """Return the dashboard of an app, or of several, as a web application, for an ASGI server or to mount in another application.

    Nobody sees it unless ``auth`` says so. It reads the database only while somebody looks at it, on at most two connections of its
    own, whatever the number of viewers.

    Parameters
    ----------
    app
        The app. It need not be open. Or several by their names, each of another database or schema: their dashboards are below these names,
        and the header leads from one to another. The options are for all of them; ``auth`` finds the name in
        ``request.scope["adjourn.app"]``.
    auth
        Returns who has sent a request: see ``adjourn.web.Auth``. None answers each request with 403 and an explanation. Default: None.
    permissions
        What a user may do for whom ``auth`` says nothing else, of ``adjourn.web.PERMISSIONS``. Default: all but to reveal secret
        arguments and to store new jobs.
    mask
        Takes a task's name and its arguments, of which secret values are hidden already, and returns what may be shown. Default: None.
    read_only
        Leave out all actions. Default: False.
    links
        Where else to look for a job. Default: nowhere.
    hide_args
        Show no arguments in lists of jobs. Default: False.
    bulk_limit
        How many jobs a change of many jobs takes at most, up to a million; the preview says if a filter finds more. Default: 100,000.
    title
        What the dashboard is called. Default: the name of the database.
    prefix
        The path below which a proxy offers the dashboard without taking it away from the address. Default: none.
    allowed_hosts
        The hosts that a request may name in its header Host, without ports. Default: any.
    allowed_origins
        Other origins, such as ``https://intern.example.org``, whose pages may send forms: for proxies that change the header Host.
    trusted_proxies
        The networks of proxies whose headers X-Forwarded-For and X-Forwarded-Prefix count. Default: none.
    frame_ancestors
        The origins whose pages may show the dashboard in a frame. Default: none.
    streams
        Tell browsers what is new by server-sent events. Without, they ask every five seconds. Default: True.
    metrics
        Answer ``/metrics`` with the figures of `adjourn metrics`, for who may see the pages. It takes one connection more while somebody
        asks, and the extra ``prometheus``. Default: False.

    Raises
    ------
    InvalidOption
        If one of them is not valid.
    """
    if isinstance(app, Mapping):
        apps = checked_apps(app, names_of_pages())
    elif isinstance(app, App):
        apps = {"": app}
    else:
        raise InvalidOption(f"app={app!r}: pass an adjourn.App, or several in a dictionary by their names.")
    if auth is not None and not callable(auth):
        raise InvalidOption("auth: pass a function that takes a request and returns its user.")
    if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        raise InvalidOption(f"prefix={prefix!r}: pass a path such as '/queue', without a slash at its end.")
    if isinstance(bulk_limit, bool) or not isinstance(bulk_limit, int) or not 1 <= bulk_limit <= LARGEST_LIMIT:
        raise InvalidOption(f"bulk_limit={bulk_limit!r}: pass a whole number of jobs from 1 to {LARGEST_LIMIT:,}.")
    rules = Rules(
        auth=auth,
        hosts=frozenset(each.lower() for each in allowed_hosts),
        origins=frozenset(allowed_origins),
        proxies=access.networks(trusted_proxies),
        prefix="" if isinstance(app, Mapping) else prefix,
        frame_ancestors=tuple(frame_ancestors),
    )
    made: dict[str, Starlette] = {}
    for name, each in apps.items():
        site = Site(
            app=each,
            name=name,
            names=tuple(apps) if isinstance(app, Mapping) else (),
            permissions=access.USUAL if permissions is None else access.checked_permissions(permissions),
            masker=Masker(mask),
            links=tuple(links),
            read_only=read_only,
            hides_args=hide_args,
            bulk_limit=bulk_limit,
            has_streams=streams,
            title=title,
            prefix=prefix,
            pages={page.name: page for page in pages.PAGES if not (read_only and page.is_for_changes)},
            metrics=Metrics(each) if metrics else None,
            actions={} if read_only else {action.name: action for action in pages.ACTIONS},
        )
        made[name] = _Answers(site).application(rules)
    return together(made, prefix) if isinstance(app, Mapping) else made[""]


def names_of_pages() -> set[str]:
    """Return the first parts of the paths that lead to pages and actions."""
    return {page.path.split("/")[1] for page in pages.PAGES} | {"static", "do", "events", "metrics"}


class _Answers:
    """Answers the requests of a site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._templates = environment()
        self._streams = 0

    def application(self, rules: Rules) -> Starlette:
        routes = [Route("/static/{name}", self._site.assets.answer, name="static")]
        routes += [Route(page.path, self._shows(page), methods=["GET"]) for page in self._site.pages.values()]
        routes += [
            Route(f"/do/{each.name}", self._does(each), methods=["POST"]) for each in self._site.actions.values()
        ]
        if self._site.metrics is not None:
            routes.append(Route("/metrics", self._metrics, methods=["GET"]))
        if self._site.has_streams:
            routes.append(Route("/events/{name}", self._events, methods=["GET"]))
        handlers: dict[Any, Any] = {
            problems.Problem: self._refused,
            HTTPException: self._unknown,
            AdjournException: self._failed,
        }
        made = Starlette(
            routes=routes,
            middleware=[Middleware(Guard, rules=rules, refuse=self._refused)],
            exception_handlers=handlers,
            lifespan=self._lifespan,
        )
        made.state.site = self._site
        made.state.sites = (self._site,)
        return made

    @contextlib.asynccontextmanager
    async def _lifespan(self, application: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(self._site.close)

    # Pages

    def _shows(self, page: Page) -> Any:
        async def answer(request: Request) -> Response:
            view = View(self._site, request, _user(request), page=page)
            return await run_in_threadpool(self._show, view, page)

        return answer

    def _show(self, view: View, page: Page) -> Response:
        view.require(page.permission)
        if page.feeds:
            self._site.collector.wait(page.feeds)
        shown = page.show(view)
        if isinstance(shown, Response):
            return shown
        return self._page(view, f"{page.name}.html", {"title": page.title, **shown}, view.status)

    def _page(self, view: View, template: str, names: dict[str, Any], status: int = 200) -> HTMLResponse:
        feeds = view.page.feeds if view.page else ()
        server = self._site.collector.reading("server").rows
        notice = view.request.query_params.get("notice", "")
        text = self._templates.get_template(template).render(
            view=view,
            url=view.url,
            site=self._site,
            listed=[page for page in self._site.pages.values() if page.is_listed and view.may(page.permission)],
            stale=self._site.collector.stale(feeds) if feeds else None,
            notice=self._site.notices.told(view.user.name, notice) if notice else None,
            name=self._site.title or (server[0]["database"] if server else ""),
            now=view.now,
            **names,
        )
        return HTMLResponse(text, status)

    # Actions

    def _does(self, action: Action) -> Any:
        async def answer(request: Request) -> Response:
            form = Inputs.read((await _body(request)).decode("utf-8", "replace"))
            view = View(self._site, request, _user(request), form)
            return await run_in_threadpool(self._do, view, action)

        return answer

    def _do(self, view: View, action: Action) -> Response:
        view.require(action.permission)
        if self._site.is_standby:
            raise problems.Conflict(
                "This server is a standby, which stores nothing. Nothing was done: use the dashboard of the primary."
            )
        request_id = view.form.text("request_id") or view.new_request_id()

        def act() -> Done:
            return action.act(view)

        try:
            done = self._site.notices.once(view.user.name, request_id, act)
        except problems.BadInput as wrong:
            if not action.page:
                raise
            try:
                return self._show(view.again(action, wrong), self._site.pages[action.page])
            except problems.Problem as problem:
                # What is wrong concerns the page itself.
                wrong.lead = wrong.lead or problem.lead or _back(view, action)
                raise wrong from None
        except problems.Problem as problem:
            problem.lead = problem.lead or _back(view, action)
            raise
        separator = "&" if "?" in done.location else "?"
        return RedirectResponse(f"{done.location}{separator}notice={request_id}", 303)

    # Metrics

    async def _metrics(self, request: Request) -> Response:
        assert self._site.metrics is not None
        View(self._site, request, _user(request)).require("view")
        return await run_in_threadpool(self._site.metrics.answer, request.headers.get("accept", ""))

    # What is new

    async def _events(self, request: Request) -> Response:
        page = self._site.pages.get(request.path_params["name"])
        if page is None or not page.feeds:
            raise problems.NotFound("There is no live page of this name.")
        View(self._site, request, _user(request), page=page).require(page.permission)
        if self._streams >= MOST_STREAMS:
            return PlainTextResponse("Too many streams: ask instead.", 503, {"Retry-After": "30"})
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._tell(page), media_type="text/event-stream", headers=headers)

    async def _tell(self, page: Page) -> AsyncIterator[str]:
        """Say that there is something new; the browser then reads the page again."""
        collector, loop, news = self._site.collector, asyncio.get_running_loop(), asyncio.Event()
        stop = collector.listen(lambda: loop.call_soon_threadsafe(news.set))
        self._streams += 1
        began = last = time.monotonic()
        try:
            yield "retry: 3000\n\n"
            while time.monotonic() - began < LONGEST_STREAM and not self._site.is_leaving:
                collector.want(page.feeds)
                if news.is_set() or last == began:
                    news.clear()
                    last = time.monotonic()
                    yield f"event: look\nid: {collector.sequence}\ndata: {{}}\n\n"
                elif time.monotonic() - last >= COMMENT:
                    last = time.monotonic()
                    yield ": still here\n\n"
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), 5.0)
        finally:
            self._streams -= 1
            stop()

    # Refusals

    async def _refused(self, request: Request, problem: Exception) -> Response:
        assert isinstance(problem, problems.Problem)
        return await run_in_threadpool(self._explain, request, problem)

    def _explain(self, request: Request, problem: problems.Problem) -> Response:
        user = request.scope.get("adjourn.user")
        view = View(self._site, request, user or User("", frozenset()))
        names = {"title": problem.title, "problem": problem, "is_known": user is not None}
        response = self._page(view, "problem.html", names, problem.status)
        response.headers.update(problem.headers)
        return response

    async def _unknown(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code != 404:
            return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)
        return await self._refused(request, problems.NotFound("Choose a page of the menu, or go back."))

    async def _failed(self, request: Request, error: Exception) -> Response:
        text = " ".join(str(error).split())
        if isinstance(error, ConnectorException):
            logger.warning("The dashboard could not read: %s", text, extra={"action": "web_read_failed"})
            return await self._refused(request, problems.Unavailable(f"{text} Load the page again in some seconds."))
        return await self._refused(request, problems.Problem(text))


def _back(view: View, action: Action) -> tuple[str, str] | None:
    """Return what leads back to the page that the form of an action is in, as far as it is known."""
    page = view.site.pages.get(action.page)
    return None if page is None else (f"Back to {page.title}", view.url(page.name, **action.asked(view.form)))


def _user(request: Request) -> User:
    user: User = request.scope["adjourn.user"]
    return user


async def _body(request: Request) -> bytes:
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > MOST_BODY:
            raise problems.TooLarge(f"A form has at most {MOST_BODY:,} bytes: send one with less in it.")
        parts.append(part)
    return b"".join(parts)
