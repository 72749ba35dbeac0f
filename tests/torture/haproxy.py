"""haproxy before several servers, one of which is the primary."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import psycopg

from support.waiting import until
from torture import programs
from torture.postgres import DATABASE, SUPERUSER, Postgres, free_port

CONFIGURATION = """
global
    maxconn 500
defaults
    mode tcp
    timeout connect 2s
    timeout client 30m
    timeout server 30m
listen primary
    bind 127.0.0.1:{port}
    option httpchk GET /
    default-server inter 500 fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""


class Haproxy:
    """An haproxy that leads to whichever server is the primary.

    Parameters
    ----------
    directory
        Where its configuration is.
    servers
        The servers that it asks.
    """

    def __init__(self, directory: Path, servers: Sequence[Postgres]) -> None:
        (self._program,) = programs.need("haproxy", "haproxy")
        self._directory = directory
        self._servers = servers
        self._port = free_port()

    @property
    def dsn(self) -> str:
        """The address that leads through it."""
        return f"host=127.0.0.1 port={self._port} user={SUPERUSER} dbname={DATABASE} connect_timeout=3"

    def __enter__(self) -> Self:
        self._answering = [answering_for(server) for server in self._servers]
        lines = [
            f"    server s{n} 127.0.0.1:{server.port} check port {answering.server_port}"
            for n, (server, answering) in enumerate(zip(self._servers, self._answering, strict=True))
        ]
        configuration = self._directory / "haproxy.cfg"
        configuration.write_text(CONFIGURATION.format(port=self._port, servers="\n".join(lines)))
        self._process = programs.start(self._directory / "haproxy.log", self._program, "-f", configuration)
        until(self._leads_somewhere)
        return self

    def _leads_somewhere(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.dsn):
            return True
        return False

    def __exit__(self, *exception: object) -> None:
        programs.end(self._process)
        for answering in self._answering:
            answering.shutdown()
            answering.server_close()


def answering_for(server: Postgres) -> ThreadingHTTPServer:
    """Answer in a thread, by HTTP, whether a server is a primary."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if is_primary(server.address("postgres")) else 503)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    answering = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=answering.serve_forever, daemon=True).start()
    return answering


def is_primary(dsn: str) -> bool:
    """Whether a server answers, and takes writes."""
    with (
        contextlib.suppress(psycopg.OperationalError),
        psycopg.connect(f"{dsn} connect_timeout=2 application_name=bench", autocommit=True) as connection,
    ):
        return connection.execute("select not pg_is_in_recovery()").fetchone() == (True,)
    return False
