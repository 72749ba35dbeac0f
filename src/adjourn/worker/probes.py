"""The probes of a worker by HTTP: ``/livez``, ``/readyz`` and ``/metrics``, answered from memory in threads of their own."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from adjourn._domain.addresses import address_of
from adjourn._domain.health import Health
from adjourn.worker import exposition

REQUEST_TIMEOUT = 5.0
"""Seconds that a client may take for its request."""


class ProbeServer:
    """Listens at an address from the moment that it is made, and answers once it is started.

    Parameters
    ----------
    address
        A host and a port, such as ``127.0.0.1:8080``.
    health
        Returns how the worker is.

    Raises
    ------
    OSError
        If it cannot listen there.
    """

    def __init__(self, address: str, health: Callable[[], Health]) -> None:
        handler = type("Handler", (_Handler,), {"health": staticmethod(health)})
        host, port = address_of("http", address)
        kind = type("Server", (_Server,), {"address_family": _Server.family_of(host)})
        self._server = kind((host, port), handler)
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="adjourn-probes", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        if self._thread is not None:
            self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    @staticmethod
    def family_of(host: str) -> Any:
        return socket.AF_INET6 if ":" in host else socket.AF_INET

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away is no error of the worker."""


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_TIMEOUT
    server_version = "adjourn"
    sys_version = ""
    health: Callable[[], Health]

    def do_GET(self) -> None:
        """Answer a request."""
        path, _, query = self.path.partition("?")
        if path in ("/livez", "/readyz"):
            health = self.health()
            is_well = health.is_live if path == "/livez" else health.is_ready
            body = json.dumps(health.asdict(verbose="verbose" in query.split("&")))
            self._answer(
                HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE, "application/json", body.encode()
            )
        elif path == "/metrics":
            self._answer(*exposition.metrics(self.headers.get("Accept", "")))
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"Here are /livez, /readyz and /metrics.\n")

    def do_HEAD(self) -> None:
        """Answer a request without the text."""
        self.do_GET()

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the class has
        """Say nothing: probes come every few seconds."""
