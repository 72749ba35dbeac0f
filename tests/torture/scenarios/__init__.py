"""What the bench can do. Each module registers its scenarios."""

from torture.scenarios import clusters, networks, poolers, processes, servers, shortages, standbys, surroundings
from torture.scenarios.registry import SCENARIOS

__all__ = [
    "SCENARIOS",
    "clusters",
    "networks",
    "poolers",
    "processes",
    "servers",
    "shortages",
    "standbys",
    "surroundings",
]
