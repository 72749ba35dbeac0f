"""The plugin beside pytest-django: jobs in the test database, in the test's transaction or committed."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

PROJECT = {
    "shop_settings": """
        import json, os
        SECRET_KEY = "x"
        USE_TZ = True
        INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "adjourn.contrib.django"]
        DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", **json.loads(os.environ["SHOP_DATABASE"])}}
        if "SHOP_QUEUE" in os.environ:
            ADJOURN_DATABASE_ALIAS = os.environ["SHOP_QUEUE"]
            DATABASES[ADJOURN_DATABASE_ALIAS] = {**DATABASES["default"], "NAME": DATABASES["default"]["NAME"] + "_queue"}
    """,
    "shop": """
        from adjourn.contrib.django import app
        from django.contrib.auth.models import Group
        from django.db import transaction

        seen = []

        @app.task(name="add")
        def add(name):
            Group.objects.create(name=name)
            transaction.on_commit(lambda: seen.append(name))

        @app.task(name="add_async")
        async def add_async(name):
            await Group.objects.acreate(name=name)
            await add.defer_async(name=name + "!")
    """,
    "test_shop": """
        import pytest
        from django.contrib.auth.models import Group
        from shop import add, add_async, seen

        def test_jobs_see_the_test_s_transaction(adjourn_jobs, adjourn_drain):
            add_async.defer(name="a")
            adjourn_jobs.assert_deferred(add_async, count=1)
            assert adjourn_drain().succeeded == 2
            assert Group.objects.count() == 2
            assert seen == ["a!"]

        def test_a_job_that_fails_fails_alone(adjourn_jobs, adjourn_drain):
            adjourn_jobs.refute_deferred()
            assert Group.objects.count() == 0
            for name in ("a", "a", "b"):
                add.defer(name=name)
            drained = adjourn_drain(raise_failures=False)
            assert (drained.succeeded, drained.failed) == (2, 1)

        @pytest.mark.django_db(transaction=True)
        def test_that_commits_a_job():
            add.defer(name="left")

        @pytest.mark.adjourn(isolation="delete")
        def test_worker(adjourn_jobs, adjourn_worker):
            adjourn_jobs.refute_deferred()
            add.defer(name="y")
            adjourn_worker.wait_idle()
            assert Group.objects.count() == 1

        def test_nothing_is_left(adjourn_jobs):
            adjourn_jobs.refute_deferred()

        @pytest.mark.adjourn(isolation="schema")
        def test_refused(adjourn_jobs):
            pass
    """,
}


def place(dsn: str) -> dict[str, Any]:
    """The address of a database, as ``DATABASES`` has it."""
    given = conninfo_to_dict(dsn)
    names = {"dbname": "NAME", "host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
    return {ours: given[his] for his, ours in names.items() if his in given}


@pytest.mark.skipif(
    "ADJOURN_TEST_THOROUGH" not in os.environ, reason="makes a Django project: scripts/test-all runs it"
)
def test_jobs_are_isolated_in_django_s_test_database(
    pytester: pytest.Pytester, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_DATABASE", json.dumps(place(database)))
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    pytester.makepyfile(**PROJECT)
    pytester.makeini("[pytest]\nDJANGO_SETTINGS_MODULE = shop_settings\nadjourn_app = django\npythonpath = .\n")
    plugins = [f"-pno:{name}" for name in ("adjourn", "pytest_cov", "timeout", "xdist")]
    result = pytester.runpytest_subprocess(*plugins, "-padjourn.testing.plugin")
    result.assert_outcomes(passed=5, errors=1)
    result.stdout.fnmatch_lines(["*InvalidOption: isolation='schema': Django makes the test database*"])


ELSEWHERE = {
    "test_elsewhere": """
        import pytest
        from shop import add

        def test_fixtures_name_the_database(adjourn_jobs, adjourn_drain):
            add.defer(name="a")
            assert adjourn_drain().succeeded == 1

        @pytest.mark.adjourn(isolation="delete")
        def test_that_commits(adjourn_jobs, adjourn_worker):
            adjourn_jobs.refute_deferred()
            add.defer(name="a")
            adjourn_worker.wait_idle()

        @pytest.mark.django_db(databases=["default"])
        def test_refused(adjourn_jobs):
            pass

        @pytest.mark.adjourn(isolation="memory")
        def test_in_memory(adjourn_jobs):
            add.defer(name="a")
            adjourn_jobs.assert_deferred(add)

        @pytest.mark.django_db(transaction=True)
        def test_that_needs_none_of_it():
            pass

        def test_nothing_is_left(adjourn_jobs):
            adjourn_jobs.refute_deferred()
    """,
}


@pytest.mark.skipif(
    "ADJOURN_TEST_THOROUGH" not in os.environ, reason="makes a Django project: scripts/test-all runs it"
)
def test_jobs_may_be_in_another_database_than_the_rows(
    pytester: pytest.Pytester, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_DATABASE", json.dumps(place(database)))
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setenv("SHOP_QUEUE", "another")
    pytester.makepyfile(**{name: PROJECT[name] for name in ("shop", "shop_settings")}, **ELSEWHERE)
    pytester.makeini("[pytest]\nDJANGO_SETTINGS_MODULE = shop_settings\nadjourn_app = django\npythonpath = .\n")
    plugins = [f"-pno:{name}" for name in ("adjourn", "pytest_cov", "timeout", "xdist")]
    result = pytester.runpytest_subprocess(*plugins, "-padjourn.testing.plugin")
    result.assert_outcomes(passed=5, errors=1)
    result.stdout.fnmatch_lines(
        ["*InvalidOption: The jobs are in the database 'another', which this test may not use*"]
    )
