"""The database of the Django project of the tests, one for each worker of the run, with all migrations applied."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest
from asgiref.sync import SyncToAsync
from django.core.management import call_command
from django.db import connections
from pytest_django import DjangoDbBlocker

from support.databases import new_database
from support.sessions import Sessions
from support.shop import tasks
from support.site import move

LIVE = (
    "adjourn_jobs",
    "adjourn_audit",
    "adjourn_finished_jobs",
    "adjourn_workers",
    "adjourn_schedules",
    "adjourn_headless_locks",
)


@pytest.fixture(scope="session")
def site(server_dsn: str, dsn: str, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The address of the project's database."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    # pytest-django forbids Django to connect, except in tests that ask it for a database.
    with new_database(server_dsn, f"adjourn_django_{worker}") as address, django_db_blocker.unblock():
        move("default", address)
        move("second", dsn)
        call_command("migrate", verbosity=0)
        connections.close_all()
        yield address
        connections.close_all()


@pytest.fixture(scope="session")
def django_db_setup(site: str) -> None:
    """Have pytest-django use this database, which is one for tests already."""


@pytest.fixture(scope="session")
def site_observer(site: str) -> Iterator[psycopg.Connection]:
    """A connection beside Django's."""
    with psycopg.connect(site, autocommit=True, application_name="adjourn tests") as connection:
        connection.execute("SET lock_timeout = '10s'")
        yield connection


@pytest.fixture
def shop(site_observer: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """The project's database without any rows, and what others see of it."""
    deletions = "".join(f"DELETE FROM adjourn.{table};" for table in LIVE)
    site_observer.execute(
        f"BEGIN; SET LOCAL session_replication_role = replica; {deletions} DELETE FROM shop_order; COMMIT".encode(),
        prepare=False,
    )
    tasks.seen.clear()
    yield site_observer
    connections.close_all()
    # The thread of asynchronous tests that are in no context of their own.
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()


@pytest.fixture
def site_sessions(shop: psycopg.Connection) -> Sessions:
    """Who is connected to the project's database."""
    return Sessions(shop)
