"""gunicorn, on a socket of the test's."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from support.waiting import BOUND, until

OPTIONS = ("--graceful-timeout", "5")
"""A child that has just been forked loses a SIGTERM, and gunicorn kills it after this time, 30 s by default."""


@contextlib.contextmanager
def gunicorn(directory: Path, *arguments: str, workers: int = 2) -> Iterator[Path]:
    """Run gunicorn in a directory for as long as the block lasts, and give the socket it listens on."""
    listens = directory / "socket"
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "gunicorn",
            *OPTIONS,
            "--bind",
            f"unix:{listens}",
            "--workers",
            str(workers),
            *arguments,
        ],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            until(lambda: _is_listening(listens) or server.poll() is not None)
            yield listens
        finally:
            server.send_signal(signal.SIGTERM)
            output, _ = server.communicate(timeout=BOUND)
        assert server.returncode == 0, output


def post(listens: Path, path: str, **form: str) -> Any:
    """Post a request to a server, and return what its answer says in JSON."""
    with socket.socket(socket.AF_UNIX) as connected:
        connected.settimeout(BOUND)
        connected.connect(str(listens))
        connection = http.client.HTTPConnection("localhost")
        connection.sock = connected
        connection.request("POST", path, urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
        answer = connection.getresponse()
        body = answer.read()
    assert answer.status == 200, body
    return json.loads(body)


def _is_listening(listens: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(listens)) == 0
