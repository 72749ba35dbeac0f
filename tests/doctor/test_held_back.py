"""What holds vacuum back without a session: a prepared transaction, and a replication slot that nobody reads."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import adjourn
from adjourn import embedded
from adjourn.doctor import Finding, Level, Thresholds, examine
from adjourn.embedded.binaries import candidates
from support.databases import SETTINGS, apply_schema
from support.sessions import BLOCKED
from support.waiting import until

AT_ONCE = Thresholds.of({"transaction_warn": 0, "xid_age_warn": 1})


@pytest.fixture(scope="module", params=list(candidates()), ids=lambda each: each.parent.name)
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database of a server that prepares transactions and has logical slots, of each version that is here."""
    settings = {**SETTINGS, "wal_level": "logical", "max_prepared_transactions": "2"}
    path = Path(tempfile.gettempdir(), f"adjourn-held-back-{os.getpid()}-{request.param.parent.name}")
    with embedded.Server(path, temporary=True, settings=settings, binaries=request.param) as server:
        apply_schema(server.dsn)
        yield server.dsn


@pytest.fixture
def connection(address: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(address, autocommit=True) as connection:
        yield connection


def found(address: str, words: str) -> list[Finding]:
    """What the check finds that has some words in it."""
    app = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=address))
    (check,) = examine(app, only=["xmin"], thresholds=AT_ONCE, timeout=60).checks
    return [each for each in check.findings if each.level is not Level.OK and words in each.text]


def test_a_prepared_transaction_is_named_and_ended_by_what_it_says(
    address: str, connection: psycopg.Connection
) -> None:
    connection.execute("begin; insert into adjourn.adjourn_headless_locks values ('x')")
    connection.execute("prepare transaction 'for''gotten'")
    (finding,) = found(address, "prepared transaction")
    assert "gotten" in finding.text
    connection.execute(finding.statement.encode())
    assert found(address, "prepared transaction") == []


def test_a_slot_that_nobody_reads_is_named_and_dropped_by_what_it_says(
    address: str, connection: psycopg.Connection
) -> None:
    connection.execute("select pg_create_logical_replication_slot('abandoned', 'pgoutput')")
    for _ in range(3):
        connection.execute("select txid_current()")
    (finding,) = found(address, "replication slot")
    # Servers before 17 do not say since when.
    assert re.search(r"'abandoned' \(not in use( for \S+ s)?\) holds back", finding.text)
    app = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=address))
    (check,) = examine(app, only=["replication"], timeout=60).checks
    assert "The replication slot 'abandoned' is not in use" in " ".join(each.text for each in check.findings)
    connection.execute(finding.statement.encode())
    assert found(address, "replication slot") == []


def test_who_waits_for_a_prepared_transaction_is_not_told_to_end_a_session(
    address: str, connection: psycopg.Connection
) -> None:
    connection.execute("begin; lock table adjourn.adjourn_schedules")
    connection.execute("prepare transaction 'holds'")
    waiting = threading.Thread(target=lambda: read_schedules(address))
    waiting.start()
    try:
        until(lambda: connection.execute(BLOCKED).fetchone())
        app = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=address))
        thresholds = Thresholds.of({"blocked_warn": 0})
        (check,) = examine(app, only=["waits"], thresholds=thresholds, timeout=60).checks
        (finding,) = check.findings
        assert "adjourn_schedules, which a prepared transaction holds" in finding.text
        assert finding.statement == ""
        assert "roll it back" in finding.remedy
    finally:
        connection.execute("rollback prepared 'holds'")
        waiting.join()


def read_schedules(address: str) -> None:
    with psycopg.connect(address, application_name="adjourn waits") as connection:
        connection.execute("table adjourn.adjourn_schedules")
