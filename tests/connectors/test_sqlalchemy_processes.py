"""SQLAlchemy's engines and the end of their process, or the beginning of another: each in a program of its own."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable

import pytest

from support.addresses import address
from support.prepared import PreparedProcess
from support.sessions import Sessions

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

PREAMBLE = """
from support.program import *
from sqlalchemy import create_engine
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector, SQLAlchemyPsycopgConnector, SQLAlchemyPsycopg2Connector
from adjourn.types import Statement

PSYCOPG, PSYCOPG2, ASYNCPG = sys.argv[1:4]
ADD = Statement("add", "INSERT INTO scratch (name) VALUES (%(name)s)")
"""

ASYNCHRONOUS = ["SQLAlchemyConnector(dsn=PSYCOPG, {})", "SQLAlchemyConnector(dsn=ASYNCPG, {})"]
SMALL = "pool_size=2, max_overflow=0"

Program = Callable[[str], None]


@pytest.fixture
def program(scratch: str, sessions: Sessions, prepared: PreparedProcess) -> Program:
    """Run a program, which must end soon, with code 0, in silence, and leave no connection."""
    urls = [
        address(scratch, driver).render_as_string(hide_password=False) for driver in ("psycopg", "psycopg2", "asyncpg")
    ]

    def run(text: str) -> None:
        prepared.run_silently(PREAMBLE + textwrap.dedent(text), *urls)
        assert sessions.settle(0) == 0

    return run


def test_an_engine_of_the_applications_stays_with_the_process_that_opened_with_it(program: Program) -> None:
    program(
        """
        kept = []
        for connector, url in (
            (SQLAlchemyPsycopgConnector(), PSYCOPG), (SQLAlchemyPsycopg2Connector(), PSYCOPG2)
        ):
            engine = create_engine(url, pool_size=1)
            connector.open(engine)

            def child():
                try:
                    connector.execute(PID)
                except AppNotOpen as error:
                    assert "another process" in str(error)
                else:
                    raise AssertionError
                connector.close()
                # As SQLAlchemy wants it after a fork. The parent's connections must not be collected here, which psycopg warns of.
                kept.append(engine.pool)
                engine.dispose(close=False)
                connector.open(engine)
                connector.execute(PID)
                connector.close()
                engine.dispose()

            (before,) = connector.execute(PID)
            # The parent's connection is not even closed when the child ends.
            in_child(lambda: (child(), os._exit(0)))
            assert connector.execute(PID) == [before]
            connector.close()
            engine.dispose()
        """
    )


@pytest.mark.parametrize("connector", ASYNCHRONOUS)
def test_a_child_that_ends_after_its_parents_loop_was_left_does_not_reach_into_the_parent(
    program: Program, connector: str
) -> None:
    program(
        f"""
        connector = {connector.format(SMALL)}
        loop = asyncio.new_event_loop()
        loop.run_until_complete(connector.open_async())
        (before,) = connector.execute(PID)
        # The loop that the child inherits is nobody's to close.
        warnings.filterwarnings("ignore", "unclosed event loop", ResourceWarning)

        def child():
            connector.open()
            connector.execute(PID)
            connector.close()

        in_child(child)
        in_child(connector.close)
        in_child(lambda: None)
        assert connector.execute(PID) == [before]
        connector.close()
        loop.close()
        """
    )
