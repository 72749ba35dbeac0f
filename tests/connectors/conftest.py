"""What the tests of connectors look at."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest


@pytest.fixture
def stored(observer: psycopg.Connection) -> Callable[[], list[str]]:
    """Read the names in the table ``scratch``, in alphabetical order."""

    def read() -> list[str]:
        return [name for (name,) in observer.execute("SELECT name FROM scratch ORDER BY name").fetchall()]

    return read
