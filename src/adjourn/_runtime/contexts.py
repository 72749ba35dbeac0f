"""A call that can be awaited, or entered with ``async with``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class AwaitableContext(Generic[T]):
    """What ``app.open_async()`` returns: await it to open the app; ``async with`` opens it and closes it again.

    Parameters
    ----------
    enter
        Opens the app.
    leave
        Closes the app.
    value
        The result of the call.
    """

    def __init__(self, enter: Callable[[], Awaitable[None]], leave: Callable[[], Awaitable[None]], value: T) -> None:
        self._enter = enter
        self._leave = leave
        self._value = value

    def __await__(self) -> Generator[Any, None, T]:
        yield from self._enter().__await__()
        return self._value

    async def __aenter__(self) -> T:
        await self._enter()
        return self._value

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave()
