"""The probes of workers while their server is stopped, frozen, or has an older schema, and of a worker that is frozen itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

import adjourn
from adjourn import cli, embedded
from adjourn.cli import worker_health
from adjourn.worker import health
from support.bench import Bench
from support.databases import SETTINGS, apply_schema
from support.waiting import BOUND, until, until_async
from telemetry.test_probes import OPTIONS, Probes

pytestmark = pytest.mark.timeout(300)
AWAY = 120.0 if "ADJOURN_TEST_THOROUGH" in os.environ else 3.0
"""Seconds for which the server is away once it is noticed."""
PATIENT = {**OPTIONS, "update_heartbeat_interval": 0.2, "stalled_worker_timeout": 2.0}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at itself more often."""
    monkeypatch.setattr(health, "PERIOD", 0.05)


@pytest.fixture
def probes() -> Probes:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return Probes(f"127.0.0.1:{server.getsockname()[1]}")


class Server:
    """A server of the test's own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.running = embedded.Server(path, temporary=False, settings=SETTINGS)
        self.running.start()
        self.dsn = self.running.dsn

    def stop(self) -> None:
        self.running.stop()

    def start(self) -> None:
        self.running = embedded.Server(self.path, temporary=False, settings=SETTINGS)
        self.running.start()
        assert self.running.dsn == self.dsn

    def freeze(self) -> None:
        """Stop it and all its processes from running. The kernel goes on to take what is sent to them."""
        os.kill(self.running.pid, signal.SIGSTOP)  # first the one that starts others
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        place = Path(f"/proc/{self.running.pid}/cwd").readlink()
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdecimal() and (entry / "cwd").readlink() == place:
                    os.kill(int(entry.name), number)


@pytest.fixture
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        server = Server(Path(directory, "data"))
        apply_schema(server.dsn)
        yield server
        server.stop()


@pytest.fixture
async def app(server: Server) -> AsyncIterator[adjourn.App]:
    app = adjourn.App(connector=adjourn.PsycopgConnector(server.dsn, timeout=5))
    async with app.open_async():
        yield app


class Watch:
    """Asks whether a worker is alive, again and again, in a thread."""

    def __init__(self, probes: Probes) -> None:
        self._probes, self._is_over = probes, threading.Event()
        self.answers: list[int] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(0.05):
            self.answers.append(self._probes.get("/livez")[0])


@pytest.mark.parametrize("kind", ["stopped", "frozen"])
async def test_a_server_that_is_away_makes_it_unready_alone_and_what_it_has_kept_is_stored_afterwards(
    server: Server, app: adjourn.App, probes: Probes, kind: str
) -> None:
    go, ran = asyncio.Event(), list[str]()

    @app.task(name="work")
    async def work(name: str) -> None:
        ran.append(name)
        await go.wait()

    @app.task(name="in_thread")
    def in_thread(name: str) -> None:
        ran.append(name)
        while not go.is_set():
            time.sleep(0.01)

    bench = Bench(app)
    async with bench.working(http=probes.address, concurrency=4, **PATIENT) as worker:
        await probes.until(200, 200)
        ids = [
            await work.defer_async(name="a"),
            await work.defer_async(name="b"),
            await in_thread.defer_async(name="c"),
        ]
        await until_async(lambda: len(ran) == 3)
        with Watch(probes) as watch:
            await asyncio.to_thread(server.stop if kind == "stopped" else server.freeze)
            try:
                go.set()  # now they end, and nobody can be told
                await probes.until(200, 503)
                said = json.loads((await asyncio.to_thread(probes.get, "/readyz"))[1])
                assert [each["name"] for each in said["conditions"]] == ["database"]
                assert said["conditions"][0]["says"] == "the database does not answer"
                # For longer than a heartbeat may be late, were there somebody to hear it.
                await asyncio.sleep(AWAY)
            finally:
                await asyncio.to_thread(server.start if kind == "stopped" else server.thaw)
            for job_id in ids:
                await bench.ended(job_id)
            await probes.until(200, 200)
        assert set(watch.answers) == {200}
        worker.stop()
    assert sorted(ran) == ["a", "b", "c"]


async def test_a_schema_that_is_older_makes_it_unready_until_it_is_applied(
    server: Server, app: adjourn.App, probes: Probes
) -> None:
    """As after a restore of an old backup: the worker has to register anew, and is refused."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        async with Bench(app).working(http=probes.address, **PATIENT) as worker:
            await probes.until(200, 200)
            connection.execute(
                "update adjourn.adjourn_migrations set version = version - 100; delete from adjourn.adjourn_workers"
            )
            await until_async(lambda: probes_say(probes, "schema --apply"))
            assert await probes.both_async() == (200, 503)
            connection.execute("update adjourn.adjourn_migrations set version = version + 100")
            await probes.until(200, 200)
            worker.stop()


async def probes_say(probes: Probes, words: str) -> bool:
    return words in (await asyncio.to_thread(probes.get, "/readyz"))[1]


PROGRAM = """
import sys
from adjourn import cli
from adjourn.worker import health

health.PERIOD, health.FILE_PERIOD = 0.05, 0.1
sys.exit(cli.main(sys.argv[1:]))
"""


def test_the_file_of_a_worker_that_hangs_gets_old_and_its_age_is_told(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_health, "OLDEST", 2.0)
    (tmp_path / "shop.py").write_text(
        f"import adjourn\napp = adjourn.App(connector=adjourn.PsycopgConnector({database!r}))\n", encoding="utf-8"
    )
    file = tmp_path / "health"

    def told() -> tuple[int, str]:
        code = cli.main(["worker-health", "--file", str(file)])
        return int(code), "".join(capsys.readouterr())

    command = [sys.executable, "-c", PROGRAM, "--app=shop.app", "worker", f"--health-file={file}"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: file.exists() and told() == (0, "alive\n"))
            process.send_signal(signal.SIGSTOP)
            until(lambda: told()[0] == 1)
            code, text = told()
            assert code == 1
            assert " s old: the worker hangs, or has been killed" in text
            process.send_signal(signal.SIGCONT)
            until(lambda: told() == (0, "alive\n"))
            process.send_signal(signal.SIGTERM)
            assert process.wait(BOUND) == 0
        finally:
            process.kill()
    assert told()[0] == 1  # it has ended: the file is gone
