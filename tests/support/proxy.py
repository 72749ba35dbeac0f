"""A TCP proxy between a test and its server, which loses what passes, delays it, or cuts it off."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

CHUNK = 1 << 16


class Link:
    """One client's connection and the one to the server that belongs to it.

    Attributes
    ----------
    is_silent
        Whether it loses everything from now on, in both directions. The connections stay, and TCP goes on to acknowledge.
    loses_answers
        Whether it loses what the server says from now on, while the server hears everything.
    """

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.is_silent = False
        self.loses_answers = False

    def cut(self) -> None:
        """End both connections."""
        for side in (self.client, self.server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


class Proxy:
    """Passes connections to a server on to it, and misbehaves when told to.

    Parameters
    ----------
    server
        The server's address: a host and port, or the path of a Unix socket.

    Attributes
    ----------
    host, port
        Where it listens.
    delay
        Seconds to wait before each piece is passed on. Default: 0.
    is_silent
        Whether new connections are accepted and then never answered.
    is_refusing
        Whether new connections are ended at once.
    is_truncating
        Whether only half of the server's next answer is passed on, on each connection, which is ended then.
    """

    def __init__(self, server: tuple[str, int] | str) -> None:
        self.server = server
        self.delay = 0.0
        self.is_silent = False
        self.is_refusing = False
        self.is_truncating = False
        self.links: list[Link] = []
        self._is_closed = False
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.host: str
        self.port: int
        self.host, self.port = self._listening.getsockname()
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def silence(self) -> None:
        """Lose everything from now on, on all present connections and on new ones, and let TCP go on."""
        self.is_silent = True
        self.silence_present()

    def silence_present(self) -> None:
        """Lose everything on the present connections; new ones work."""
        for link in list(self.links):
            link.is_silent = True

    def heal(self) -> None:
        """Let new connections work again. What was lost stays lost, and silent connections stay silent."""
        self.is_silent = self.is_refusing = self.is_truncating = False

    def cut(self) -> None:
        """End all present connections."""
        for link in list(self.links):
            link.cut()

    def close(self) -> None:
        """Stop listening, and end all connections."""
        self._is_closed = True
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="proxy link", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            if self.is_refusing:
                return
            try:
                server = self._connect()
            except OSError:
                return
            with server:
                link = Link(client, server)
                link.is_silent = self.is_silent
                self.links.append(link)
                try:
                    with contextlib.suppress(OSError):
                        self._pump(link)
                finally:
                    self.links.remove(link)
                    link.cut()

    def _connect(self) -> socket.socket:
        if isinstance(self.server, tuple):
            return socket.create_connection(self.server)
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.server)
        return server

    def _pump(self, link: Link) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(link.client, selectors.EVENT_READ, link.server)
            selector.register(link.server, selectors.EVENT_READ, link.client)
            while True:
                for key, _ in selector.select():
                    source, target = key.fileobj, key.data
                    assert isinstance(source, socket.socket)
                    piece = source.recv(CHUNK)
                    if link.is_silent:
                        if not piece:
                            selector.unregister(source)  # the other side must not hear of it
                            if not selector.get_map():
                                return
                        continue
                    if not piece:
                        return
                    if link.loses_answers and source is link.server:
                        continue
                    if self.delay:
                        time.sleep(self.delay)
                    if self.is_truncating and source is link.server:
                        target.sendall(piece[: len(piece) // 2])
                        return
                    target.sendall(piece)


@contextlib.contextmanager
def proxied(dsn: str) -> Iterator[tuple[Proxy, str]]:
    """Run a proxy before the server of a DSN; yield it, and the DSN that leads through it."""
    with psycopg.connect(dsn) as connection:
        host, port = connection.info.host, connection.info.port
        password = connection.info.password
    proxy = Proxy(f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port))
    try:
        address: dict[str, Any] = {"host": proxy.host, "port": proxy.port}
        if password:
            address["password"] = password
        yield proxy, make_conninfo(dsn, **address)
    finally:
        proxy.close()
