"""Names that programs written for Procrastinate import, and what to use instead."""

from __future__ import annotations

from typing import Any, NoReturn

from adjourn import exceptions


class MovedElsewhere:
    """Stands for something that programs import by an old name, and says on use where to find it.

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
        if name.startswith(
            "__"
        ):  # whoever looks at an object asks for these, and wants to hear only that there is none
            raise AttributeError(name)
        self()


AiopgConnector: MovedElsewhere = MovedElsewhere("AiopgConnector", "adjourn.AsyncPsycopg2Connector")
"""aiopg is psycopg2 on an event loop, and so is the connector that stands in for it."""
