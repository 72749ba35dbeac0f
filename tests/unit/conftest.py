"""Unit tests need no server."""

from __future__ import annotations

from typing import NoReturn

import pytest

import adjourn
from adjourn.testing import InMemoryConnector


@pytest.fixture(scope="session")
def server_dsn() -> NoReturn:
    """Refuse what asks for a server, in place of the fixture of all other tests."""
    pytest.fail(
        "Tests in tests/unit need no server: move this one to a folder for those that do (CONTRIBUTING.md lists them).",
        pytrace=False,
    )


@pytest.fixture
def connector() -> InMemoryConnector:
    """A connector that needs no server."""
    return InMemoryConnector()


@pytest.fixture
def app(connector: InMemoryConnector) -> adjourn.App:
    """An app that needs no server."""
    return adjourn.App(connector=connector)
