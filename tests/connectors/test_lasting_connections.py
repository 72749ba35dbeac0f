"""The connections of pools and sessions notice a lost network, unless the user has said something else."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

import adjourn
from adjourn._drivers.libpq import LASTING, connect_timeout
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector, SQLAlchemyPsycopgConnector
from support.addresses import address
from support.proxy import proxied

EXPECTED = {**LASTING, "connect_timeout": 10}
SAID: dict[str, Any] = {"keepalives_idle": 77, "tcp_user_timeout": 5000, "connect_timeout": 4}


@pytest.fixture
def tcp(scratch: str) -> Iterator[str]:
    """Return an address over TCP."""
    with proxied(scratch) as (_, dsn):
        yield dsn


def seen_by_libpq(parameters: dict[str, Any]) -> dict[str, int]:
    """Return the parameters of a connection that matter here."""
    return {name: int(parameters[name]) for name in EXPECTED}


async def pool_of(connector: adjourn.PsycopgConnector) -> dict[str, int]:
    """Return the parameters of a pool's connection."""
    await connector.open_async()
    try:
        async with connector.pool.connection() as connection:
            return seen_by_libpq(connection.info.get_parameters())
    finally:
        await connector.close_async()


async def test_psycopgs_pool_has_them_unless_the_user_has_said_something_else(tcp: str) -> None:
    assert await pool_of(adjourn.PsycopgConnector(tcp)) == EXPECTED
    assert await pool_of(adjourn.PsycopgConnector(lambda: tcp)) == EXPECTED
    said = " ".join(f"{name}={value}" for name, value in SAID.items())
    for connector in (
        adjourn.PsycopgConnector(f"{tcp} {said}"),
        adjourn.PsycopgConnector(lambda: f"{tcp} {said}"),
        adjourn.PsycopgConnector(tcp, **SAID),
        adjourn.PsycopgConnector(tcp, kwargs=SAID),
        adjourn.PsycopgConnector(tcp, kwargs=lambda: SAID),
    ):
        assert await pool_of(connector) == {**EXPECTED, **SAID}


def test_psycopg2s_pool_has_them_unless_the_user_has_said_something_else(tcp: str) -> None:
    nothing: dict[str, Any] = {}
    for said in (nothing, SAID):
        connector = adjourn.Psycopg2Connector(tcp, **said)
        connector.open()
        connection = connector.pool.getconn()
        assert seen_by_libpq(connection.info.dsn_parameters) == {**EXPECTED, **said}
        connector.pool.putconn(connection)
        connector.close()


def test_an_engines_pool_has_them_unless_the_user_has_said_something_else(tcp: str) -> None:
    url = address(tcp, "psycopg")
    for given, said in (
        (SQLAlchemyPsycopgConnector(dsn=url), {}),
        (SQLAlchemyPsycopgConnector(dsn=url, connect_args=SAID), SAID),
        (SQLAlchemyPsycopgConnector(dsn=url.update_query_dict({k: str(v) for k, v in SAID.items()})), SAID),
    ):
        given.open()
        with given.pool.connect() as connection:
            raw: Any = connection.connection.driver_connection
            assert seen_by_libpq(raw.info.get_parameters()) == {**EXPECTED, **said}
        given.close()


async def test_asyncpgs_sockets_have_them_too(tcp: str) -> None:
    connector = SQLAlchemyConnector(dsn=address(tcp, "asyncpg"))
    await connector.open_async()
    async with connector.pool.connect() as connection:
        raw: Any = (await connection.get_raw_connection()).driver_connection
        found = raw._transport.get_extra_info("socket")
        with socket.socket(fileno=os.dup(found.fileno())) as line:
            assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == LASTING["keepalives_idle"]
            assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == LASTING["tcp_user_timeout"]
    await connector.close_async()


def test_libpqs_environment_counts_as_said(tcp: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "7")
    connector = adjourn.SyncPsycopgConnector(tcp)
    connector.open()
    with connector.pool.connection() as connection:
        assert connection.info.get_parameters()["connect_timeout"] == "7"
    connector.close()


@pytest.mark.parametrize(
    ("said", "limits", "expected"),
    [
        ({}, (30, 60), 10),
        ({}, (30, None), 10),
        ({}, (3, 60), 3),
        ({}, (30, 1.5), 2),
        ({"host": "a,b,c"}, (30, 60), 10),
        ({"host": "a,b,c"}, (30, 12), 4),
        ({"host": ("a", "b")}, (30, 4), 2),
    ],
)
def test_connecting_to_all_hosts_keeps_within_the_limits(said: Any, limits: Any, expected: int) -> None:
    assert connect_timeout(said, limits) == expected
