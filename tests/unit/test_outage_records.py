"""A pool of adjourn's says once that it cannot connect; other pools say what they like."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from adjourn._drivers.psycopg import private
from support.waiting import until

NOWHERE = "host=127.0.0.1 port=1 connect_timeout=2"
ATTEMPTS = 3


def records_of(pool: Any, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What a pool without a database says of its first attempts to connect."""
    pool.open(wait=False)
    try:
        until(lambda: pool.get_stats().get("connections_errors", 0) >= ATTEMPTS)
    finally:
        pool.close(timeout=10)
    return [message for message in caplog.messages if message.startswith(private.OUTAGE)]


def make(factory: Any) -> Any:
    """A pool that connects several times at once."""
    return factory(NOWHERE, min_size=ATTEMPTS, max_size=ATTEMPTS, num_workers=ATTEMPTS, open=False)


def test_one_of_adjourns_pools_says_it_once_and_again_after_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make(private.kept_up(ConnectionPool))
    assert len(records_of(pool, caplog)) == 1
    said = next(record for record in caplog.records if str(record.msg).startswith(private.OUTAGE))
    logger = logging.getLogger("psycopg.pool")
    assert not logger.filter(said)
    monkeypatch.setattr(private, "TOLD_AGAIN_AFTER", 0.0)
    assert logger.filter(said)


def test_a_pool_of_the_users_own_says_it_each_time(caplog: pytest.LogCaptureFixture) -> None:
    private.kept_up(ConnectionPool)(NOWHERE, open=False)
    assert len(records_of(make(ConnectionPool), caplog)) >= ATTEMPTS


def test_other_records_are_let_be() -> None:
    pool = private.kept_up(ConnectionPool)(NOWHERE, open=False)
    logger = logging.getLogger("psycopg.pool")
    for message, arguments in (("pool %r is full", (pool.name,)), (private.OUTAGE, ()), ("%s", ({"a": 1},))):
        record = logging.LogRecord("psycopg.pool", logging.WARNING, "", 1, message, arguments, None)
        assert logger.filter(record)
        assert logger.filter(record)
    assert sum(isinstance(each, private._OncePerOutage) for each in logger.filters) == 1
