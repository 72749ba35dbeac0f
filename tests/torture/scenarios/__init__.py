"""What the bench can do. Each module registers its scenarios."""

from torture.scenarios import clusters, networks, poolers, processes, servers, shortages, standbys, surroundings
from torture.scenarios.registry import REGISTERED, Scenario

__all__ = ["SCENARIOS"]

_ORDER = [
    module.__name__ for module in (processes, servers, shortages, networks, poolers, surroundings, standbys, clusters)
]
SCENARIOS: dict[str, Scenario] = dict(sorted(REGISTERED.items(), key=lambda item: _ORDER.index(item[1].run.__module__)))
