"""A primary that is lost, and its synchronous standby, which takes its place."""

from __future__ import annotations

import contextlib
import time

from support.proxy import Proxy
from torture.haproxy import Haproxy
from torture.pair import Pair
from torture.postgres import DATABASE, SUPERUSER
from torture.scenarios.registry import scenario
from torture.trial import Trial


@scenario("lost primary", seconds=45)
def lost_primary(trial: Trial) -> None:
    """The primary is killed and the standby promoted; the address names both (target_session_attrs=read-write)."""
    with Pair.of(trial) as pair, trial.load(pair.dsn):
        _fail_over_again_and_again(trial, pair)


@scenario("frozen primary", seconds=40)
def frozen_primary(trial: Trial) -> None:
    """The primary freezes (SIGSTOP of all its processes), and the standby is promoted. Then the old primary is killed."""
    # How long to wait for a frozen server is for adjourn to know.
    with Pair.of(trial) as pair, trial.load(pair.address, lambda: pair.dsn, own_dsn=pair.dsn, lease=10):
        for _ in trial.rounds(3, 4):
            with trial.disturbed("freeze"):
                pair.primary.pause()
                time.sleep(2)
                pair.promote()
            time.sleep(20)
            pair.standby.kill()
            pair.follow()


@scenario("lost primary behind haproxy", seconds=45)
def lost_primary_behind_haproxy(trial: Trial) -> None:
    """The primary is killed and the standby promoted. haproxy looks twice a second which of them is the primary."""
    with (
        Pair.of(trial) as pair,
        Haproxy(trial.directory, [pair.primary, pair.standby]) as proxy,
        trial.load(proxy.dsn),
    ):
        _fail_over_again_and_again(trial, pair)


def _fail_over_again_and_again(trial: Trial, pair: Pair) -> None:
    for _ in trial.rounds(3, 4):
        with trial.disturbed("kill"):
            pair.primary.kill()
            time.sleep(1)
            pair.promote()
        time.sleep(3)
        pair.follow()


@scenario("demoted primary behind one address", seconds=40)
def demoted_primary(trial: Trial) -> None:
    """The primary becomes a standby behind the same address. Five seconds later the address leads to the new primary."""
    trial.allowed = {
        "in a read-only transaction|during recovery": "for five seconds the address leads to a standby, and nowhere else",
    }
    with Pair.of(trial) as pair, contextlib.closing(Proxy(("127.0.0.1", pair.primary.port))) as proxy:
        dsn = f"host={proxy.host} port={proxy.port} user={SUPERUSER} dbname={DATABASE} connect_timeout=3"
        with trial.load(dsn, lambda: pair.dsn):
            for _ in trial.rounds(3, 4):
                with trial.disturbed("demotion"):
                    pair.primary.kill()
                    pair.promote()
                    pair.follow()
                    time.sleep(5)
                    # Connections to the standby stay.
                    proxy.server = ("127.0.0.1", pair.primary.port)
                time.sleep(8)
