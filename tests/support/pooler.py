"""PgBouncer, between a test and its server."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from support.waiting import until

BINARY = shutil.which("pgbouncer", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))
MISSING = "PgBouncer is not installed here (Debian and Ubuntu have it in the package pgbouncer)"

CONFIGURATION = """
[databases]
{database} = {place}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 500
logfile = {log}
"""


def _as_another_user(host: str) -> list[str]:
    """Return the option for another user than root, as whom PgBouncer refuses to run: one that can enter the socket's
    directory."""
    if os.geteuid() != 0:
        return []
    return ["-u", Path(host).owner() if host.startswith("/") else "nobody"]


@contextlib.contextmanager
def pgbouncer(dsn: str, size: int = 4, mode: str = "transaction") -> Iterator[str]:
    """Run PgBouncer before a database, for as long as the block lasts, and yield the address to use instead.

    Parameters
    ----------
    dsn
        The database.
    size
        How many sessions it has on the server, for all its clients.
    mode
        When a client gives its session back.
    """
    assert BINARY is not None, MISSING
    found = conninfo_to_dict(dsn)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Not pytest's directory, which another user may not enter.
    with tempfile.TemporaryDirectory(prefix="adjourn-pgbouncer-") as name:
        directory = Path(name)
        directory.chmod(0o777)
        path, log = directory / "pgbouncer.ini", directory / "pgbouncer.log"
        place = " ".join(
            f"{key}={found[key]}" for key in ("host", "port", "user", "password", "dbname") if key in found
        )
        path.write_text(
            CONFIGURATION.format(database=found["dbname"], place=place, port=port, size=size, log=log, mode=mode),
            "utf-8",
        )
        command = [BINARY, "-q", *_as_another_user(str(found.get("host", ""))), str(path)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        address = make_conninfo(
            "", host="127.0.0.1", port=port, dbname=found["dbname"], user=found.get("user") or "postgres"
        )

        def answers() -> bool:
            assert process.poll() is None, log.read_text("utf-8") if log.exists() else "pgbouncer has ended"
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(address, connect_timeout=5).close()
                return True
            return False

        try:
            until(answers)
            yield address
        finally:
            process.terminate()
            process.wait(10)
