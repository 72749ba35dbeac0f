"""The contract of connectors, as a suite of tests for a connector that somebody has written.

Each test speaks of one promise of `adjourn.connectors.base.BaseConnector`, in both colours, and knows nothing of the
driver. It asks for adjourn's own statements, so the database needs adjourn's schema and nothing else.
"""

from __future__ import annotations

from adjourn.testing.colours import ColourTests
from adjourn.testing.given import GivenTests
from adjourn.testing.opening import OpeningTests
from adjourn.testing.sessions import SessionTests
from adjourn.testing.statements import StatementTests


class ConnectorContract(OpeningTests, StatementTests, GivenTests, SessionTests, ColourTests):
    """Tests for a connector of your own: inherit from this class, and define how a connector is made.

    The methods that begin with ``test_`` are found by pytest in a class whose name begins with ``Test``, and by
    unittest in one that inherits `unittest.TestCase` too. They need no plugin.

    Each test makes connectors with `make_connector`, to a database with adjourn's schema. It leaves a few jobs there,
    in queues and locks with unique names, so that tests do not disturb each other.

    Attributes
    ----------
    executes_sql
        Whether text other than adjourn's own statements can be executed; set it to False if not.
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
