"""The image of deploy/, built and run by podman. This needs podman, and the image that the Dockerfile starts from."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import psycopg
import pytest

import adjourn
from support import containers
from support.containers import podman
from support.deployment import compose
from support.proxy import proxied
from support.waiting import until

pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif("ADJOURN_TEST_THOROUGH" not in os.environ, reason="builds an image: scripts/test-all does"),
]

SHOP = """
import os, time, adjourn

app = adjourn.App(connector=adjourn.PsycopgConnector(os.environ["DATABASE_URL"]))

@app.task(queue="mail")
def send():
    time.sleep(20)
    print("sent", flush=True)
"""


@pytest.fixture(scope="module")
def image() -> str:
    if why := containers.hindrance():
        pytest.skip(why)
    return containers.build()


def said(image: str, *words: str) -> str:
    return podman("run", "--rm", "--network=none", image, *words).stdout.strip()


def test_a_container_that_is_stopped_ends_its_job_and_leaves_nothing(
    image: str, database: str, tmp_path: Path, observer: psycopg.Connection
) -> None:
    program = tmp_path / "shop.py"
    program.write_text(SHOP)
    program.chmod(0o644)
    # As compose.yaml runs it.
    worker = compose()["worker"]
    assert (worker["read_only"], worker["tmpfs"], worker["cap_drop"]) == (True, ["/tmp"], ["ALL"])
    limits = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with contextlib.ExitStack() as stack:
        stack.enter_context(app.open())
        # By a port: the socket of the tests' server is this user's alone.
        _, address = stack.enter_context(proxied(database))
        own = [f"--env=DATABASE_URL={address}", f"--volume={program}:/srv/shop/shop.py:ro"]
        name = stack.enter_context(containers.started(*limits, *own, image))
        job = app.configure_task("shop.send", queue="mail").defer()
        until(lambda: app.job_manager.get_job_status(job) == "doing")
        # By the image's own HEALTHCHECK.
        until(lambda: podman("healthcheck", "run", name, check=False).returncode == 0)
        first = podman("exec", name, "cat", "/proc/1/cmdline").stdout.split("\0")
        assert any(word.endswith("/adjourn") for word in first[:2])
        status = podman("exec", name, "cat", "/proc/1/status").stdout
        (users,) = [line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")]
        assert set(users) == {"10001"}
        assert app.job_manager.get_job_status(job) == "doing"
        began = time.monotonic()
        podman("stop", "--time=60", name)
        assert time.monotonic() - began < 60
        assert containers.inspected(name)["State"]["ExitCode"] == 0, podman("logs", name).stderr
        assert "sent" in podman("logs", name).stdout.splitlines()
        assert app.job_manager.get_job_status(job) == "succeeded"
    assert observer.execute("select count(*) from adjourn.adjourn_workers").fetchone() == (0,)


def test_a_worker_without_a_database_is_not_healthy(image: str) -> None:
    own = ["--env=DATABASE_URL=postgresql://127.0.0.1:1/none?connect_timeout=1"]
    with containers.started(*own, image) as name:
        asked = podman("healthcheck", "run", name, check=False)
        assert asked.returncode != 0


def test_the_image_holds_no_compiler_and_no_installer(image: str) -> None:
    tools = "cc c++ gcc g++ clang tcc rustc cargo make ld as"
    assert said(image, "sh", "-c", f"for each in {tools}; do command -v $each; done; true") == ""
    assert said(image, "sh", "-c", "ls /srv/venv/bin | grep pip; true") == ""


def test_the_image_runs_as_nobody_who_could_change_it(image: str) -> None:
    assert said(image, "id", "-u") == said(image, "id", "-g") == "10001"
    assert said(image, "sh", "-c", "find /srv -writable") == ""


@pytest.mark.parametrize("command", ["worker", "web", "metrics", "schema", "doctor", "worker-health"])
def test_the_image_has_what_each_command_needs(image: str, command: str) -> None:
    assert said(image, "adjourn", command, "--help").startswith("usage:")


def test_a_value_that_makes_no_sense_is_named_in_the_logs(image: str) -> None:
    with containers.started("--env=ADJOURN_WORKER_CONCURRENCY=many", image) as name:
        assert podman("wait", name).stdout.strip() == "2"
        assert "ADJOURN_WORKER_CONCURRENCY" in podman("logs", name).stderr
