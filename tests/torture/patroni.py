"""A cluster of three Postgres servers that Patroni looks after, with synchronous replication."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any, Self

from support.waiting import until
from torture import programs
from torture.haproxy import is_primary
from torture.postgres import DATABASE, SUPERUSER, Postgres, free_port, make_database

TTL = 20
"""Seconds after which the others elect a leader when it is silent: the least that Patroni takes."""
STARTED = 120.0

CONFIGURATION: dict[str, Any] = {
    "scope": "torture",
    "bootstrap": {
        "dcs": {
            "ttl": TTL,
            "loop_wait": 2,
            "retry_timeout": 3,
            "synchronous_mode": True,
            "master_start_timeout": 0,
            "postgresql": {
                "use_pg_rewind": True,
                "parameters": {
                    "max_connections": 100,
                    "wal_log_hints": "on",
                    "fsync": "off",
                    "log_line_prefix": "%m [%p] %a ",
                    "lc_messages": "C",
                    "logging_collector": "on",
                    "log_filename": "server.log",
                },
            },
        },
        "initdb": [{"encoding": "UTF8"}, {"locale": "C"}],
    },
}


class Node:
    """One of the cluster's machines: a Patroni and its Postgres.

    Parameters
    ----------
    directory
        Where its data is.
    name
        Its name.
    etcd
        The port of etcd.
    """

    def __init__(self, directory: Path, name: str, etcd: int, program: Path) -> None:
        self.name = name
        self.program = program
        # Only its place, port and account are used: Patroni makes, starts and stops it.
        self.postgres = Postgres(directory / name)
        self.rest = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._configure(etcd)

    @property
    def log(self) -> Path:
        """The log of its Postgres."""
        return self.postgres.home / "server.log"

    def _configure(self, etcd: int) -> None:
        server = self.postgres
        address = f"127.0.0.1:{server.port}"
        parameters = {
            **CONFIGURATION["bootstrap"]["dcs"]["postgresql"]["parameters"],
            "log_directory": str(server.home),
            "unix_socket_directories": str(server.home),
        }
        configuration = {
            **CONFIGURATION,
            "name": self.name,
            "restapi": {"listen": f"127.0.0.1:{self.rest}", "connect_address": f"127.0.0.1:{self.rest}"},
            "etcd3": {"host": f"127.0.0.1:{etcd}"},
            "postgresql": {
                "listen": address,
                "connect_address": address,
                "data_dir": str(server.data),
                "bin_dir": str(server.binaries),
                "pgpass": str(server.home / "pgpass"),
                "authentication": {
                    "superuser": {"username": SUPERUSER, "password": "not asked for"},
                    "replication": {"username": SUPERUSER, "password": "not asked for"},
                },
                "parameters": parameters,
                "pg_hba": [
                    "local all all trust",
                    "host all all 127.0.0.1/32 trust",
                    "host replication all 127.0.0.1/32 trust",
                ],
            },
        }
        # JSON is YAML.
        (server.home / "patroni.yml").write_text(json.dumps(configuration))

    def start(self) -> None:
        """Start its Patroni, which starts Postgres."""
        home = self.postgres.home
        self.process = programs.start(home / "patroni.log", self.program, home / "patroni.yml")

    def kill(self) -> None:
        """Kill Patroni, Postgres and all its sessions at once, as a machine dies."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        while found := self.postgres.processes():
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def is_leader(self) -> bool:
        """Whether its server takes writes."""
        return is_primary(self.postgres.address("postgres"))


class Cluster:
    """Three nodes and an etcd.

    Parameters
    ----------
    directory
        Where their data is.
    """

    def __init__(self, directory: Path) -> None:
        (patroni,) = programs.need("patroni", "patroni")
        (self._etcd_program,) = programs.need("etcd-server", "etcd")
        self._directory = directory / "etcd"
        self._etcd_port = free_port()
        self.nodes = [Node(directory, f"node{n}", self._etcd_port, patroni) for n in range(3)]

    @property
    def dsn(self) -> str:
        """The address of whichever node is the leader."""
        hosts = ",".join(["127.0.0.1"] * len(self.nodes))
        ports = ",".join(str(node.postgres.port) for node in self.nodes)
        return (
            f"host={hosts} port={ports} user={SUPERUSER} dbname={DATABASE}"
            " target_session_attrs=read-write connect_timeout=3"
        )

    def leader(self) -> Node | None:
        """Return the node that is the leader, or None."""
        return next((node for node in self.nodes if node.is_leader()), None)

    def is_whole(self) -> bool:
        """Whether all nodes run, one of them as the synchronous standby."""
        for node in self.nodes:
            with contextlib.suppress(OSError, ValueError):
                url = f"http://127.0.0.1:{node.rest}/cluster"
                with urllib.request.urlopen(url, timeout=2) as answer:
                    members = json.load(answer)["members"]
                roles = [member["role"] for member in members if member["state"] in ("running", "streaming")]
                return len(roles) == len(self.nodes) and "leader" in roles and "sync_standby" in roles
        return False

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        self._directory.mkdir()
        self._directory.chmod(0o777)
        peer = free_port()
        self._etcd = programs.start(
            self._directory / "etcd.log",
            self._etcd_program,
            f"--data-dir={self._directory / 'data'}",
            f"--listen-client-urls=http://127.0.0.1:{self._etcd_port}",
            f"--advertise-client-urls=http://127.0.0.1:{self._etcd_port}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
        )
        for node in self.nodes:
            node.start()
        until(self.is_whole, STARTED)
        leader = self.leader()
        assert leader is not None
        make_database(leader.postgres)

    def __exit__(self, *exception: object) -> None:
        for node in self.nodes:
            if node.process is not None:
                node.kill()
        if hasattr(self, "_etcd"):
            programs.end(self._etcd)
