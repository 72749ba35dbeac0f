"""What a request is refused with: a status, and what the reader can do about it."""

from __future__ import annotations


class Problem(Exception):
    """A request cannot be answered as asked.

    Parameters
    ----------
    text
        What is wrong, and what to do, in sentences.
    status
        The HTTP status.
    headers
        Headers to answer with.
    lead
        A text and the address that it leads to: where to go on.
    """

    status: int = 400
    title: str = "This request cannot be answered"

    def __init__(
        self, text: str, *, headers: dict[str, str] | None = None, lead: tuple[str, str] | None = None
    ) -> None:
        super().__init__(text)
        self.text = text
        self.lead = lead
        self.headers: dict[str, str] = headers or {}


class BadInput(Problem):
    """A parameter has a value that it cannot have.

    Parameters
    ----------
    name
        The parameter.
    remedy
        What is wrong with it, and what to pass instead.
    """

    title = "A value cannot be used"

    def __init__(self, name: str, remedy: str) -> None:
        super().__init__(f"{name}: {remedy}")
        self.name = name


class Unauthorized(Problem):
    """Nobody is signed in."""

    status = 401
    title = "Sign in"


class Forbidden(Problem):
    """The user may not do this."""

    status = 403
    title = "You may not do this"


class NotFound(Problem):
    """There is no such thing."""

    status = 404
    title = "There is no such page"


class Conflict(Problem):
    """What was seen is no longer so; nothing was done."""

    status = 409
    title = "It has changed meanwhile"


class TooLarge(Problem):
    """The request's body is longer than any form of these pages."""

    status = 413
    title = "The request is too large"


class TooMany(Problem):
    """Too many requests of this kind: try again later."""

    status = 429
    title = "Too many tries"


class Unavailable(Problem):
    """The database does not answer."""

    status = 503
    title = "The database does not answer"
