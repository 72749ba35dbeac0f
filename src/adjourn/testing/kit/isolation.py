"""Apps for one test: what it stores, no other test sees."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from adjourn._drivers.wrappers import is_wrapper
from adjourn.app import App
from adjourn.connectors.base import BaseConnector
from adjourn.connectors.memory import InMemoryConnector
from adjourn.exceptions import InvalidOption
from adjourn.testing.kit.clearing import clear
from adjourn.testing.kit.databases import RunDatabase
from adjourn.testing.kit.places import OwnPlace, connection_of

KINDS = ("memory", "transaction", "delete", "schema", "template")

_TO_OURS = "Have your session connect to the fixture adjourn_dsn."
_MARK_DELETE = 'Mark the test with @pytest.mark.adjourn(isolation="delete"), and connect to the fixture adjourn_dsn.'


@attrs.frozen
class Isolated:
    """An app in a test.

    Attributes
    ----------
    app
        The app.
    new_connector
        Makes a connector to where its jobs are, for a worker; raises `InvalidOption` if no worker can see them.
    """

    app: App
    new_connector: Callable[[], BaseConnector]


def is_django(app: App) -> bool:
    """Return whether an app's connector is Django's."""
    return is_wrapper(connection_of(app.connector))


@contextlib.contextmanager
def isolated(app: App, kind: str, database: Callable[[], RunDatabase]) -> Iterator[Isolated]:
    """Have an app store its jobs where no other test sees them, for as long as the block lasts.

    Parameters
    ----------
    app
        The app.
    kind
        One of `KINDS`.
    database
        Returns the database of the tests; called if it is needed.

    Raises
    ------
    InvalidOption
        If the app's connector does not have this kind.
    """
    block: contextlib.AbstractContextManager[Isolated]
    if kind == "memory":
        block = _in_memory(app)
    elif is_django(app):
        block = _in_django(app, kind)
    else:
        block = _BLOCKS[kind](app, database())
    with block as isolated_app:
        yield isolated_app


@contextlib.contextmanager
def _in_memory(app: App) -> Iterator[Isolated]:
    functions: dict[str, Any] = {"json_dumps": app.connector.json_dumps, "json_loads": app.connector.json_loads}
    connector = InMemoryConnector(**functions)
    with app.swapped_connector(connector):
        yield Isolated(app, lambda: InMemoryConnector(store=connector.store, **functions))


@contextlib.contextmanager
def _in_django(app: App, kind: str) -> Iterator[Isolated]:
    connector: Any = app.connector
    if connector.alias != "default" and kind in ("transaction", "delete"):
        try:
            app.check_connection()
        except AssertionError as error:  # Django's
            raise InvalidOption(
                f"The jobs are in the database {connector.alias!r}, which this test may not use: mark it with "
                f"@pytest.mark.django_db(databases=['default', {connector.alias!r}])."
            ) from error
    if kind == "transaction":
        yield Isolated(app, _refuse_worker)
        return
    if kind != "delete":
        raise InvalidOption(
            f"isolation={kind!r}: Django makes the test database, one for each worker of pytest-xdist. Pass 'transaction', "
            "'delete' or 'memory'."
        )
    clear(app)
    # Afterwards the plugin does so, before pytest-django takes the database away.
    yield Isolated(app, connector.get_worker_connector)


@contextlib.contextmanager
def _with_deletion(app: App, database: RunDatabase) -> Iterator[Isolated]:
    own = app.connector
    with app.swapped_connector(OwnPlace(database.connector_like(own), None, _TO_OURS)):
        clear(app)
        yield Isolated(app, lambda: database.new_connector_like(own))
        if not database.keep:
            clear(app)


@contextlib.contextmanager
def _in_transaction(app: App, database: RunDatabase) -> Iterator[Isolated]:
    connector = database.connector_like(app.connector)
    pool: Any = getattr(connector, "pool", None)
    if "Psycopg2" in type(connector).__name__ or not hasattr(pool, "connection"):
        raise InvalidOption(
            f"isolation='transaction': tests with a {type(connector).__name__} have no transaction of their own. Pass "
            "'delete', or give your own connection to adjourn.testing.drain(app, connection=...)."
        )
    with (
        pool.connection() as connection,
        connection.transaction(force_rollback=True),
        app.swapped_connector(OwnPlace(connector, connection, _MARK_DELETE)),
    ):
        yield Isolated(app, _refuse_worker)


@contextlib.contextmanager
def _in_schema(app: App, database: RunDatabase) -> Iterator[Isolated]:
    own = app.connector
    connector = database.connector_like(own)
    with database.new_schema(connector) as schema, app.swapped_connector(OwnPlace(connector, None, _TO_OURS), schema):
        yield Isolated(app, lambda: database.new_connector_like(own))


@contextlib.contextmanager
def _in_copy(app: App, database: RunDatabase) -> Iterator[Isolated]:
    own = app.connector
    with database.new_copy() as dsn, contextlib.ExitStack() as stack:
        connector = database.new_connector_like(own, dsn)
        connector.open()
        stack.callback(connector.close)
        with app.swapped_connector(OwnPlace(connector, None, _MARK_DELETE)):
            yield Isolated(app, lambda: database.new_connector_like(own, dsn))


_BLOCKS: dict[str, Callable[[App, RunDatabase], contextlib.AbstractContextManager[Isolated]]] = {
    "delete": _with_deletion,
    "transaction": _in_transaction,
    "schema": _in_schema,
    "template": _in_copy,
}


def _refuse_worker() -> BaseConnector:
    raise InvalidOption(
        "A worker sees nothing of a transaction that is open: mark the test with @pytest.mark.adjourn(isolation='delete')."
    )
