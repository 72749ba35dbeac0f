"""Bring the database's schema to the version that this adjourn needs, from any earlier one."""

from __future__ import annotations

import pathlib

from adjourn import sql
from adjourn._async.connectors.contract import AsyncConnectorSource, AsyncSession
from adjourn._async.managers.indexes import build_indexes_async, list_parts_async
from adjourn._async.managers.partitions import make_partitions_async
from adjourn._async.managers.statements import misplaced_functions_async, schema_version_async
from adjourn._async.managers.trial import AsyncTrial
from adjourn._domain.callings import connecting_as
from adjourn._domain.checks import check_connector
from adjourn._domain.indexes import UnbuiltIndex, unbuilt
from adjourn.exceptions import ConnectorException, InvalidOption


class AsyncSchemaManager:
    """Applies and describes the schema.

    Parameters
    ----------
    connector
        The database.
    schema
        The name of the schema that holds adjourn's tables.

    Raises
    ------
    InvalidOption
        If ``connector`` is not a connector, or ``schema`` cannot be the name of a schema.
    """

    def __init__(self, connector: AsyncConnectorSource, schema: str = sql.DEFAULT_SCHEMA) -> None:
        check_connector(connector)
        sql.statements(schema)  # raises if this cannot be a schema's name
        self.connector = connector
        self.schema = schema

    async def apply_schema_async(self) -> list[str]:
        """Bring the schema up to date, and return what was done.

        It may be run at any time, even several times at once: it is one transaction under an advisory lock, and does
        nothing if the schema is up to date. In a schema that was renamed it makes the functions anew, because they hold
        its name. Afterwards it makes the partitions of the weeks ahead. If others use the
        table of finished jobs for so long that this fails, one of the lines says who they are.

        At last it builds the indexes that partitions of finished jobs lack (`list_unbuilt_indexes`), one by one and each by itself, while
        workers go on. If that is interrupted, the next call goes on from there.

        Returns
        -------
        list of str
            One line for each change; an empty list if there was none.

        Raises
        ------
        ConnectorException
            If the database refuses; nothing is changed then, or indexes are built in part. If a right is missing, the message has the
            GRANT that adds it.
        """
        with connecting_as("schema"):
            session = await self.connector.get_async_connector().session_async()
        try:
            done = await self._apply_async(session)
            done += await make_partitions_async(session, self.schema)
            return done + await self._build_indexes_async(session)
        finally:
            # Closing the connection also ends an open transaction.
            await session.close_async()

    async def _apply_async(self, session: AsyncSession) -> list[str]:
        statements = sql.statements(self.schema)
        done = []
        await session.execute_async(statements["begin"])
        try:
            await session.execute_async(statements["lock_migrations"], {})
            applied = await schema_version_async(session, self.schema)
            for version in sql.versions(self.schema):
                if version.number > applied:
                    await session.execute_async(version.statement)
                    done.append(f"applied version {version.number} ({version.name}) to schema {self.schema}")
            misplaced = await misplaced_functions_async(session, self.schema)
            for function in misplaced:
                await session.execute_async(function)
            if misplaced:
                done.append(f"made {len(misplaced)} functions of schema {self.schema} anew, which held its former name")
        except ConnectorException as error:
            if sql.lacks_right(error):
                raise sql.missing_right(self.schema, error) from error
            raise
        await session.execute_async(statements["commit"])
        return done

    async def get_version_async(self) -> int:
        """Return the version of the schema that the database has, 0 for none.

        Raises
        ------
        ConnectorException
            If the database cannot be asked; if a right is missing, the message says what prints the grants.
        """
        try:
            return await schema_version_async(self.connector.get_async_connector(), self.schema)
        except ConnectorException as error:
            if sql.lacks_right(error):
                raise sql.missing_grant(error) from error
            raise

    async def build_indexes_async(self) -> list[str]:
        """Build the indexes that partitions of finished jobs lack, as `apply_schema` does at last, and return what was done.

        It is for who applies versions with other tools. It works outside of transactions, one partition after the other, while workers
        go on. It waits for the transactions that are open. If it is interrupted, the next call goes on from there.

        Returns
        -------
        list of str
            One line for each index. If another session keeps it from building one, a line says which.

        Raises
        ------
        ConnectorException
            If the database refuses. If a right is missing, the message says so.
        """
        with connecting_as("schema"):
            session = await self.connector.get_async_connector().session_async()
        try:
            return await self._build_indexes_async(session)
        finally:
            await session.close_async()

    async def _build_indexes_async(self, session: AsyncSession) -> list[str]:
        try:
            return await build_indexes_async(session, self.schema)
        except ConnectorException as error:
            if sql.lacks_right(error):
                raise sql.missing_right(self.schema, error) from error
            raise

    async def list_unbuilt_indexes_async(self) -> list[UnbuiltIndex]:
        """Return the indexes that are not on all partitions of finished jobs yet, and how far they are.

        `apply_schema` builds them. It may be asked meanwhile, by any program. As text each is a sentence about it.

        Raises
        ------
        ConnectorException
            If the database cannot be asked.
        """
        return unbuilt(await list_parts_async(self.connector.get_async_connector(), self.schema))

    async def check_exists_async(self) -> None:
        """Refuse a database that has no adjourn schema, whatever its version.

        Raises
        ------
        SchemaOutOfDate
            If it is missing; the message names the command that makes it.
        ConnectorException
            If the database cannot be asked; if a right is missing, the message says what prints the grants.
        """
        connector, statement = self.connector.get_async_connector(), sql.statements(self.schema)["schema_exists"]
        try:
            (found,) = await connector.execute_async(statement, {})
        except ConnectorException as error:
            if sql.lacks_right(error):
                raise sql.missing_grant(error) from error
            raise
        if not found["exists"]:
            raise sql.out_of_date(self.schema, 0, self.connector.applies_schema)

    async def check_version_async(self) -> None:
        """Refuse a database whose schema is missing or older than this version of adjourn needs, or was renamed.

        Raises
        ------
        SchemaOutOfDate
            If it is missing or older, or its functions still work on a schema of the name that it had when they were
            made; the message says which, and names the command that fixes it.
        """
        version = await self.get_version_async()
        if version < sql.latest_version():
            raise sql.out_of_date(self.schema, version, self.connector.applies_schema)
        if await misplaced_functions_async(self.connector.get_async_connector(), self.schema):
            raise sql.renamed(self.schema, self.connector.applies_schema)

    async def try_out_async(self, kind: str = "worker") -> None:
        """Try what a worker, or a program that defers jobs, does with the database. Nothing of it remains.

        It stores jobs in a queue of its own, runs and changes them, and rolls all of that back.

        Parameters
        ----------
        kind
            ``"worker"`` (the default) for all that workers do, ``"producer"`` for deferring only.

        Raises
        ------
        SchemaOutOfDate
            If the schema is missing, older than this version of adjourn needs, or was renamed.
        ConnectorException
            If something fails; the message says what, and names the remedy if a right is missing.
        InvalidOption
            If there is no such kind.
        """
        if kind not in ("worker", "producer"):
            raise InvalidOption(f"kind={kind!r}: pass 'worker' or 'producer'.")
        await self.check_version_async()
        await AsyncTrial(self.connector, self.schema).run_async(as_worker=kind == "worker")

    @staticmethod
    def get_migrations_path() -> str:
        """Return the directory of the migrations' files.

        The files are templates to read. `adjourn.schema.versions` returns SQL that can be executed.
        """
        return str(pathlib.Path(sql.__file__).parent / "migrations")
