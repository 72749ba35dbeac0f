"""Who may see the dashboard, and do what: users, permissions, and the ways to tell who somebody is."""

from __future__ import annotations

import base64
import binascii
import hmac
import inspect
import ipaddress
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeAlias, cast

import attrs
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from adjourn._domain.spelling import hint
from adjourn.exceptions import InvalidOption
from adjourn.web.problems import Forbidden, TooMany, Unauthorized

PERMISSIONS: dict[str, str] = {
    "view": "see all pages, with secret arguments hidden",
    "view_args": "reveal the hidden arguments of one job",
    "job.retry": "run finished jobs again",
    "job.run_now": "run waiting jobs at once",
    "job.reschedule": "change when waiting jobs run",
    "job.priority": "change the priority of waiting jobs",
    "job.move": "move waiting jobs to another queue",
    "job.cancel": "cancel waiting jobs",
    "job.abort": "ask running jobs to end",
    "job.delete": "delete waiting and finished jobs",
    "job.defer": "store new jobs",
    "bulk": "do with all jobs of a filter what one may do with one",
    "queue.pause": "pause and resume queues and tasks",
    "schedule.run": "run a schedule's task now",
    "schedule.pause": "pause and resume schedules",
    "audit": "see who did what",
    "database": "see the state of the database",
}
"""What there is to permit, and what it means."""
USUAL: frozenset[str] = frozenset(PERMISSIONS) - {"view_args", "job.defer"}
"""What a user may do unless somebody says otherwise: all but to reveal secret arguments, and to store new jobs."""
FAILURES = 5
"""So many wrong passwords a minute are answered for an address."""
MOST_ADDRESSES = 10_000

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def _permissions(value: Collection[str] | None) -> frozenset[str] | None:
    return None if value is None else checked_permissions(value)


@attrs.frozen
class User:
    """Somebody who uses the dashboard.

    Parameters
    ----------
    name
        The name that the audit has.
    permissions
        What the user may do, of ``adjourn.web.PERMISSIONS``. None: what ``create_app`` was told. Default: None.
    how
        How we know who it is, for the audit. Default: ``"auth"``.

    Raises
    ------
    InvalidOption
        If there is no such permission.
    """

    name: str
    permissions: frozenset[str] | None = attrs.field(default=None, converter=_permissions)
    how: str = "auth"


Auth: TypeAlias = Callable[[Request], User | str | Response | Awaitable[User | str | Response | None] | None]
"""Returns who has sent a request: a user or a name, None for nobody, or a response that is sent instead, such as one that leads
to a page for signing in. May be a coroutine function."""


def anybody(request: Request) -> User:
    """Let everybody in: pass it as ``auth`` where something else keeps others out."""
    return User("anybody", how="open")


def checked_permissions(value: Collection[str]) -> frozenset[str]:
    """Return permissions as a set.

    Raises
    ------
    InvalidOption
        If there is no such permission.
    """
    if isinstance(value, str):
        raise InvalidOption(f"permissions={value!r}: pass a collection of names, such as {{'view'}}.")
    for each in value:
        if each not in PERMISSIONS:
            raise InvalidOption(
                f"permissions: {each!r}{hint(str(each), PERMISSIONS)} There are: {', '.join(PERMISSIONS)}."
            )
    return frozenset(value)


async def user_of(request: Request, auth: Auth) -> User | Response:
    """Return who has sent a request, or the response that is sent instead.

    Raises
    ------
    Problem
        If nobody is signed in.
    """
    if inspect.iscoroutinefunction(auth) or inspect.iscoroutinefunction(getattr(auth, "__call__", None)):  # noqa: B004
        found = await cast("Awaitable[Any]", auth(request))
    else:
        found = await run_in_threadpool(auth, request)
        if inspect.isawaitable(found):
            found = await found
    if isinstance(found, User | Response):
        return found
    if isinstance(found, str) and found:
        return User(found)
    if found is None:
        raise Forbidden(
            "You are not signed in, or not as somebody who may see this dashboard. Sign in where you came from, and load the page again; "
            "or ask who runs the dashboard."
        )
    raise TypeError(f"auth returned {type(found).__name__}: return an adjourn.web.User, a name, a response, or None.")


def lacking(user: User, permission: str) -> Forbidden:
    """Return the refusal of what a user has no permission for, with who can give it."""
    return Forbidden(
        f"{user.name if user.name and user.how != 'open' else 'You'} may not {PERMISSIONS[permission]}. That needs the permission {permission}: ask who runs this dashboard to give it, by "
        "--permission, or in create_app by permissions or auth."
    )


class Password:
    """Asks for a name and a password by HTTP's own way, *Basic*. Pass an instance as ``auth``.

    Parameters
    ----------
    user, password
        Whom to let in.

    Raises
    ------
    InvalidOption
        If one of them is empty, or the name has a colon.
    """

    def __init__(self, user: str, password: str) -> None:
        if not user or not password or ":" in user:
            raise InvalidOption("user and password: pass both; a name has no colon.")
        self._user = user
        self._expected = f"{user}:{password}".encode()
        self._failures: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    async def __call__(self, request: Request) -> User:
        """Return the user, or refuse."""
        address = request.client.host if request.client else ""
        self._check_failures(address)
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic" or not given:
            raise self._refusal()
        try:
            sent = base64.b64decode(given, validate=True)
        except (binascii.Error, ValueError):
            sent = b""
        if not hmac.compare_digest(sent, self._expected):
            with self._lock:
                if len(self._failures) >= MOST_ADDRESSES:
                    self._failures.clear()
                self._failures.setdefault(address, deque(maxlen=FAILURES)).append(time.monotonic())
            raise self._refusal()
        return User(self._user, how="password")

    def _check_failures(self, address: str) -> None:
        with self._lock:
            failed = self._failures.get(address)
            if failed and len(failed) == FAILURES and time.monotonic() - failed[0] < 60:
                raise TooMany(
                    "There were five wrong passwords from your address within a minute. Wait a minute, and try again.",
                    headers={"Retry-After": "60"},
                )

    def _refusal(self) -> Unauthorized:
        return Unauthorized(
            "Send the name and the password of this dashboard.",
            headers={"WWW-Authenticate": 'Basic realm="adjourn", charset="UTF-8"'},
        )


class Header:
    """Takes the user's name from a header that a proxy sets. Pass an instance as ``auth``, and the proxy as ``trusted_proxies``:
    from anybody else the header does not count.

    Parameters
    ----------
    name
        The header, such as ``X-Forwarded-User``.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, request: Request) -> User | None:
        """Return the user, or None."""
        found = request.headers.get(self.name, "") if request.scope.get("adjourn.trusted") else ""
        return User(found, how=f"header {self.name}") if found else None


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return networks, such as ``10.0.0.0/8``.

    Raises
    ------
    InvalidOption
        If one of them is no network.
    """
    found = []
    for each in texts:
        try:
            found.append(ipaddress.ip_network(each, strict=False))
        except ValueError:
            raise InvalidOption(f"trusted_proxies: {each!r} is no network: pass one such as '10.0.0.0/8'.") from None
    return tuple(found)


def is_within(address: str, known: Sequence[Network]) -> bool:
    """Return whether an address is of one of these networks."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in each for each in known)
