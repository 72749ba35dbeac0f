"""Whole Django projects, each in a process of its own."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from support.databases import new_database
from support.pooler import BINARY, MISSING, pgbouncer
from support.processes import run_python
from support.site import address

DOCUMENTED = Path(__file__).parent / "documented"


@pytest.fixture
def real(server_dsn: str) -> Iterator[str]:
    """A database that has nothing yet."""
    with new_database(server_dsn, f"adjourn_real_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}") as address:
        yield address


def test_programs_that_procrastinate_documents_run_with_other_names(real: str) -> None:
    # pytest-django makes a database for the tests beside the real one, which gets nothing.
    with psycopg.connect(real, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA adjourn")
        done = run_python(
            *(
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "-c",
                os.devnull,
                "--rootdir",
                str(DOCUMENTED),
                "--confcutdir",
                str(DOCUMENTED),
            ),
            *("--ds", "settings", str(DOCUMENTED / "check_documented.py")),
            cwd=DOCUMENTED,
            environment={"DATABASE_DSN": real, "PYTHONPATH": str(DOCUMENTED)},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "12 passed" in done.stdout
        tables = connection.execute("SELECT relname FROM pg_class WHERE relnamespace = 'adjourn'::regnamespace")
        assert tables.fetchall() == []


SMALLEST = """
import json, os, sys
names = json.loads(sys.argv[1])
if names["driver"] == "psycopg2":
    # As where only that is installed.
    sys.modules["psycopg"] = sys.modules["psycopg_pool"] = None
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="no secret",
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **names["place"]}},
    INSTALLED_APPS=["small", "adjourn.contrib.django"],
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    ROOT_URLCONF="small",
    ALLOWED_HOSTS=["*"],
    **names["settings"],
)
django.setup()

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connection, transaction
from django.test import Client
from adjourn import exceptions
from adjourn.contrib.django import app, connector_params, models
import small.tasks

assert connection.Database.__name__ == names["driver"]
call_command("check")
get_wsgi_application()
assert connection.connection is None
call_command("makemigrations", check_changes=True, dry_run=True, verbosity=0)
call_command("migrate", verbosity=0)
call_command("check", databases=["default"], fail_level="WARNING")
call_command("adjourn", "healthchecks", stdout=open(os.devnull, "w"))
assert Client().get("/").json() == {"job": 1}
try:
    with transaction.atomic():
        assert Client().get("/").json() == {"job": 2}
        assert models.Job.objects.count() == 2
        raise KeyError
except KeyError:
    assert models.Job.objects.count() == 1
with transaction.atomic():
    small.tasks.greet.configure(queueing_lock="one", schedule_in={"hours": 1}).defer(name="eve")
    try:
        small.tasks.greet.configure(queueing_lock="one").defer(name="eve")
    except exceptions.AlreadyEnqueued:
        assert models.Job.objects.count() == 2
try:
    app.connector.execute_query("select 1/0")
except exceptions.ConnectorException as error:
    assert error.sqlstate == "22012"
else:
    raise AssertionError
call_command("adjourn", "worker", "--one-shot")
done, scheduled = app.job_manager.list_jobs()
assert (done.status, scheduled.status) == ("succeeded", "todo")
assert scheduled.scheduled_at.utcoffset() is not None
assert small.tasks.greeted == ["ada"]
assert connector_params()["dbname"] == names["place"]["NAME"]
call_command("adjourn", "shell", "cancel", str(scheduled.id))
call_command("migrate", "adjourn", "zero", verbosity=0)
"""
SMALL = {
    "__init__.py": """
from django.http import JsonResponse
from django.urls import path

def greet(request):
    from small.tasks import greet
    return JsonResponse({"job": greet.defer(name="ada")})

urlpatterns = [path("", greet)]
""",
    "tasks.py": """
from adjourn.contrib.django import app

greeted = []

@app.task
def greet(name):
    greeted.append(name)
""",
}


def write(folder: Path, files: dict[str, str]) -> None:
    """Write the files of a program."""
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(textwrap.dedent(text), encoding="utf-8")


@pytest.mark.parametrize(
    ("driver", "settings"),
    [
        ("psycopg", {"USE_TZ": True}),
        ("psycopg2", {"USE_TZ": False, "TIME_ZONE": "Europe/Berlin", "ADJOURN_SCHEMA": 'My "queue" 100%'}),
    ],
)
def test_the_smallest_project_migrates_defers_and_runs_its_job(
    driver: str, settings: dict[str, object], real: str, tmp_path: Path
) -> None:
    write(tmp_path, {f"small/{name}": text for name, text in SMALL.items()} | {"program.py": SMALLEST})
    names = {"driver": driver, "place": address(real), "settings": settings}
    done = run_python("program.py", json.dumps(names), cwd=tmp_path, environment={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif("ADJOURN_TEST_THOROUGH" not in os.environ, reason="as above: scripts/test-all runs it")
@pytest.mark.skipif(BINARY is None, reason=MISSING)
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_the_smallest_project_works_behind_a_pooler(driver: str, real: str, tmp_path: Path) -> None:
    write(tmp_path, {f"small/{name}": text for name, text in SMALL.items()} | {"program.py": SMALLEST})
    with pgbouncer(real, 2) as pooled:
        names = {"driver": driver, "place": address(pooled), "settings": {"ADJOURN_POOL": {"pooler": True}}}
        done = run_python("program.py", json.dumps(names), cwd=tmp_path, environment={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr


STARTING = """
import sys
from django.conf import settings
from adjourn.contrib.django import app
from adjourn.contrib.django.exceptions import DjangoNotReady

@app.task(name="early")
def early():
    pass

try:
    early.defer()
except DjangoNotReady as error:
    assert "django.setup()" in str(error)
else:
    raise AssertionError("not refused")
import json
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **json.loads(sys.argv[1])}},
    INSTALLED_APPS=["other", "adjourn.contrib.django"],
)
import django
django.setup()
import other
assert other.ready == ["defers before adjourn is ready"], other.ready
assert [job.task_name for job in app.job_manager.list_jobs()] == ["early"]
"""
OTHER = {
    "__init__.py": "ready = []",
    "apps.py": """
from django.apps import AppConfig

class OtherConfig(AppConfig):
    name = "other"
    def ready(self):
        import other
        from adjourn.contrib.django import app
        app.configure_task("early").defer()
        other.ready.append("defers before adjourn is ready")
""",
}


def test_defers_need_configured_settings_and_no_order_of_apps(database: str, tmp_path: Path) -> None:
    write(tmp_path, {f"other/{name}": text for name, text in OTHER.items()} | {"program.py": STARTING})
    place = json.dumps(address(database))
    done = run_python("program.py", place, cwd=tmp_path, environment={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_django_the_error_names_the_extra() -> None:
    done = run_python("-c", "import sys; sys.modules['django'] = None; import adjourn.contrib.django")
    assert "pip install 'adjourn[django]'" in done.stderr.splitlines()[-1]
