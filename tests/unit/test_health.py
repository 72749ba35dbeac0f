"""What the probes of a worker answer to what is known of it."""

from __future__ import annotations

from typing import Any

import pytest

from adjourn._domain.addresses import address_of
from adjourn._domain.health import HealthLimits, Vitals, health_of
from adjourn.exceptions import InvalidOption

LIMITS = HealthLimits()
FULL_OF_LONG_JOBS: dict[str, Any] = {"exchange": None, "beat": 9.0, "answer": 9.0}
ROWS: list[tuple[str, dict[str, Any], bool, bool]] = [
    ("it is well", {}, True, True),
    ("it is full of long jobs", FULL_OF_LONG_JOBS, True, True),
    ("the heartbeat's thread has ended", {"ended": "heartbeat's thread"}, False, False),
    ("it has ended because of a stop", {"ended": "heartbeat's thread", "is_stopping": True}, True, False),
    ("the loop is blocked for 29 s", {"loop": 29.0}, True, True),
    ("the loop is blocked for 30 s", {"loop": 30.0}, True, False),
    ("the loop is blocked for 300 s", {"loop": 300.0}, False, False),
    ("it cannot claim, for 64 s", {"exchange": 64.9, "beat": 1.0, "answer": 1.0}, True, True),
    ("it cannot claim, for 65 s", {"exchange": 65.0, "beat": 1.0, "answer": 1.0}, False, False),
    ("it cannot beat, for 59 s", {"exchange": 0.0, "beat": 59.9, "answer": 0.0}, True, True),
    ("it cannot beat, for 60 s", {"exchange": 0.0, "beat": 60.0, "answer": 0.0}, False, False),
    ("it cannot finish, for 59 s", {"outcome": 59.0}, True, True),
    ("it cannot finish, for 60 s", {"outcome": 60.0}, True, False),
    ("it cannot finish, for 300 s", {"outcome": 300.0}, False, False),
    ("an outage of 29 s", {"exchange": 29.0, "beat": 29.0, "answer": 29.0}, True, True),
    ("an outage of 30 s", {"exchange": 30.0, "beat": 30.0, "answer": 30.0}, True, False),
    ("an outage of a day", {"exchange": 86400.0, "beat": 86400.0, "answer": 86400.0, "outcome": 86400.0}, True, False),
    ("a day's outage is over, it claims again, and has not beaten", {"beat": 86400.0, "answering": 9.0}, True, True),
    (
        "a day's outage is over, it beats again, and has not claimed",
        {"exchange": 86400.0, "answering": 9.0},
        True,
        True,
    ),
    ("a day's outage is over, and an outcome is not stored yet", {"outcome": 86400.0, "answering": 9.0}, True, True),
    ("an outage is over for 60 s, and an outcome is not stored", {"outcome": 86400.0, "answering": 60.0}, True, False),
    ("an outage is over for 65 s, and it cannot claim", {"exchange": 86400.0, "answering": 65.0}, False, False),
    ("an outage is over for 60 s, and it cannot beat", {"beat": 86400.0, "answering": 60.0}, False, False),
    ("it was declared dead and registers anew", {"is_registered": False}, True, False),
    ("the schema is too old", {"schema_error": "It is at version 1."}, True, False),
    ("it drains", {"is_stopping": True}, True, False),
    ("it drains, and its loop is blocked", {"is_stopping": True, "loop": 1000.0}, True, False),
    ("it drains during an outage", {"is_stopping": True, "beat": 1e4, "answer": 1e4, "outcome": 1e4}, True, False),
    ("it starts", {"is_starting": True, "is_registered": False}, True, False),
]


@pytest.mark.parametrize(("vitals", "is_live", "is_ready"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_each_state_has_its_answers(vitals: dict[str, Any], is_live: bool, is_ready: bool) -> None:
    health = health_of(Vitals(**vitals), LIMITS)
    assert (health.is_live, health.is_ready) == (is_live, is_ready)
    told = health.asdict(verbose=False)
    assert bool(told["conditions"]) is not (is_live and is_ready)
    assert len(health.asdict(verbose=True)["conditions"]) == 9


def test_zero_means_for_ever() -> None:
    blocked = health_of(Vitals(loop=1e6), HealthLimits(stall_after=0))
    assert (blocked.is_live, blocked.is_ready) == (True, False)


def test_a_worker_may_end_because_of_an_outage_if_that_is_asked_for() -> None:
    vitals = Vitals(exchange=100.0, beat=100.0, answer=100.0)
    assert health_of(vitals, HealthLimits(outage_patience=101)).is_live
    assert not health_of(vitals, HealthLimits(outage_patience=100)).is_live


def test_the_schema_s_remedy_is_named() -> None:
    told = health_of(Vitals(schema_error="It is old."), LIMITS).asdict(verbose=False)
    assert told["conditions"][0]["says"] == "It is old. Run adjourn schema --apply."


def test_addresses_are_read() -> None:
    assert address_of("http", "127.0.0.1:8080") == ("127.0.0.1", 8080)
    assert address_of("http", "[::1]:0") == ("::1", 0)
    for bad in ("", "8080", ":8080", "h:", "h:x", "h:65536", "h:-1", "::1:80", 80, None, "h:1x"):
        with pytest.raises(InvalidOption, match="http"):
            address_of("http", bad)
