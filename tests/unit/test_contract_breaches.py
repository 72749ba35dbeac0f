"""The tests of the connectors' contract notice what is wrong with a connector."""

from __future__ import annotations

import json
import threading
import unittest
from collections.abc import Callable
from typing import Any

import pytest

from adjourn import exceptions
from adjourn._sync.connectors.memory import SyncInMemorySession
from adjourn.connectors.base import BaseConnector, BaseSyncConnector, SyncSession
from adjourn.testing import ConnectorContract, MemoryStore, SyncInMemoryConnector
from adjourn.types import JSONDumps, JSONLoads, Parameters, Row, Statement

EVERY_TEST = sorted(name for name in dir(ConnectorContract) if name.startswith("test_"))


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
        except exceptions.ConnectorException as error:
            raise ValueError(str(error)) from error


class AnyConnection(SyncInMemoryConnector):
    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        return super().execute(statement, parameters)


class AnyPool(SyncInMemoryConnector):
    needs_opening = True

    def open(self, pool: Any = None) -> None:
        super().open()


class DeafSession(SyncInMemorySession):
    def wake(self) -> None: ...


class IsNotWoken(SyncInMemoryConnector):
    def session(self) -> SyncSession:
        return DeafSession(MemoryStore().connect())


class SilentSession(SyncInMemorySession):
    can_listen = False

    def listen(self, channel: str) -> None:
        raise exceptions.ConnectorException("No notifications come here.")

    def wait_for_notifications(self, timeout: float) -> list[str]:
        raise AssertionError("nobody waits for what does not come")


class CannotListen(SyncInMemoryConnector):
    def __init__(self) -> None:
        self._jobs = MemoryStore()
        super().__init__(store=self._jobs)

    def session(self) -> SyncSession:
        return SilentSession(self._jobs.connect())


class HangsAtClosing(SyncInMemoryConnector):
    def close(self) -> None:
        threading.Event().wait()


class ByHand(BaseSyncConnector):
    """A connector that is made of nothing but the public contract."""

    needs_opening = False

    def __init__(self) -> None:
        self.json_dumps: JSONDumps = json.dumps
        self.json_loads: JSONLoads = json.loads
        self._store = MemoryStore()

    def open(self, pool: Any = None) -> None:
        if pool is not None:
            raise exceptions.InvalidOption("There is no pool to use.")

    def close(self) -> None: ...

    def execute(
        self, statement: Statement, parameters: Parameters | None = None, *, connection: Any = None
    ) -> list[Row]:
        if connection is not None:
            raise exceptions.InvalidConnection("There is none of yours to use.")
        return self._store.execute(statement, parameters)

    def session(self) -> SyncSession:
        return SyncInMemoryConnector(store=self._store).session()


def outcomes(make: Callable[[], BaseConnector], seconds: float = 60.0) -> dict[str, list[str]]:
    """Run the contract without any framework; the names of its tests by what came of them."""

    class Contract(ConnectorContract):
        executes_sql = False
        time_limit = seconds

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


def test_a_connector_whose_sessions_cannot_listen_keeps_the_contract() -> None:
    found = outcomes(CannotListen)
    assert found["broken"] == []
    assert {"test_a_session_hears_notifications", "test_a_session_can_be_woken"} <= set(found["skipped"])
    assert "test_a_session_can_be_given_up" in found["kept"]


@pytest.mark.parametrize(
    ("connector", "word"),
    [
        (OpensByItself, "before_opening"),
        (StaysOpen, "after_closing"),
        (RowsAreTuples, "dictionaries"),
        (BareErrors, "errors_are_ours"),
        (AnyConnection, "connection_of_another_kind"),
        (AnyPool, "pool_of_another_kind"),
        (IsNotWoken, "can_be_woken"),
    ],
)
def test_a_breach_is_noticed(connector: type[BaseConnector], word: str) -> None:
    assert any(word in name for name in outcomes(connector, 3.0)["broken"])


def test_a_check_that_hangs_fails_even_at_closing() -> None:
    class Contract(ConnectorContract):
        time_limit = 0.2

        def make_connector(self) -> BaseConnector:
            return HangsAtClosing()

    with pytest.raises(AssertionError, match=r"hangs: this has not ended within 0\.2 seconds"):
        Contract().test_many_may_open_at_once()


def test_a_failure_names_the_connector_and_the_colour() -> None:
    class Contract(ConnectorContract):
        def make_connector(self) -> BaseConnector:
            return AnyConnection()

    with pytest.raises(AssertionError, match="AnyConnection, blocking calls: expected"):
        Contract().test_a_connection_of_another_kind_is_refused()
