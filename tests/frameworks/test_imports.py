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
