"""Small helpers that belong to no room of their own."""

from __future__ import annotations

import contextlib
import datetime
import importlib
import inspect
import itertools
import logging
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from types import FrameType, TracebackType
from typing import Any, Generic, NoReturn, TypeVar

from adjourn import exceptions
from adjourn.types import TimeDeltaParams as TimeDeltaParams

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("adjourn.utils")


class AwaitableContext(Generic[T]):
    """The answer of ``app.open_async()``: await it to open, or enter it with ``async with`` to close again, too."""

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


class MovedElsewhere:
    """Stands for something that programs import by an old name, and says on use where to find it.

    Parameters
    ----------
    name
        The old name.
    new_location
        What to use instead.
    """

    def __init__(self, name: str, new_location: str) -> None:
        self.name = name
        self.new_location = new_location

    def __repr__(self) -> str:
        return f"<{self.name}, moved to {self.new_location}>"

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise exceptions.MovedElsewhere(f"{self.name} is not here: use {self.new_location}.")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith(
            "__"
        ):  # whoever looks at an object asks for these, and wants to hear only that there is none
            raise AttributeError(name)
        self()


AiopgConnector: MovedElsewhere = MovedElsewhere("AiopgConnector", "adjourn.AsyncPsycopg2Connector")
"""aiopg is psycopg2 on an event loop, and so is the connector that stands in for it."""


def utcnow() -> datetime.datetime:
    """Return the time, aware, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def caller_module() -> str | None:
    """Return the name of the module outside this package that called into it."""
    for frame in _frames():
        if not _is_ours(frame):
            name: str | None = frame.f_globals.get("__name__")
            return name
    return None


def caller_stacklevel() -> int:
    """Return the ``stacklevel`` with which a warning, issued by whoever calls this, points outside this package."""
    return sum(1 for _ in itertools.takewhile(_is_ours, _frames())) - 1


def _frames() -> Iterator[FrameType]:
    frame = inspect.currentframe()
    frame = frame and frame.f_back  # this generator's own is no caller
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_ours(frame: FrameType) -> bool:
    package = __name__.partition(".")[0]
    return str(frame.f_globals.get("__name__")).partition(".")[0] == package


def load_from_path(path: str, kind: type[T]) -> T:
    """Import an object by its dotted path, such as ``package.module.app``.

    Raises
    ------
    LoadFromPathError
        If it cannot be imported, or is something else than expected.
    """
    module_name, _, name = path.replace(":", ".").rpartition(".")
    if not module_name or not name:
        raise exceptions.LoadFromPathError(f"{path!r} is not a path such as package.module.app.")
    import_all([module_name])
    module = importlib.import_module(module_name)
    if not hasattr(module, name):
        raise exceptions.LoadFromPathError(f"{path!r}: module {module_name} has no {name!r}.")
    value = getattr(module, name)
    if not isinstance(value, kind):
        raise exceptions.LoadFromPathError(f"{path!r} is of type {type(value).__name__}, not {kind.__name__}.")
    return value


def import_all(module_names: Iterable[str]) -> None:
    """Import modules by name.

    Raises
    ------
    LoadFromPathError
        Naming the module that cannot be imported, and why.
    """
    for name in module_names:
        logger.debug("Importing module %s", name, extra={"action": "import_module", "module_name": name})
        try:
            importlib.import_module(name)
        except ImportError as error:
            message = f"Module {name!r} could not be imported: {error}. Is its directory on Python's import path?"
            raise exceptions.LoadFromPathError(message) from error


def keep_for_ever(inherited: Any) -> None:
    """Keep something that a fork has copied from being deleted, even at the end of the process.

    To delete it would be to talk to the parent's database sessions, or to complain that nobody has closed them.
    """
    with contextlib.suppress(ImportError, AttributeError):
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
