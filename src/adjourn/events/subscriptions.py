"""The subscribers of each kind of event, and a check whether an event has any before it is made."""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from adjourn._domain.checks import check_flag
from adjourn._domain.middleware import is_async
from adjourn.exceptions import InvalidOption

logger: logging.Logger = logging.getLogger("adjourn.events")

EventT = TypeVar("EventT", bound="Event")

RAISED = (Exception, asyncio.CancelledError)
"""What a subscriber may raise without harm. A cancelled task's result raises CancelledError, which would otherwise look as if
the code that emits the event had been cancelled."""


@attrs.frozen(kw_only=True)
class Event:
    """Something that has happened. A subscriber to this class gets every event."""


@attrs.frozen(eq=False)
class _Subscription:
    kind: type[Event]
    subscriber: Callable[[Any], object]
    when: Callable[[], bool] | None
    exactly: bool

    def covers(self, kind: type[Event]) -> bool:
        return kind is self.kind if self.exactly else issubclass(kind, self.kind)


class _Found(dict[type[Event], tuple[_Subscription, ...]]):
    """The subscriptions that cover each class of events, collected on first use."""

    def __init__(self, find: Callable[[type[Event]], tuple[_Subscription, ...]]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, kind: type[Event]) -> tuple[_Subscription, ...]:
        found = self[kind] = self._find(kind)
        return found


class Events:
    """The events of one app, and their subscribers. Every app has one, as ``app.events``.

    Parameters
    ----------
    parent
        The events whose subscribers get these events as well.
    """

    def __init__(self, parent: Events | None = None) -> None:
        self._parent = parent
        self._children: weakref.WeakSet[Events] = weakref.WeakSet()
        self._changing = threading.RLock()
        self._own: tuple[_Subscription, ...] = ()
        self._found = _Found(self._find)
        if parent is not None:
            with parent._changing:
                parent._children.add(self)

    def subscribe(
        self,
        kind: type[EventT],
        subscriber: Callable[[EventT], object],
        *,
        when: Callable[[], bool] | None = None,
        exactly: bool = False,
    ) -> Callable[[], None]:
        """Call a function with every event of a kind, from now on. Any thread may subscribe.

        Parameters
        ----------
        kind
            A class of `adjourn.events`; events of the classes derived from it are of this kind, too.
        subscriber
            A plain function that takes the event. It is called at once, in the thread where the event happens: that of
            a worker's event loop, of its heartbeat, or of the code that defers a job. It must not block. If it raises,
            that is reported, and does no harm.
        when
            Called before an event is made: if it returns False, this subscriber does not get the event. None (the
            default) means always.
        exactly
            Whether to leave out the events of derived classes; False by default.

        Returns
        -------
        callable
            Ends the subscription. Calling it twice does nothing.

        Raises
        ------
        InvalidOption
            If ``kind`` is not such a class, ``subscriber`` cannot be called or is async, or ``when`` cannot be called.
        """
        if not isinstance(kind, type) or not issubclass(kind, Event):
            raise InvalidOption(f"kind={kind!r}: pass a class of adjourn.events, such as JobFailed.")
        if not callable(subscriber):
            raise InvalidOption(f"subscriber={subscriber!r}: pass a function that takes an event.")
        if is_async(subscriber):
            raise InvalidOption(
                f"subscriber={subscriber!r}: pass a plain function; it can start a task where there is an event loop."
            )
        if when is not None and not callable(when):
            raise InvalidOption(f"when={when!r}: pass a function without parameters, or None.")
        check_flag("exactly", exactly)
        subscription = _Subscription(kind, subscriber, when, exactly)
        self._change(lambda own: (*own, subscription))
        return functools.partial(self._change, lambda own: tuple(each for each in own if each is not subscription))

    def wants(self, kind: type[Event]) -> bool:
        """Return whether events of exactly this class have subscribers. If not, do not make one."""
        # This runs twice for each job, so it calls as little as possible.
        for each in self._found[kind]:
            try:
                if each.when is None or each.when():
                    return True
            except RAISED as error:
                report(f"A subscriber to {kind.__name__}", error)
        return False

    def emit(self, event: Event) -> None:
        """Call the subscribers."""
        kind = type(event)
        for each in self._found[kind]:
            try:
                if each.when is None or each.when():
                    each.subscriber(event)
            except RAISED as error:  # subscribers are user code, whose errors must not harm a job
                report(f"A subscriber to {kind.__name__}", error)

    def _find(self, kind: type[Event]) -> tuple[_Subscription, ...]:
        inherited = () if self._parent is None else self._parent._found[kind]
        return (*inherited, *(each for each in self._own if each.covers(kind)))

    def _change(self, change: Callable[[tuple[_Subscription, ...]], tuple[_Subscription, ...]]) -> None:
        with self._changing:
            self._own = change(self._own)
        self._forget()

    def _forget(self) -> None:
        # Code that still holds the old dictionary fills in only that one, which is no longer read.
        self._found = _Found(self._find)
        with self._changing:
            children = list(self._children)
        for child in children:
            child._forget()


def report(who: str, error: BaseException) -> None:
    """Report what somebody raised who was told of something, as text, because the objects involved may not be printable.

    Parameters
    ----------
    who
        Who raised it: ``"A subscriber to JobEnded"``.
    error
        The error.
    """
    message = f"{who} raised {type(error).__name__}. {_traceback(error)}"
    try:
        asyncio.get_running_loop().call_exception_handler({"message": message})
    except RuntimeError:  # there is no loop here
        try:
            logger.error(message)
        except Exception:  # the log itself has failed
            sys.stderr.write(f"{message}\n")


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error, chain=False))
    except Exception as unprintable:
        return f"It cannot be printed: {type(unprintable).__name__}"
