"""A drain inside of Django's TestCase, on the test's own connection. It is a program of its own: Django is set up once."""

from __future__ import annotations

import json

import pytest
from psycopg.conninfo import conninfo_to_dict

from support.processes import run_python

PROGRAM = """
import json, sys, unittest
__name__ = "program"

import django
from django.conf import settings

parameters, dsn, driver = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
if driver == "Psycopg2Connector":
    sys.modules["psycopg"] = None
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **parameters}},
    USE_TZ=True, DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)
django.setup()

import adjourn
from asgiref.sync import sync_to_async
from django.db import DataError, IntegrityError, connection, models, transaction
from django.test import TestCase
from adjourn import testing

app = adjourn.App(connector=getattr(adjourn, driver)(dsn))
told = []

class Name(models.Model):
    id = models.AutoField(primary_key=True)
    name = models.TextField(unique=True)
    class Meta:
        app_label = "program"
        managed = False
        db_table = "scratch"

@app.task(name="add")
def add(name):
    Name.objects.create(name=name)
    transaction.on_commit(lambda: told.append(name))

@app.task(name="add_async")
async def add_async(name):
    await Name.objects.acreate(name=name)
    await sync_to_async(lambda: told.append(connection.in_atomic_block))()
    await add.defer_async(name=name + "!")

@app.task(name="swallow")
def swallow():
    try:
        Name.objects.create(name="a")
    except IntegrityError:
        pass

@app.task(name="catch")
def catch():
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
    except DataError:
        pass

class Tests(TestCase):
    def setUp(self):
        told.clear()

    def drain(self, **options):
        return testing.drain(app, connection=connection, **options)

    def test_1_changes_are_seen_and_callbacks_run(self):
        add.configure(connection=connection).defer(name="a")
        add_async.configure(connection=connection).defer(name="b")
        self.assertEqual(self.drain().succeeded, 3)
        self.assertEqual(sorted(Name.objects.values_list("name", flat=True)), ["a", "b", "b!"])
        self.assertEqual(told, ["a", True, "b!"])

    def test_2_a_job_that_breaks_the_transaction_fails_alone(self):
        self.assertEqual(Name.objects.count(), 0)
        names = ({"name": "a"}, {"name": "a"}, {}, {}, {"name": "c"})
        for task, arguments in zip((add, add, swallow, catch, add), names):
            task.configure(connection=connection).defer(**arguments)
        drained = self.drain(raise_failures=False)
        self.assertEqual((drained.succeeded, drained.failed), (2, 3))
        self.assertIsInstance(drained.failures[0].error, IntegrityError)
        for failure in drained.failures[1:]:
            self.assertIn("atomic()", str(failure.error))
        self.assertEqual(sorted(Name.objects.values_list("name", flat=True)), ["a", "c"])
        self.assertEqual(told, ["a", "c"])

    def test_3_nothing_of_other_tests_is_left(self):
        self.assertEqual(testing.deferred(app, connection=connection), [])
        self.assertEqual(Name.objects.count(), 0)

result = unittest.TextTestRunner(verbosity=0).run(unittest.defaultTestLoader.loadTestsFromTestCase(Tests))
sys.exit(not result.wasSuccessful())
"""


@pytest.mark.parametrize("driver", ["PsycopgConnector", "Psycopg2Connector"])
def test_jobs_run_in_the_transaction_of_a_testcase(database: str, scratch: str, driver: str) -> None:
    given = conninfo_to_dict(database)
    names = {"dbname": "NAME", "host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
    parameters = {ours: str(given[theirs]) for theirs, ours in names.items() if theirs in given}
    done = run_python("-c", PROGRAM, json.dumps(parameters), database, driver)
    assert done.returncode == 0, done.stderr
