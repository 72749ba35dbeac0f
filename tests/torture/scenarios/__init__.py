"""What the bench can do. Each module registers its scenarios."""

from torture.scenarios import clusters, networks, processes, servers, standbys
from torture.scenarios.registry import SCENARIOS

__all__ = ["SCENARIOS", "clusters", "networks", "processes", "servers", "standbys"]
