"""The server of the tests: the one that DATABASE_URL names, or one that is gone afterwards.

pytest.ini names this module, so that the address is there before Django reads its settings.
"""

import atexit
import os

from adjourn import embedded

if "DATABASE_URL" not in os.environ:
    server = embedded.Server()
    server.start()
    atexit.register(server.stop)
    os.environ["DATABASE_URL"] = server.dsn
