"""A cluster that looks after itself."""

from __future__ import annotations

import time

from support.waiting import until
from torture.patroni import STARTED, Cluster
from torture.scenarios.registry import scenario
from torture.trial import Trial

KILLS = 10


@scenario("patroni", seconds=1200)
def patroni(trial: Trial) -> None:
    """A Patroni cluster has three nodes and replicates synchronously. The node of its leader is killed, ten times."""
    with Cluster(trial.directory) as cluster, trial.load(cluster.dsn):
        trial.read_logs(*(node.log for node in cluster.nodes))
        end = time.monotonic() + trial.seconds
        for _ in range(KILLS):
            if time.monotonic() > end:
                break
            until(cluster.is_whole, STARTED)
            leader = cluster.leader()
            assert leader is not None
            time.sleep(trial.chance.uniform(1, 3))
            with trial.disturbed("leader killed"):
                leader.kill()
                until(cluster.leader, STARTED)
            time.sleep(5)
            leader.start()
        until(cluster.is_whole, STARTED)
