"""Pauses in transactions of the caller's, which are open for some time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

import adjourn
from adjourn import embedded
from adjourn.exceptions import ConnectorException


@pytest.fixture
def server() -> Iterator[str]:
    """A server of its own: in the log of the one that tests share there must be no deadlock."""
    with embedded.Server(temporary=True) as server:
        adjourn.App(connector=adjourn.PsycopgConnector(server.dsn)).schema_manager.apply_schema()
        yield server.dsn


def test_who_pauses_two_queues_in_another_order_than_somebody_else_is_told_what_to_do(server: str) -> None:
    app = adjourn.App(connector=adjourn.PsycopgConnector(server))
    manager = app.job_manager
    with app.open(), psycopg.connect(server) as one, psycopg.connect(server) as other:
        for connection in (one, other):
            connection.execute("set deadlock_timeout = '100ms'")
        manager.pause_queue("mail", connection=one)
        manager.pause_queue("news", connection=other)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(manager.pause_queue, "news", connection=one)
            refused = []
            try:
                manager.pause_queue("mail", connection=other)
            except ConnectorException as error:
                refused.append(error)
                other.rollback()
            try:
                waiting.result(30)
            except ConnectorException as error:
                refused.append(error)
        (deadlock,) = refused
        assert deadlock.sqlstate == "40P01"
        with pytest.raises(
            ConnectorException,
            match=r"^deadlock detected\. Two transactions .* in the same order, or each thing in a transaction of its own",
        ):
            raise deadlock
        one.rollback()
        other.rollback()
        assert manager.list_pauses() == []
