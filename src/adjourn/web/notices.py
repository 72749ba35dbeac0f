"""What actions have done: each is carried out once, however often its form is sent, and the next page says what came of it."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeAlias

import attrs

from adjourn.web.problems import BadInput, Conflict

Key: TypeAlias = tuple[str, str]
MOST_KEPT = 1000
PATIENCE = 30.0
"""Seconds that a form that was sent twice waits for the first one."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


@attrs.frozen
class Done:
    """What an action has done.

    Attributes
    ----------
    text
        One sentence, shown on top of the next page.
    location
        The address of that page, from `View.url`.
    is_good
        Whether it did what was asked.
    """

    text: str
    location: str
    is_good: bool = True


class Notices:
    """Remembers the latest actions of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done: OrderedDict[Key, Future[Done]] = OrderedDict()

    def once(self, user: str, request_id: str, act: Callable[[], Done]) -> Done:
        """Carry out an action, unless it was carried out; then return what came of it.

        Parameters
        ----------
        user
            Who has sent it.
        request_id
            The id of its form.
        act
            Carries it out.

        Raises
        ------
        BadInput
            If it cannot be the id of a form.
        """
        if not _REQUEST_ID.fullmatch(request_id):
            raise BadInput("request_id", "pass 8 to 64 letters, digits, _ and -, another one for each action.")
        with self._lock:
            before = self._done.get((user, request_id))
            future: Future[Done] = Future()
            if before is None:
                self._done[user, request_id] = future
                while len(self._done) > MOST_KEPT:
                    self._done.popitem(last=False)
        if before is not None:
            try:
                return before.result(PATIENCE)
            except TimeoutError:
                raise Conflict(
                    "The same form was sent before, and is still being carried out. Wait some seconds, and look at the page: nothing is done twice."
                ) from None
        try:
            done = act()
        except BaseException as error:
            # It may be sent again: nothing was done.
            with self._lock:
                self._done.pop((user, request_id), None)
            future.set_exception(error)
            raise
        future.set_result(done)
        return done

    def told(self, user: str, request_id: str) -> Done | None:
        """Return what came of an action of this user, if it is known."""
        with self._lock:
            found = self._done.get((user, request_id))
        return found.result() if found is not None and found.done() and not found.exception() else None
