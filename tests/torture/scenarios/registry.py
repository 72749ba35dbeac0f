"""The scenarios by their names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torture.trial import Trial

REGISTERED: dict[str, Scenario] = {}


@dataclass(frozen=True)
class Scenario:
    """What is done to workers, servers or the network between them.

    Attributes
    ----------
    run
        Does it.
    seconds
        How long, unless the command line says otherwise.
    """

    run: Callable[[Trial], None]
    seconds: float

    @property
    def told(self) -> str:
        """What is done, in a sentence."""
        return (self.run.__doc__ or "").split("\n\n")[0].replace("\n   ", "").strip()


def scenario(name: str, seconds: float = 20.0) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Register a function as a scenario."""

    def register(run: Callable[[Trial], None]) -> Callable[[Trial], None]:
        REGISTERED[name] = Scenario(run, seconds)
        return run

    return register
