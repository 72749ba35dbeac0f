"""Names that programs written for Procrastinate import, and what to use instead."""

from __future__ import annotations

from typing import Any, NoReturn

from adjourn import exceptions


class MovedElsewhere:
    """Stands for a name that programs import from an old place; when used, it raises and names the new place.

    Parameters
    ----------
    name
        The old name.
    new_location
        What to use instead.
    """

    def __init__(self, name: str, new_location: str) -> None:
        self.name = name
        self.new_location = new_location

    def __repr__(self) -> str:
        return f"<{self.name}, moved to {self.new_location}>"

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise exceptions.MovedElsewhere(f"{self.name} is not here: use {self.new_location}.")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # whatever inspects an object expects an AttributeError for these
            raise AttributeError(name)
        self()


AiopgConnector: MovedElsewhere = MovedElsewhere("AiopgConnector", "adjourn.AsyncPsycopg2Connector")
"""aiopg is psycopg2 on an event loop, and so is the connector that replaces it."""
