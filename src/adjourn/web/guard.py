"""Stands before all pages: who asks, from where, and with what; and the headers of each answer."""

from __future__ import annotations

import urllib.parse
from collections.abc import Awaitable, Callable, Sequence

import attrs
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adjourn.web import access
from adjourn.web.inputs import MOST_BODY, MOST_QUERY
from adjourn.web.problems import BadInput, Forbidden, Problem, TooLarge

STATIC = "/static/"
SAFE = ("GET", "HEAD", "OPTIONS")
CLOSED = (
    "This dashboard is closed: nobody has said who may see it. Pass auth= to adjourn.web.create_app, a function that returns the "
    "user of a request. Where something else keeps others out, pass auth=adjourn.web.anybody."
)


@attrs.frozen(kw_only=True)
class Rules:
    """Whom to let in.

    Attributes
    ----------
    auth
        Says who has sent a request; None: nobody is let in.
    hosts
        The hosts that a request may name, without ports; none: any.
    origins
        Other origins whose pages may send forms, such as ``https://intern.example.org``.
    proxies
        The networks of proxies whose headers count.
    prefix
        The path below which a proxy offers these pages without taking it away; empty for none.
    frame_ancestors
        Who may show these pages in a frame; none: nobody.
    """

    auth: access.Auth | None
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    proxies: tuple[access.Network, ...] = ()
    prefix: str = ""
    frame_ancestors: Sequence[str] = ()

    @property
    def headers(self) -> dict[str, str]:
        """The headers of each answer."""
        ancestors = " ".join(self.frame_ancestors) or "'none'"
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
            f"base-uri 'none'; frame-ancestors {ancestors}; require-trusted-types-for 'script'; trusted-types 'none'"
        )
        return {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        }


class Guard:
    """An ASGI middleware that keeps the rules.

    Parameters
    ----------
    app
        The pages.
    rules
        The rules.
    refuse
        Returns the answer to a request that is refused.
    """

    def __init__(
        self, app: ASGIApp, *, rules: Rules, refuse: Callable[[Request, Problem], Awaitable[Response]]
    ) -> None:
        self.app = app
        self._rules = rules
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000})
            else:
                await self.app(scope, receive, send)
            return
        scope = dict(scope)
        request = Request(scope, receive)
        answering = self._with_headers(send)
        try:
            self._place(scope)
            answer = await self._check(request, scope)
        except Problem as problem:
            answer = await self._refuse(request, problem)
        if answer is not None:
            await answer(scope, receive, answering)
        else:
            await self.app(scope, receive, answering)

    def _with_headers(self, send: Send) -> Send:
        async def answering(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._rules.headers.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        return answering

    def _place(self, scope: Scope) -> None:
        """Find out where these pages are, and whether a proxy that we trust has sent this."""
        address, _ = scope.get("client") or ("", 0)
        scope["adjourn.trusted"] = access.is_within(address, self._rules.proxies)
        headers = Headers(scope=scope)
        root, path = scope.get("root_path", ""), scope["path"]
        if scope["adjourn.trusted"]:
            if len(prefix := headers.get("x-forwarded-prefix", "").rstrip("/")) <= 1000 and prefix.startswith("/"):
                # The proxy has taken it away.
                scope["root_path"], scope["path"] = prefix + root, prefix + path
            if forwarded := headers.get("x-forwarded-for", ""):
                # The last one is the only one that this proxy has seen itself.
                scope["client"] = (forwarded.rpartition(",")[2].strip()[:100], 0)
        below = root + self._rules.prefix
        if self._rules.prefix and (path == below or path.startswith(f"{below}/")):
            scope["root_path"] = below

    async def _check(self, request: Request, scope: Scope) -> Response | None:
        rules = self._rules
        host = _host(request.headers.get("host", ""))
        if rules.hosts and host not in rules.hosts:
            raise BadInput(
                "Host", f"this dashboard does not answer for {host[:100]!r}. Name it in --allowed-host if it is yours."
            )
        if len(scope.get("query_string", b"")) > MOST_QUERY:
            raise BadInput(
                "parameters",
                f"the address has more than {MOST_QUERY:,} characters behind the question mark: pass fewer filters.",
            )
        if request.method not in SAFE:
            self._check_origin(request)
            length = request.headers.get("content-length", "0")
            if not length.isdecimal() or int(length) > MOST_BODY:
                raise TooLarge(f"A form has at most {MOST_BODY:,} bytes: send one with less in it.")
        if scope["path"].removeprefix(scope.get("root_path", "")).startswith(STATIC):
            return None  # these files are the package's, and say nothing of the queue
        if rules.auth is None:
            raise Forbidden(CLOSED)
        user = await access.user_of(request, rules.auth)
        if isinstance(user, Response):
            return user
        scope["adjourn.user"] = user
        return None

    def _check_origin(self, request: Request) -> None:
        """Refuse what a page of another site has a browser send."""
        headers, host = request.headers, request.headers.get("host", "")
        origin = headers.get("origin") or _origin(headers.get("referer", ""))
        if origin and origin in self._rules.origins:
            return
        site = headers.get("sec-fetch-site")
        if site is not None:
            accepted = site == "same-origin"
        elif origin:
            accepted = bool(host) and urllib.parse.urlsplit(origin).netloc == host
        else:
            accepted = "x-adjourn-request" in headers
        if not accepted:
            raise Forbidden(
                "This form was not sent by a page of this dashboard. Open the page here, and send it again. A program sends the "
                "header X-Adjourn-Request; behind a proxy that changes the Host, name your address in --allowed-origin."
            )


def _host(header: str) -> str:
    """Return the host of a header without its port."""
    if header.startswith("["):
        return header.partition("]")[0].lower() + "]"
    return header.partition(":")[0].lower()


def _origin(address: str) -> str:
    parts = urllib.parse.urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
