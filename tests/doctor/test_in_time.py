"""The doctor ends in time, whatever hangs, and one check that hangs holds up no other."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

import adjourn
from adjourn.doctor import CHECKS, Examination, Finding, Level, examine
from adjourn.doctor.findings import Check
from adjourn.doctor.patient import Patient
from support.databases import apply_schema, new_database
from support.proxy import proxied
from support.waiting import BOUND

SLACK = 1.5
"""Seconds by which a busy machine may be late."""
NEEDED = {"schema", "app", "workers", "jobs", "locks", "schedules", "sequences", "autovacuum", "bloat", "partitions"}
"""Checks that wait for somebody who holds all of our tables, each for its own."""


@pytest.fixture(scope="module")
def address(server_dsn: str) -> Iterator[str]:
    name = f"adjourn_in_time_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with new_database(server_dsn, name) as address:
        apply_schema(address)
        yield address


def app_at(dsn: str) -> adjourn.App:
    return adjourn.App(connector=adjourn.PsycopgConnector(conninfo=dsn))


@contextlib.contextmanager
def held(address: str, tables: str = "adjourn\\_%") -> Iterator[None]:
    """Hold all of our tables so that nobody else may even read them."""
    with psycopg.connect(address) as holder:
        rows = holder.execute(
            "select oid::regclass::text from pg_class where relnamespace = 'adjourn'::regnamespace and relkind in ('r', 'p') "
            "and relname like %s",
            [tables],
        ).fetchall()
        holder.execute(f"lock table {', '.join(name for (name,) in rows)} in access exclusive mode".encode())
        yield
        holder.rollback()


def levels(examination: Examination) -> dict[str, Level]:
    return {each.id: each.level for each in examination.checks}


def told(examination: Examination, check: str) -> str:
    (examined,) = [each for each in examination.checks if each.id == check]
    return " ".join(each.text for each in examined.findings)


def test_checks_that_wait_for_locks_hold_up_no_other(address: str) -> None:
    with held(address):
        examination = examine(app_at(address), timeout=60)
    found = levels(examination)
    assert {each for each, level in found.items() if level is Level.UNKNOWN} >= NEEDED
    for each in ("connect", "version", "pooler", "clock", "connections", "notify", "xmin", "wraparound"):
        assert found[each] is Level.OK, (each, told(examination, each))
    assert told(examination, "jobs") == (
        "It could not be found out: Another session has locked what is to be read, and was waited for 0.2 s: lock timeout."
    )


def test_the_version_of_the_schema_is_not_waited_for_either(address: str) -> None:
    with held(address, "adjourn\\_migrations"):
        found = levels(examine(app_at(address), only=["schema", "version", "waits"], timeout=60))
    assert found == {"version": Level.OK, "schema": Level.UNKNOWN, "waits": Level.OK}


@pytest.mark.parametrize("seconds", [0.5, 1.0])
def test_all_of_it_ends_in_time_however_many_checks_wait(address: str, seconds: float) -> None:
    with held(address):
        examination = examine(app_at(address), timeout=seconds)
    assert examination.seconds < seconds + SLACK
    assert [each.id for each in examination.checks] == [check.id for check in CHECKS]
    assert levels(examination)["retention"] is Level.UNKNOWN
    assert "did not answer in time" in told(examination, "retention")


@pytest.mark.parametrize("only", [(), ("workers", "jobs")])
def test_a_server_that_accepts_and_says_nothing_is_critical_in_time(address: str, only: tuple[str, ...]) -> None:
    with proxied(address) as (proxy, dsn):
        proxy.silence()
        examination = examine(app_at(dsn), only=only, timeout=1)
    assert examination.seconds < 1 + SLACK
    found = levels(examination)
    if not only:
        assert found.pop("connect") is Level.CRITICAL
        assert "has not answered within 1 s" in told(examination, "connect")
    assert set(found.values()) == {Level.UNKNOWN}
    assert "There is no connection" in told(examination, "jobs")


def fine(patient: Patient) -> Iterator[Finding]:
    yield Finding(Level.OK, f"{patient.row('server')['version']}")


Plant = Callable[[Callable[[Patient], object]], None]


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Has the doctor make three checks: one that is fine, one that does what is passed first, and one that is fine."""

    def plants(does: Callable[[Patient], object]) -> None:
        def look(patient: Patient) -> Iterator[Finding]:
            does(patient)
            yield from fine(patient)

        checks = tuple(Check(name, "It matters.", looks) for name, looks in (("a", fine), ("b", look), ("c", fine)))
        monkeypatch.setattr("adjourn.doctor.examination.CHECKS", checks)

    return plants


