"""The manager of the schema, in both colours."""

from __future__ import annotations

import functools
from collections.abc import Callable

from adjourn import sql
from adjourn._async.managers.schema import AsyncSchemaManager
from adjourn._sync.managers.schema import SyncSchemaManager
from adjourn.manager.source import ConnectorSource


class _GetSchema:
    """A method that can be called on an object and on its class."""

    def __get__(self, manager: SchemaManager | None, owner: type[SchemaManager]) -> Callable[[], str]:
        return functools.partial(sql.whole_schema, sql.DEFAULT_SCHEMA if manager is None else manager.schema)


class SchemaManager(AsyncSchemaManager, SyncSchemaManager):
    """Applies and describes the schema, in both colours.

    Parameters
    ----------
    connector
        The connector to the database.
    schema
        The database schema that holds adjourn's tables.

    Attributes
    ----------
    get_schema
        Returns the SQL of the whole schema as text, to read or for other tools. Called on the class, it uses the
        schema name ``adjourn``; called on a manager, the manager's.
    """

    connector: ConnectorSource
    get_schema: _GetSchema = _GetSchema()
