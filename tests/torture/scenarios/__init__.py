"""What the bench can do. Each module registers its scenarios."""

from torture.scenarios import processes, servers
from torture.scenarios.registry import SCENARIOS

__all__ = ["SCENARIOS", "processes", "servers"]
