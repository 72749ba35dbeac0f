"""Unit tests need no server."""

from __future__ import annotations

from typing import NoReturn

import pytest


@pytest.fixture(scope="session")
def server_dsn() -> NoReturn:
    """Refuse what asks for a server, in place of the fixture of all other tests."""
    pytest.fail(
        "Tests in tests/unit need no server: move this one to a folder for those that do (CONTRIBUTING.md lists them).",
        pytrace=False,
    )
