"""What the page on the schema shows, done as it says: its Python, its SQL and its commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adjourn import sql
from support.databases import new_database

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "schema.md").read_text("utf-8")
FILES = {name: text for text, name in re.findall(r"```python\n(# (\S+\.py)\n.*?)```", PAGE, re.DOTALL)}
SQL = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
ADJOURN = (sys.executable, "-m", "adjourn", "--app=tasks.app")
TASKS = """
import os
import adjourn

app = adjourn.App(connector=adjourn.PsycopgConnector(os.environ["DATABASE"]))

@app.task(name="work")
def work():
    print("worked")
"""


@pytest.fixture
def bare(server_dsn: str) -> Iterator[str]:
    """The address of a database without adjourn's schema."""
    with new_database(server_dsn, f"adjourn_docs_schema_{os.getpid()}") as dsn:
        yield dsn


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A directory with an app."""
    (tmp_path / "tasks.py").write_text(TASKS)
    return tmp_path


def run(program: Path, dsn: str, *command: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ADJOURN_")}
    environment |= {"DATABASE": dsn, "PYTHONPATH": str(program), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    done = subprocess.run(
        command, cwd=program, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def assert_complete(program: Path, dsn: str) -> None:
    assert run(program, dsn, *ADJOURN, "schema", "--version") == f"{sql.latest_version()}\n"
    assert "up to date" in run(program, dsn, *ADJOURN, "schema", "--apply")
    assert_works(program, dsn)


def assert_works(program: Path, dsn: str) -> None:
    run(program, dsn, *ADJOURN, "defer", "work")
    assert run(program, dsn, *ADJOURN, "worker", "--one-shot") == "worked\n"


def test_each_block_of_the_page_is_run_here() -> None:
    assert FILES.keys() == {
        "pending.py",
        "indexes.py",
        "versions/0001_adjourn.py",
        "env.py",
        "migrations/0001_adjourn.py",
        "check.py",
    }
    assert PAGE.count("```python") == len(FILES)
    assert len(SQL) == 1
    assert "adjourn schema --roles worker=shop_worker producer=shop_web reader=grafana" in PAGE


def test_what_is_missing_is_printed_and_another_role_may_work(
    program: Path, bare: str, observer: psycopg.Connection
) -> None:
    (program / "pending.py").write_text(FILES["pending.py"])
    with psycopg.connect(bare, autocommit=True) as connection:
        connection.execute(run(program, bare, sys.executable, "pending.py").encode())
        assert run(program, bare, sys.executable, "pending.py") == ""
        assert_complete(program, bare)
        connection.execute("drop role if exists shop")
        connection.execute("create role shop login")
        try:
            for text in (run(program, bare, *ADJOURN, "schema", "--roles", "worker=shop"), *SQL):
                connection.execute(text.encode())
            assert_works(program, make_conninfo(bare, user="shop"))
            shop = make_conninfo(bare, user="shop")
            run(program, shop, sys.executable, "-c", STORE_WITH_LOCKS)
            assert run(program, shop, *ADJOURN, "worker", "--one-shot") == "worked\n" * 2
            run(program, shop, sys.executable, "-c", DELETE)
        finally:
            connection.execute("drop owned by shop cascade")
            connection.execute("drop role shop")


def test_indexes_are_built_by_the_program_of_the_page(program: Path, bare: str) -> None:
    (program / "indexes.py").write_text(FILES["indexes.py"])
    with psycopg.connect(bare, autocommit=True) as connection:
        connection.execute(sql.whole_schema().encode())
        connection.execute("create index adjourn_x on only adjourn.adjourn_finished_jobs using brin (finished_at)")
    assert re.fullmatch(r"built index adjourn_x on \d+ partitions\n", run(program, bare, sys.executable, "indexes.py"))
    assert run(program, bare, sys.executable, "indexes.py") == ""


# What needs more rights than a plain job does: the sequence by name, the placer, weeks of finished jobs.
STORE_WITH_LOCKS = """
from adjourn.jobs import Job
from tasks import app

with app.open():
    jobs = [Job(queue="default", task_name="work", task_kwargs={}, lock="l", queueing_lock=key) for key in "ab"]
    app.job_manager.batch_defer_jobs(jobs)
"""
DELETE = """
from tasks import app

with app.open():
    assert app.job_manager.delete_old_jobs(0) == 4
"""


def test_the_check_passes_on_a_complete_database(program: Path, database: str) -> None:
    (program / "check.py").write_text(FILES["check.py"])
    run(program, database, sys.executable, "check.py")


def test_alembic_applies_the_schema_and_takes_it_back(program: Path, bare: str) -> None:
    alembic = (sys.executable, "-m", "alembic")
    run(program, bare, *alembic, "init", "migrations")
    (program / "migrations" / "versions" / "0001_adjourn.py").write_text(FILES["versions/0001_adjourn.py"])
    configuration = program / "alembic.ini"
    url = bare.replace("postgresql:", "postgresql+psycopg:").replace("%", "%%")
    text, changes = re.subn(
        r"(?m)^sqlalchemy.url = .*$", lambda _: f"sqlalchemy.url = {url}", configuration.read_text()
    )
    assert changes == 1
    configuration.write_text(text)
    run(program, bare, *alembic, "upgrade", "head")
    assert_complete(program, bare)
    run(program, bare, *alembic, "downgrade", "base")
    with psycopg.connect(bare) as connection:
        assert connection.execute("select to_regnamespace('adjourn')").fetchone() == (None,)


def test_alembic_s_filter_leaves_out_our_schema_alone() -> None:
    names: dict[str, object] = {}
    exec(FILES["env.py"], names)
    include_name = names["include_name"]
    assert callable(include_name)
    found = [include_name(*each, {}) for each in (("adjourn", "schema"), ("shop", "schema"), ("adjourn", "table"))]
    assert found == [False, True, True]


def test_django_applies_the_schema_and_takes_it_back(program: Path, bare: str) -> None:
    parameters = {**conninfo_to_dict(bare)}
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    database = {names[key]: value for key, value in parameters.items() if key in names}
    (program / "settings.py").write_text(
        "INSTALLED_APPS = ['shop']\n"
        f"DATABASES = {{'default': {{'ENGINE': 'django.db.backends.postgresql', **{database!r}}}}}\n"
    )
    folder = program / "shop" / "migrations"
    folder.mkdir(parents=True)
    for package in (folder.parent, folder):
        (package / "__init__.py").touch()
    (folder / "0001_adjourn.py").write_text(FILES["migrations/0001_adjourn.py"])
    django = (sys.executable, "-m", "django")
    run(program, bare, *django, "migrate", "--settings=settings")
    assert_complete(program, bare)
    run(program, bare, *django, "migrate", "shop", "zero", "--settings=settings")
    with psycopg.connect(bare) as connection:
        assert connection.execute("select to_regnamespace('adjourn')").fetchone() == (None,)
