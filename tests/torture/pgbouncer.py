"""pgbouncer in transaction mode."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Self

import psycopg

from support.waiting import until
from torture import programs
from torture.postgres import DATABASE, SUPERUSER, Postgres, free_port

CONFIGURATION = """
[databases]
{database} = host=127.0.0.1 port={server} user={user}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 10
max_client_conn = 200
"""


class Pgbouncer:
    """A pgbouncer before a server, which gives each transaction whatever connection is free.

    Parameters
    ----------
    directory
        Where its configuration is.
    server
        The server.
    """

    def __init__(self, directory: Path, server: Postgres) -> None:
        (self._program,) = programs.need("pgbouncer", "pgbouncer")
        self._directory = directory
        self._server = server
        self._port = free_port()

    @property
    def dsn(self) -> str:
        """The address that leads through it."""
        return f"host=127.0.0.1 port={self._port} user={SUPERUSER} dbname={DATABASE} connect_timeout=3"

    def __enter__(self) -> Self:
        configuration = self._directory / "pgbouncer.ini"
        text = CONFIGURATION.format(database=DATABASE, server=self._server.port, port=self._port, user=SUPERUSER)
        configuration.write_text(text)
        self.start()
        return self

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log, configuration = self._directory / "pgbouncer.log", self._directory / "pgbouncer.ini"
        self._process = programs.start(log, self._program, configuration)
        until(self._leads_somewhere)

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()

    def _leads_somewhere(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.dsn, prepare_threshold=None):
            return True
        return False

    def __exit__(self, *exception: object) -> None:
        programs.end(self._process)
