"""Databases with the tables of both. Each test has one of its own, made from a template."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator

import psycopg
import pytest

import adjourn
from adjourn.migration import Migration
from support.databases import apply_schema, new_database, with_database
from support.procrastinates import INSTALLED, Old, schema_of

_numbers = itertools.count()


def make_app(dsn: str) -> adjourn.App:
    """An app with the tasks of the old programs."""
    app = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=dsn))

    @app.task(name="echo")
    def echo(**arguments: object) -> None:
        """Do nothing."""

    @app.periodic(cron="* * * * *")
    @app.task(name="tick")
    def tick(timestamp: int) -> None:
        """Do nothing."""

    return app


@pytest.fixture(scope="session")
def templates(server_dsn: str) -> Iterator[Callable[[str], str]]:
    """Return the name of a database with the tables of both, which is made when it is first asked for."""
    made: dict[str, str] = {}
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")

    def name_of(release: str) -> str:
        if release not in made:
            text = schema_of(release)
            name = f"migration_{worker}_{release}"
            with psycopg.connect(server_dsn, autocommit=True) as connection:
                connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
                connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
            made[release] = name
            dsn = with_database(server_dsn, name)
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(text.encode())
            apply_schema(dsn)
        return made[release]

    yield name_of
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        for name in made.values():
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def release() -> str:
    """The release of Procrastinate; a test can parametrize it."""
    return INSTALLED


@pytest.fixture
def both(server_dsn: str, templates: Callable[[str], str], release: str) -> Iterator[str]:
    """The address of a database of the test's own, with the tables of both and no jobs."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with new_database(server_dsn, f"migration_{worker}_{next(_numbers)}", template=templates(release)) as address:
        yield address


@pytest.fixture
def old(both: str) -> Iterator[Old]:
    """A session of an old program."""
    old = Old(both)
    yield old
    old.connection.close()


@pytest.fixture
def app(both: str) -> Iterator[adjourn.App]:
    """An app of the new program, open."""
    with make_app(both).open() as app:
        yield app


@pytest.fixture
def migration(app: adjourn.App) -> Migration:
    """The migration of the test's database."""
    return Migration(app)
