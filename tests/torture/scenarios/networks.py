"""A network between workers and server that loses, delays and cuts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from psycopg.conninfo import make_conninfo

from support.proxy import Proxy, proxied
from torture.load import ANSWERED
from torture.scenarios.registry import scenario
from torture.trial import Trial


@contextlib.contextmanager
def proxy_before(dsn: str) -> Iterator[tuple[Proxy, str]]:
    """Run a proxy before a server; yield it, and the address that leads through it."""
    with proxied(dsn) as (proxy, through):
        yield proxy, make_conninfo(through, connect_timeout=3)


@contextlib.contextmanager
def disturbed_network(trial: Trial, *, spares_transactions: bool = False) -> Iterator[Proxy]:
    """Run the load on a server behind a proxy, and yield that.

    Parameters
    ----------
    spares_transactions
        Whether the connections of callers' own transactions, which have no bound, do not go through it and are cut at the end.
    """
    # The server keeps the sessions of connections that have fallen silent: it cannot know.
    with trial.server(max_connections="400") as server, proxy_before(server.dsn) as (proxy, dsn):
        spared: dict[str, Any] = {"own_dsn": server.dsn} if spares_transactions else {}
        at_end = [proxy.cut] if spares_transactions else []
        with trial.load(dsn, lambda: server.dsn, *at_end, **spared):
            yield proxy


@scenario("black hole", seconds=60)
def black_hole(trial: Trial) -> None:
    """All open connections fall silent, while TCP goes on acknowledging. New connections work."""
    with disturbed_network(trial, spares_transactions=True) as proxy:
        for _ in trial.rounds(3, 5):
            with trial.disturbed("silence"):
                proxy.silence_present()
                # Until then nobody can know.
                time.sleep(ANSWERED)


@scenario("dead network", seconds=60)
def dead_network(trial: Trial) -> None:
    """For fifteen seconds every packet is lost, of open connections and of new ones. After that, new connections work."""
    with disturbed_network(trial, spares_transactions=True) as proxy:
        for _ in trial.rounds(4, 6):
            with trial.disturbed("silence"):
                proxy.silence()
                time.sleep(15)
                proxy.heal()


@scenario("cut connections")
def cut_connections(trial: Trial) -> None:
    """About every second all connections are cut, and new ones are refused for a moment."""
    with disturbed_network(trial) as proxy:
        for _ in trial.rounds(0.5, 1.5):
            with trial.disturbed("cut"):
                proxy.is_refusing = True
                proxy.cut()
                time.sleep(trial.chance.uniform(0, 0.3))
                proxy.heal()


@scenario("truncated answers")
def truncated_answers(trial: Trial) -> None:
    """Answers of the server are cut in the middle, so that the client does not know what was stored."""
    with disturbed_network(trial) as proxy:
        for _ in trial.rounds(0.5, 1.5):
            with trial.disturbed("truncation"):
                proxy.is_truncating = True
                time.sleep(0.1)
                proxy.heal()


@scenario("slow network")
def slow_network(trial: Trial) -> None:
    """Every packet takes 5 to 100 ms longer."""
    with disturbed_network(trial) as proxy:
        for _ in trial.rounds(1, 2):
            proxy.delay = trial.chance.uniform(0.005, 0.1)
            trial.did("delay")
        proxy.delay = 0
