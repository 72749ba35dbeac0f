"""The contract of connectors, as a suite of tests for your own connector.

Each test checks one promise of `adjourn.connectors.base.BaseConnector`, in both colours, with any driver. It executes
adjourn's own statements, so the database needs only adjourn's schema.
"""

from __future__ import annotations

from adjourn.testing.colours import ColourTests
from adjourn.testing.given import GivenTests
from adjourn.testing.opening import OpeningTests
from adjourn.testing.sessions import SessionTests
from adjourn.testing.statements import StatementTests


class ConnectorContract(OpeningTests, StatementTests, GivenTests, SessionTests, ColourTests):
    """Tests for a connector of your own: inherit from this class, and define how a connector is made.

    pytest finds the tests in a class whose name begins with ``Test``, unittest in one that also inherits
    `unittest.TestCase`. They need no plugin.

    Each test makes connectors with `make_connector`, to a database with adjourn's schema. It leaves a few jobs there,
    in queues and locks with unique names, so that tests do not disturb each other.

    Attributes
    ----------
    executes_sql
        Whether text other than adjourn's own statements can be executed; set it to False if not.
    sets_connections_up
        Whether the connector makes the connections of its pool, and so executes ``SETTINGS`` on each; set it to False if another library
        makes them.
    time_limit
        Seconds within which each test has to end, closing included; 60 unless set. A test that hangs fails then.

    Examples
    --------
    ::

        class TestMyConnector(ConnectorContract):
            def make_connector(self):
                return MyConnector("postgresql://localhost/test", max_size=2)

            def make_unreachable_connector(self):
                return MyConnector("postgresql://localhost:1/test")
    """
