"""The integrations need their framework and nothing else."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys

for absent in ("asyncpg", "django", "greenlet", "psycopg2", "sqlalchemy"):
    sys.modules[absent] = None

import adjourn.contrib.click
import adjourn.contrib.flask
import adjourn.contrib.fastapi
import flask

app = flask.Flask("shop")
app.config["ADJOURN_DSN"] = "postgresql://localhost/mydb"
jobs = adjourn.contrib.flask.Adjourn(app)
web = adjourn.contrib.fastapi.lifespan(jobs.app)
print(app.test_cli_runner().invoke(args=["adjourn", "--version"]).output)
"""


def test_no_integration_needs_a_driver_or_package_that_it_does_not_use() -> None:
    # The program is its own main module, which the extension warns of.
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("adjourn, version ")


WITHOUT_LIBPQ = """
import ctypes.util, sys

sys.modules["psycopg_binary"] = sys.modules["psycopg_c"] = None
ctypes.util.find_library = lambda name: None

import adjourn
adjourn.PsycopgConnector("postgresql://localhost/mydb")
"""


def test_a_driver_that_finds_no_libpq_is_answered_with_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_LIBPQ], capture_output=True, text=True, check=False)
    assert "ImportError: no pq wrapper available" in done.stderr
    assert done.stderr.endswith('pip install "adjourn[binary]".\n')
