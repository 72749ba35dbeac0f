"""The tests of the connectors' contract notice what is wrong with a connector."""

from __future__ import annotations

import json
import unittest
from collections.abc import Callable
from typing import Any

import pytest

from adjourn import exceptions
from adjourn.connectors.base import BaseConnector, BaseSyncConnector, SyncSession
from adjourn.testing import ConnectorContract, MemoryStore, SyncInMemoryConnector
from adjourn.types import JSONDumps, JSONLoads, Parameters, Row, Statement

EVERY_TEST = sorted(name for name in vars(ConnectorContract) if name.startswith("test_"))


class OpensByItself(SyncInMemoryConnector):
    needs_opening = True

    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        self.open()
        return super().execute(statement, parameters, connection=connection)


class StaysOpen(SyncInMemoryConnector):
    needs_opening = True

    def close(self) -> None: ...


class RowsAreTuples(SyncInMemoryConnector):
    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        rows = super().execute(statement, parameters, connection=connection)
        return [tuple(row.values()) for row in rows]  # type: ignore[misc]


class BareErrors(SyncInMemoryConnector):
    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        try:
            return super().execute(statement, parameters, connection=connection)
        except exceptions.UniqueViolation as error:
            raise exceptions.ConnectorException(str(error)) from error


class AnyConnection(SyncInMemoryConnector):
    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        return super().execute(statement, parameters)


class ByHand(BaseSyncConnector):
    """A connector that is made of nothing but the public contract."""

    needs_opening = False

    def __init__(self) -> None:
        self.json_dumps: JSONDumps = json.dumps
        self.json_loads: JSONLoads = json.loads
        self._store = MemoryStore()

    def open(self, pool: Any = None) -> None: ...

    def close(self) -> None: ...

    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        if connection is not None:
            raise exceptions.InvalidConnection("There is none of yours to use.")
        return self._store.execute(statement, parameters)

    def session(self) -> SyncSession:
        return SyncInMemoryConnector(store=self._store).session()


def outcomes(make: Callable[[], BaseConnector]) -> dict[str, list[str]]:
    """Run the contract without any framework; the names of its tests by what came of them."""

    class Contract(ConnectorContract):
        executes_sql = False

        def make_connector(self) -> BaseConnector:
            return make()

    found: dict[str, list[str]] = {"kept": [], "broken": [], "skipped": []}
    for name in EVERY_TEST:
        try:
            getattr(Contract(), name)()
        except unittest.SkipTest:
            found["skipped"].append(name)
        except Exception:
            found["broken"].append(name)
        else:
            found["kept"].append(name)
    return found


@pytest.mark.parametrize("connector", [SyncInMemoryConnector, ByHand])
def test_a_connector_that_keeps_the_contract_passes_without_a_framework(connector: type[BaseConnector]) -> None:
    found = outcomes(connector)
    assert found["broken"] == []
    assert len(found["kept"]) >= 10


@pytest.mark.parametrize(
    ("connector", "word"),
    [
        (OpensByItself, "before_opening"),
        (StaysOpen, "after_closing"),
        (RowsAreTuples, "dictionaries"),
        (BareErrors, "errors_are_ours"),
        (AnyConnection, "connection_of_another_kind"),
    ],
)
def test_a_breach_is_noticed(connector: type[BaseConnector], word: str) -> None:
    assert any(word in name for name in outcomes(connector)["broken"])


def test_a_failure_names_the_connector_and_the_colour() -> None:
    class Contract(ConnectorContract):
        def make_connector(self) -> BaseConnector:
            return AnyConnection()

    with pytest.raises(AssertionError, match="AnyConnection, blocking calls: expected"):
        Contract().test_a_connection_of_another_kind_is_refused()
