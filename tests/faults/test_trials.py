"""Scenarios of the bench that a server of the tests can bear: a load in processes of its own is disturbed, and checked.

`scripts/torture` runs all of them, for longer.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from torture.report import details
from torture.scenarios import SCENARIOS
from torture.trial import Trial

SECONDS = 2.0
SHORTER = ("killed backends", "truncated answers", "black hole")
SCENARIOS_HERE = (*SHORTER, "cut connections", "old transaction") if "ADJOURN_TEST_THOROUGH" in os.environ else SHORTER


class SharedServer:
    """The server of the tests, as scenarios use one."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    @contextlib.contextmanager
    def connect(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.dsn, autocommit=True, application_name="bench") as connection:
            yield connection


class TrialHere(Trial):
    """A run of a scenario on the server of the tests."""

    def __init__(self, dsn: str, directory: Path, seed: int) -> None:
        super().__init__(directory, SECONDS, seed, warm_up=0.5, workers=2, rate=20.0)
        self._dsn = dsn

    @contextlib.contextmanager
    def server(self, **settings: str) -> Iterator[Any]:
        yield SharedServer(self._dsn)


@pytest.mark.parametrize("name", SCENARIOS_HERE)
def test_nothing_is_lost_doubled_or_out_of_order(name: str, database: str, tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    trial = TrialHere(database, tmp_path / "trial", seed)
    SCENARIOS[name].run(trial)
    outcome = trial.finish()
    assert outcome.is_clean, f"seed {seed}\n{details(outcome)}"
    assert outcome.figures["runs"] > 0
    assert outcome.figures["disturbances"] > 0