def test_a_server_that_falls_silent_leaves_the_other_checks_another_connection(address: str, plant: Plant) -> None:
    with proxied(address) as (proxy, dsn):
        plant(lambda _patient: proxy.silence_present())
        examination = examine(app_at(dsn), timeout=60)
    assert levels(examination) == {"a": Level.OK, "b": Level.UNKNOWN, "c": Level.OK}
    assert "was given up" in told(examination, "b")


def test_a_server_that_falls_silent_for_good_is_told_in_time(address: str, plant: Plant) -> None:
    with proxied(address) as (proxy, dsn):
        plant(lambda _patient: proxy.silence())
        examination = examine(app_at(dsn), timeout=1)
    assert examination.seconds < 1 + SLACK
    assert levels(examination) == {"a": Level.OK, "b": Level.UNKNOWN, "c": Level.UNKNOWN}


def test_a_check_that_hangs_without_the_server_is_given_up(
    address: str, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adjourn.doctor.visits.LONGEST_CHECK", 0.5)
    ended = threading.Event()
    plant(lambda _patient: ended.wait(BOUND))
    try:
        examination = examine(app_at(address), timeout=60)
    finally:
        ended.set()
    assert levels(examination) == {"a": Level.OK, "b": Level.UNKNOWN, "c": Level.OK}
    assert "has not ended within 0.5 s" in told(examination, "b")


def test_a_check_that_fails_fails_alone(address: str, plant: Plant) -> None:
    def fails(_patient: Patient) -> None:
        raise KeyError("nothing")

    plant(fails)
    examination = examine(app_at(address), timeout=60)
    assert levels(examination) == {"a": Level.OK, "b": Level.UNKNOWN, "c": Level.OK}
    assert "KeyError: 'nothing'" in told(examination, "b")


def test_who_is_well_is_left_in_good_order(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server hears of the end, and has nothing to complain of in its log."""
    ends, close = list[str](), Patient.close

    def closed(patient: Patient) -> None:
        ends.append("close")
        close(patient)

    monkeypatch.setattr(Patient, "abandon", lambda _: ends.append("abandon"))
    monkeypatch.setattr(Patient, "close", closed)
    assert levels(examine(app_at(address), only=["version", "waits"], timeout=60)) == {
        "version": Level.OK,
        "waits": Level.OK,
    }
    assert ends == ["close"]


def test_the_command_ends_in_time_while_the_server_says_nothing(address: str, tmp_path: Path) -> None:
    """The connection that is still being made keeps the process from nothing."""
    (tmp_path / "clinic.py").write_text(
        "import os, adjourn\napp = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=os.environ['CLINIC_DSN']))\n",
        encoding="utf-8",
    )
    with proxied(address) as (proxy, dsn):
        proxy.silence()
        ended = subprocess.run(
            [sys.executable, "-m", "adjourn", "--app=clinic.app", "doctor", "--timeout=1", "--json"],
            cwd=tmp_path,
            env={**os.environ, "CLINIC_DSN": dsn},
            capture_output=True,
            text=True,
            check=False,
            timeout=BOUND,
        )
    assert ended.returncode == 1, ended.stderr
    facts = json.loads(ended.stdout)
    assert facts["seconds"] < 1 + SLACK
    assert facts["level"] == "critical"
    assert not ended.stderr
