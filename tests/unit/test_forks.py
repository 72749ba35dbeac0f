"""A forked child gets new locks from all their owners."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import adjourn
from adjourn._runtime import forks
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector, SQLAlchemyPsycopg2Connector, SQLAlchemyPsycopgConnector
from adjourn.exceptions import AdjournException
from support.forking import exit_code_of_child

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
CONNECTORS = [
    adjourn.PsycopgConnector,
    adjourn.SyncPsycopgConnector,
    adjourn.connectors.Psycopg2Connector,
    adjourn.connectors.AsyncPsycopg2Connector,
    SQLAlchemyPsycopgConnector,
    SQLAlchemyPsycopg2Connector,
    SQLAlchemyConnector,
]
REFUSED: dict[str, dict[str, Any]] = {
    "time": {"response_timeout": -1},
    "option": {"no_such_option": 1},
    "function": {"json_dumps": "dumps"},
    "pooler": {"pooler": "yes"},
    "pool": {"min_size": -1},
}


class Owner:
    """Has a lock that another thread holds at the moment of the fork."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lock.acquire()
        forks.watch(self)

    def renew_locks(self) -> None:
        self.lock = threading.Lock()


class Broken(Owner):
    """Does not have yet what it needs to replace its lock."""

    def renew_locks(self) -> None:
        raise AttributeError("lock")


def test_an_owner_that_fails_keeps_no_other_from_new_locks(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)  # pytest has one of its own
    owners = [Owner(), Broken(), Owner(), Broken(), Owner()]

    def work() -> None:
        for each in owners:
            assert each.lock.acquire(blocking=False) is (type(each) is Owner)

    assert exit_code_of_child(work) == 0
    assert "keeps some locks" in capfd.readouterr().err


@pytest.mark.parametrize("reason", REFUSED)
@pytest.mark.parametrize("make", CONNECTORS, ids=lambda make: str(make.__name__))
def test_what_is_left_of_a_refused_connector_can_replace_its_locks(make: Callable[..., Any], reason: str) -> None:
    before = set(forks._owners)
    # The error keeps it in memory, by its traceback.
    with pytest.raises((AdjournException, TypeError)) as refused:
        make(**REFUSED[reason])
    for owner in set(forks._owners) - before:
        owner.renew_locks()
    assert refused.tb is not None
