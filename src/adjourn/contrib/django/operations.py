"""The operation of Django's migrations that applies a version of adjourn's schema."""

from __future__ import annotations

from typing import Any

from django.db import NotSupportedError, OperationalError, router
from django.db.migrations.exceptions import IrreversibleError
from django.db.migrations.operations.base import Operation, OperationCategory

from adjourn import sql
from adjourn.contrib.django.cursors import sqlstate
from adjourn.contrib.django.procrastinate_app import app
from adjourn.contrib.django.settings import settings

__all__ = ["ApplySchema", "BuildIndexes"]

LOCKED = "55P03"
"""Postgres's code of the error that a lock was not granted in time."""


class ApplySchema(Operation):
    """Applies one version of adjourn's schema, and makes the partitions of the weeks ahead.

    It does nothing where that version has been applied already, such as by ``adjourn schema --apply``, and nothing on other
    databases than the one of ``ADJOURN_DATABASE_ALIAS``.

    Backwards it changes nothing, because older versions of adjourn work with a newer schema. Only the first version drops
    what adjourn has made; it refuses while jobs wait or run, unless ``ADJOURN_ALLOW_DROP`` is True.

    Parameters
    ----------
    version
        The number of the version.
    """

    reduces_to_sql = True
    reversible = True
    elidable = False
    category = OperationCategory.SQL

    def __init__(self, version: int) -> None:
        self.version = version

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return what recreates the operation."""
        return type(self).__qualname__, [], {"version": self.version}

    def describe(self) -> str:
        """Return a sentence about the operation."""
        return f"Apply version {self.version} of adjourn's schema"

    def references_model(self, name: str, app_label: str) -> bool:
        """Return whether it may work on a model."""
        return True

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Change nothing: the models have operations of their own."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Apply the version."""
        if not _is_here(app_label, schema_editor.connection):
            return
        version = sql.versions(settings.SCHEMA)[self.version - 1]
        _execute(schema_editor, [version.sql, sql.partitions_ahead(settings.SCHEMA).text])

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Drop the schema, if this is its first version.

        Raises
        ------
        IrreversibleError
            If jobs wait or run.
        """
        if self.version > 1 or not _is_here(app_label, schema_editor.connection):
            return
        try:
            _execute(schema_editor, [sql.removal(settings.SCHEMA, is_forced=settings.ALLOW_DROP).text])
        except OperationalError as error:
            if sqlstate(error) != sql.IS_IN_USE:
                raise
            reason = str(error).splitlines()[0]
            raise IrreversibleError(
                f"{reason}, and would be lost. Let workers finish them, or set ADJOURN_ALLOW_DROP = True."
            ) from error


class BuildIndexes(Operation):
    """Builds the indexes that a version of the schema has added to finished jobs, partition by partition, while workers go on.

    It is for a migration of its own, with ``atomic = False``, after the one that applies the version. It does nothing where they are built
    already. If it is interrupted, ``manage.py migrate`` goes on from there. Backwards it changes nothing.
    """

    reduces_to_sql = False
    reversible = True
    elidable = False
    category = OperationCategory.SQL

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return what recreates the operation."""
        return type(self).__qualname__, [], {}

    def describe(self) -> str:
        """Return a sentence about the operation."""
        return "Build indexes of adjourn's finished jobs"

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Change nothing."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Build them.

        Raises
        ------
        NotSupportedError
            In a transaction.
        """
        if not _is_here(app_label, schema_editor.connection):
            return
        if schema_editor.collect_sql:
            schema_editor.collected_sql.append(
                "-- The indexes are built partition by partition, outside of transactions."
            )
            return
        if schema_editor.connection.in_atomic_block:
            raise NotSupportedError(
                "BuildIndexes works outside of transactions: set `atomic = False` in the migration."
            )
        app.schema_manager.build_indexes()

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Change nothing."""


def _is_here(app_label: str, connection: Any) -> bool:
    """Return whether a database is the one that has the queue."""
    return (
        connection.vendor == "postgresql"
        and connection.alias == settings.DATABASE_ALIAS
        and router.allow_migrate(connection.alias, app_label, adjourn=True)
    )


def _execute(schema_editor: Any, texts: list[str]) -> None:
    # No table may be locked for long while others work with it.
    limit = sql.statements(settings.SCHEMA)["limit_waits"].text
    try:
        for text in [limit, *texts]:
            # Without parameters, percent signs count for themselves, and Django sends the text as it is.
            schema_editor.execute(text, params=None)
    except OperationalError as error:
        if sqlstate(error) == LOCKED:
            raise OperationalError(
                "adjourn's tables were in use, so that the schema was not changed. Run `manage.py migrate` again."
            ) from error
        raise
