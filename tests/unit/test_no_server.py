"""A unit test that asks for a server fails, so that `scripts/test tests/unit` stays fast and needs nothing."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("fixture", ["server_dsn", "dsn", "observer", "database", "scratch", "sessions"])
def test_a_server_is_refused_to_unit_tests(fixture: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(pytest.fail.Exception, match="tests/unit need no server"):
        request.getfixturevalue(fixture)
