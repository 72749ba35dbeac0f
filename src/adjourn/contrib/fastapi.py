"""For FastAPI: what `adjourn.contrib.starlette` has, and dependencies. Needs the extra ``fastapi``."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any, TypeAlias, get_args

try:
    from fastapi import Depends
    from fastapi.params import Depends as DependsParameter
except ModuleNotFoundError as _error:
    raise ImportError("adjourn.contrib.fastapi needs FastAPI: pip install 'adjourn[fastapi]'") from _error

from adjourn.app import App
from adjourn.contrib._transaction import Transaction
from adjourn.contrib.starlette import DurableTasks, get_app, lifespan
from adjourn.exceptions import InvalidOption

if "scope" not in inspect.signature(Depends).parameters:
    raise ImportError(
        "adjourn.contrib.fastapi needs FastAPI 0.121 or newer, whose dependencies can end before the answer is sent: pip "
        "install 'adjourn[fastapi]'"
    )

__all__ = ["Deferred", "DurableTasks", "Transaction", "durable_tasks", "get_app", "lifespan", "transaction"]

logger: logging.Logger = logging.getLogger(__name__)

Deferred: TypeAlias = Annotated[App, Depends(get_app)]
"""The type of a parameter that is the app that the lifespan has opened."""


def transaction(session: Any) -> Any:
    """Return a dependency: a `Transaction`, which stores jobs in the transaction of a request's session.

    The session's dependency should commit before the answer is sent: ``Depends(get_session, scope="function")``. In
    FastAPI's default scope it commits afterwards, so that a request whose commit fails is answered as done; a warning is
    logged, once.

    Parameters
    ----------
    session
        What the endpoints have as the session: the same ``Annotated[Session, Depends(get_session, scope="function")]``,
        the same ``Depends(...)``, or the function in it.

    Raises
    ------
    InvalidOption
        If it is none of these.

    Examples
    --------
    ::

        Session = Annotated[AsyncSession, Depends(get_session, scope="function")]
        Jobs = Annotated[Transaction, transaction(Session)]

        @web.post("/orders")
        async def order(session: Session, jobs: Jobs) -> None:
            session.add(Order(id=1))
            await jobs.defer_async(ship, order_id=1)
    """
    source = _dependency(session)
    watch = _Watch(source)

    async def transaction_of_request(connection: Any = source) -> AsyncIterator[Transaction]:
        found = Transaction(connection)
        yield found
        watch.check(connection, found.is_used)

    return Depends(transaction_of_request, scope="function")


def durable_tasks(session: Any = None) -> Any:
    """Return a dependency: `DurableTasks`, which are stored when the endpoint has returned, before the answer is sent.

    If the endpoint raises, or the jobs cannot be stored, nothing is stored.

    Parameters
    ----------
    session
        The session whose transaction they belong to, as `transaction` takes it. Default: None, none.

    Raises
    ------
    InvalidOption
        If it is not a session as `transaction` takes it.
    """
    if session is None:

        async def tasks_of_request() -> AsyncIterator[DurableTasks]:
            async with DurableTasks() as tasks:
                yield tasks

        return Depends(tasks_of_request, scope="function")
    source = _dependency(session)
    watch = _Watch(source)

    async def tasks_in_transaction(connection: Any = source) -> AsyncIterator[DurableTasks]:
        async with DurableTasks(connection) as tasks:
            yield tasks
            is_used = not tasks.is_empty
        watch.check(connection, is_used)

    return Depends(tasks_in_transaction, scope="function")


class _Watch:
    """Warns once if the jobs of a request are committed after its answer.

    Parameters
    ----------
    source
        The session's dependency.
    """

    def __init__(self, source: DependsParameter) -> None:
        self._is_early = source.scope == "function"
        self._name = getattr(source.dependency, "__qualname__", repr(source.dependency))
        self._has_warned = False

    def check(self, connection: Any, is_used: bool) -> None:
        """Look at a session when the endpoint has returned."""
        if self._is_early or self._has_warned or not is_used:
            return
        # A request-scoped session may have been committed by the endpoint itself.
        is_open = getattr(connection, "in_transaction", None)
        if is_open is None or is_open():
            self._has_warned = True
            logger.warning(
                "The jobs of a request are committed after its answer, or never, because %s is a dependency in the scope of "
                'requests. Write Depends(%s, scope="function"), in every place.',
                self._name,
                self._name,
                extra={"action": "committed_after_answer"},
            )


def _dependency(session: Any) -> DependsParameter:
    found: list[Any] = [each for each in get_args(session)[1:] if isinstance(each, DependsParameter)]
    if isinstance(session, DependsParameter):
        found = [session]
    elif not found and callable(session) and not get_args(session):
        found = [Depends(session)]
    if not found:
        raise InvalidOption(
            f"session={session!r}: pass what your endpoints have as the session, such as Annotated[AsyncSession, "
            'Depends(get_session, scope="function")].'
        )
    depends: DependsParameter = found[-1]
    return depends
