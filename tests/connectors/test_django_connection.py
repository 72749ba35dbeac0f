"""Django's own connection, given to synchronous calls: they are committed and rolled back with Django's transaction.

Each in a program of its own: Django is set up once in a process, and takes psycopg where it is installed.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable

import pytest
from psycopg.conninfo import conninfo_to_dict

from support.processes import run_python
from support.sessions import Sessions

PREAMBLE = """
import asyncio, json, sys
__name__ = "program"  # tasks of the main module have names that adjourn warns of
names, dsn, parameters = sys.argv[1].split(), sys.argv[2], json.loads(sys.argv[3])
is_psycopg2 = "Psycopg2Connector" in names
if is_psycopg2:
    sys.modules["psycopg"] = None

import django
from django.conf import settings

settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **parameters}})
django.setup()

import adjourn
from adjourn.exceptions import AlreadyEnqueued, InvalidConnection
from django.db import connection, connections, transaction

def is_refused(message, call, **given):
    try:
        call(**given)
    except InvalidConnection as error:
        assert message in str(error), error
    else:
        raise AssertionError("not refused")

for name in names:
    app = adjourn.App(connector=getattr(adjourn, name)(dsn))

    @app.task(name="job", queueing_lock="one")
    def job(number):
        pass

    def waiting():
        return [job.task_kwargs["number"] for job in app.job_manager.list_jobs(status="todo")]

"""

Program = Callable[[str, str], None]
DRIVERS = ["SyncPsycopgConnector PsycopgConnector", "Psycopg2Connector AsyncPsycopg2Connector"]


@pytest.fixture
def program(database: str, sessions: Sessions) -> Program:
    """Run a program for each of some connectors; it must succeed, and leave no connection."""
    keys = {"host": "HOST", "port": "PORT", "dbname": "NAME", "user": "USER", "password": "PASSWORD"}
    parameters = {keys[key]: value for key, value in conninfo_to_dict(database).items() if key in keys}

    def run(connectors: str, text: str) -> None:
        source = PREAMBLE + textwrap.indent(textwrap.dedent(text), "    ")
        done = run_python("-c", source, connectors, database, json.dumps(parameters))
        assert (done.returncode, done.stderr) == (0, "")
        assert sessions.settle(0) == 0

    return run


@pytest.mark.parametrize("connectors", DRIVERS)
def test_a_job_is_committed_and_rolled_back_with_djangos_transaction(program: Program, connectors: str) -> None:
    program(
        connectors,
        """
        with app.open():
            for given in connection, connections["default"]:
                with transaction.atomic():
                    kept = job.configure(connection=given).defer(number=1)
                    assert waiting() == []
                assert waiting() == [1]
                with transaction.atomic():
                    assert app.job_manager.cancel_job_by_id(kept, connection=given, delete_job=True)
                try:
                    with transaction.atomic():
                        job.configure(connection=given).defer(number=2)
                        raise KeyError
                except KeyError:
                    pass
                assert waiting() == []
        connections.close_all()
        """,
    )


@pytest.mark.parametrize("connectors", DRIVERS)
def test_the_app_need_not_be_open_and_a_savepoint_keeps_the_transaction_from_an_error(
    program: Program, connectors: str
) -> None:
    program(
        connectors,
        """
        # Not connected yet, and outside of a transaction: committed at once, as by any statement of Django's.
        kept = job.configure(connection=connection).defer(number=1)
        with transaction.atomic():
            try:
                with transaction.atomic():
                    job.configure(connection=connection).defer(number=2)
            except AlreadyEnqueued:
                pass
            else:
                raise AssertionError
            assert app.job_manager.cancel_job_by_id(kept, connection=connection, delete_job=True)
            job.configure(connection=connection).defer(number=3)
        with app.open():
            (found,) = app.job_manager.list_jobs()
            assert found.task_kwargs == {"number": 3}
            app.job_manager.cancel_job_by_id(found.id, delete_job=True)
        connections.close_all()
        """,
    )


@pytest.mark.parametrize("connectors", DRIVERS)
def test_it_is_for_synchronous_calls(program: Program, connectors: str) -> None:
    program(
        connectors,
        """
        if not name.startswith(("Sync", "Psycopg2")):
            for _ in range(2):
                awaited = lambda: asyncio.run(job.configure(connection=connection).defer_async(number=1))
                is_refused("without `_async`", awaited)
                connection.ensure_connection()
        connections.close_all()
        """,
    )


def test_one_of_another_driver_or_database_is_refused_with_the_remedy(program: Program) -> None:
    program(
        "Psycopg2Connector",
        """
        from django.db.backends.sqlite3.base import DatabaseWrapper

        sqlite = DatabaseWrapper({"NAME": ":memory:", "ENGINE": "django.db.backends.sqlite3"}, "other")
        is_refused("the connector of the driver", job.configure(connection=sqlite).defer, number=1)
        """,
    )
    program(
        "SyncPsycopgConnector",
        """
        other = adjourn.App(connector=adjourn.Psycopg2Connector(dsn))
        deferrer = other.configure_task("job", connection=connection)
        is_refused("the connector of the driver", deferrer.defer, number=1)
        connections.close_all()
        """,
    )
