"""The probes of workers that something is wrong with."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import adjourn
from adjourn import cli
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn._domain import health as rule
from adjourn._domain.heartbeats import Registration
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn.exceptions import CannotListen, ConnectorException, InvalidOption
from adjourn.testing import InMemoryConnector
from adjourn.worker import Worker, exposition, health
from adjourn.worker.lease import Lease
from support.bench import Bench
from support.waiting import until_async

DOWN = ConnectorException("the server is down")
OPTIONS: dict[str, Any] = {
    "update_heartbeat_interval": 0.05,
    "abort_job_polling_interval": 0.05,
    "fetch_job_polling_interval": 0.05,
    "stalled_worker_timeout": 0.4,
}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become hundredths."""
    monkeypatch.setattr(health, "PERIOD", 0.02)
    monkeypatch.setattr(health, "FILE_PERIOD", 0.05)
    for name, value in (("UNREADY_LOOP", 0.3), ("IDLE_EXCHANGE", 0.5), ("OLD_OUTCOME", 1.0), ("LATE_OUTCOME", 0.3)):
        monkeypatch.setattr(rule, name, value)


@pytest.fixture
def address() -> str:
    """An address that is free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


class Probes:
    """Asks a worker how it is."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:  # it does not listen yet
            return 0, ""

    def both(self) -> tuple[int, int]:
        return self.get("/livez")[0], self.get("/readyz")[0]

    async def both_async(self) -> tuple[int, int]:
        return await asyncio.to_thread(self.both)

    async def until(self, live: int, ready: int) -> None:
        async def answers() -> bool:
            return await self.both_async() == (live, ready)

        await until_async(answers)


@pytest.fixture
def probes(address: str) -> Probes:
    return Probes(address)


class Outage:
    """Has the database refuse what a worker asks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.of_exchanges = self.of_beats = False
        exchange_async, beat = AsyncWorkerManager.exchange_async, SyncWorkerManager.heartbeat
        beat_async = AsyncWorkerManager.heartbeat_async

        async def maybe_exchange_async(manager: Any, *arguments: Any, **options: Any) -> Any:
            if self.of_exchanges:
                raise DOWN
            return await exchange_async(manager, *arguments, **options)

        async def maybe_beat_async(manager: Any, *arguments: Any, **options: Any) -> Any:
            if self.of_beats:
                raise DOWN
            return await beat_async(manager, *arguments, **options)

        def maybe_beat(manager: Any, *arguments: Any, **options: Any) -> Any:
            if self.of_beats:
                raise DOWN
            return beat(manager, *arguments, **options)

        monkeypatch.setattr(AsyncWorkerManager, "exchange_async", maybe_exchange_async)
        monkeypatch.setattr(AsyncWorkerManager, "heartbeat_async", maybe_beat_async)
        monkeypatch.setattr(SyncWorkerManager, "heartbeat", maybe_beat)


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    return Outage(monkeypatch)


async def test_an_outage_makes_it_unready_and_a_restart_would_not_help(
    app: adjourn.App, bench: Bench, probes: Probes, outage: Outage
) -> None:
    @app.task(name="work")
    async def work() -> None:
        outage.of_exchanges = outage.of_beats = True

    async with bench.working(http=probes.address, **OPTIONS) as worker:
        await probes.until(200, 200)
        job_id = await work.defer_async()

        async def is_said() -> bool:
            return "the database does not answer" in (await asyncio.to_thread(probes.get, "/readyz"))[1]

        await until_async(is_said)
        assert await probes.both_async() == (200, 503)
        outage.of_exchanges = outage.of_beats = False
        await bench.ended(job_id)  # its outcome was kept
        await probes.until(200, 200)
        worker.stop()


async def test_with_little_patience_an_outage_ends_it(
    app: adjourn.App, bench: Bench, probes: Probes, outage: Outage
) -> None:
    async with bench.working(http=probes.address, outage_patience=0.5, **OPTIONS) as worker:
        await probes.until(200, 200)
        outage.of_exchanges = outage.of_beats = True
        await probes.until(503, 503)
        worker.stop()


async def test_a_worker_that_beats_and_cannot_claim_is_restarted(
    app: adjourn.App, bench: Bench, probes: Probes, outage: Outage
) -> None:
    options = {**OPTIONS, "stalled_worker_timeout": 60.0}  # a worker that cannot claim stops beating by itself later
    async with bench.working(http=probes.address, **options) as worker:
        await probes.until(200, 200)
        outage.of_exchanges = True
        await probes.until(503, 503)
        assert "claims no jobs" in (await asyncio.to_thread(probes.get, "/livez"))[1]
        outage.of_exchanges = False
        await probes.until(200, 200)
        worker.stop()


async def test_a_worker_that_claims_and_cannot_beat_is_restarted(
    app: adjourn.App, bench: Bench, probes: Probes, monkeypatch: pytest.MonkeyPatch, outage: Outage
) -> None:
    register_async = AsyncWorkerManager.register_async

    async def for_long_async(manager: Any, name: str, queues: Any, timeout: float) -> Registration:
        return await register_async(manager, name, queues, 60)

    # The database counts it as alive, so that it goes on to claim, and nobody else beats for it.
    monkeypatch.setattr(AsyncWorkerManager, "register_async", for_long_async)
    monkeypatch.setattr(Lease, "is_due", False)
    async with bench.working(http=probes.address, **{**OPTIONS, "stalled_worker_timeout": 0.2}) as worker:
        await until_async(lambda: worker.worker_id)
        outage.of_beats = True
        await probes.until(503, 503)
        assert "sends no heartbeat" in (await asyncio.to_thread(probes.get, "/livez"))[1]
        outage.of_beats = False
        worker.stop()


async def test_a_blocked_loop_is_seen_from_outside_of_it(app: adjourn.App, address: str) -> None:
    probes, release, begun, turns = Probes(address), threading.Event(), threading.Event(), threading.Event()

    @app.task(name="block")
    async def block() -> None:
        begun.set()
        release.wait(30)
        turns.set()

    def work() -> None:
        # No heartbeat is needed to see it, and none can be lost on a loop that does not turn.
        asyncio.run(Worker(app, install_signal_handlers=False, wait=False, http=address, stall_after=0.6).run())

    await block.defer_async()
    thread = threading.Thread(target=work)
    thread.start()
    try:
        await asyncio.to_thread(begun.wait, 10)
        await probes.until(200, 503)
        await probes.until(503, 503)
        answer = await asyncio.to_thread(probes.get, "/livez?verbose")
        assert not turns.is_set()  # the loop was blocked all the while, so nothing on it has answered
        assert "a task blocks its event loop" in answer[1]
        assert len(json.loads(answer[1])["conditions"]) == 9
    finally:
        release.set()
        await asyncio.to_thread(thread.join, 30)


async def test_a_worker_full_of_long_jobs_is_well_and_one_that_drains_is_alive_to_the_end(
    app: adjourn.App, bench: Bench, probes: Probes
) -> None:
    go = asyncio.Event()

    @app.task(name="long")
    async def long() -> None:
        await go.wait()

    job_id = await long.defer_async()
    await long.defer_async()
    async with bench.working(http=probes.address, **OPTIONS) as worker:
        await bench.ended(job_id, "doing")
        await asyncio.sleep(0.8)  # longer than an exchange may take when there is something to exchange
        await probes.until(200, 200)
        worker.stop()
        await probes.until(200, 503)
        assert "it is stopping" in (await asyncio.to_thread(probes.get, "/readyz"))[1]
        go.set()


async def test_an_outcome_that_is_not_stored_for_long_is_no_use_to_wait_for(
    app: adjourn.App, bench: Bench, probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.task(name="work")
    async def work() -> None: ...

    exchange_async = AsyncWorkerManager.exchange_async

    async def held_async(manager: Any, worker_id: int, outcomes: Any, **options: Any) -> Any:
        if outcomes:
            raise ConnectorException("another transaction has locked it", sqlstate="55P03")
        return await exchange_async(manager, worker_id, outcomes, **options)

    monkeypatch.setattr(AsyncWorkerManager, "exchange_async", held_async)
    await work.defer_async()
    async with bench.working(http=probes.address, **OPTIONS) as worker:
        await probes.until(200, 503)
        await probes.until(503, 503)
        assert "an outcome is not stored" in (await asyncio.to_thread(probes.get, "/livez"))[1]
        monkeypatch.undo()
        worker.stop()


async def test_a_heartbeat_s_thread_that_has_ended_is_no_use_to_wait_for(
    app: adjourn.App, bench: Bench, probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench.working(http=probes.address, **OPTIONS) as worker:
        await probes.until(200, 200)
        (thread,) = [each for each in threading.enumerate() if each.name.startswith("adjourn-heartbeat")]
        thread._stop_asked = True  # type: ignore[attr-defined]
        await probes.until(503, 503)
        assert "has ended without a stop" in (await asyncio.to_thread(probes.get, "/livez"))[1]
        worker.stop()


async def test_a_worker_that_starts_is_alive_and_not_ready(
    app: adjourn.App, bench: Bench, probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_async, go = AsyncWorkerManager.register_async, asyncio.Event()

    async def slow_async(manager: Any, *arguments: Any) -> Registration:
        await go.wait()
        return await register_async(manager, *arguments)

    monkeypatch.setattr(AsyncWorkerManager, "register_async", slow_async)
    async with bench.working(http=probes.address, **OPTIONS) as worker:
        await probes.until(200, 503)
        assert "it is starting" in (await asyncio.to_thread(probes.get, "/readyz"))[1]
        go.set()
        await probes.until(200, 200)
        worker.stop()


async def test_a_worker_that_was_declared_dead_is_unready_until_it_has_registered(
    app: adjourn.App, bench: Bench, probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench.working(http=probes.address, **OPTIONS) as worker:
        await probes.until(200, 200)
        register_async, go = AsyncWorkerManager.register_async, asyncio.Event()

        async def slow_async(manager: Any, *arguments: Any) -> Registration:
            await go.wait()
            return await register_async(manager, *arguments)

        monkeypatch.setattr(AsyncWorkerManager, "register_async", slow_async)
        worker._exchange.declared_dead()  # type: ignore[union-attr]
        await probes.until(200, 503)
        assert "it registers anew" in (await asyncio.to_thread(probes.get, "/readyz"))[1]
        go.set()
        await probes.until(200, 200)
        worker.stop()


async def test_other_paths_and_methods_are_refused(app: adjourn.App, bench: Bench, probes: Probes) -> None:
    async with bench.working(http=probes.address) as worker:
        await probes.until(200, 200)
        assert (await asyncio.to_thread(probes.get, "/"))[0] == 404
        with socket.create_connection(probes.address.split(":")) as client:  # type: ignore[arg-type]
            client.sendall(b"POST /livez HTTP/1.0\r\n\r\n")
            assert b" 501 " in client.recv(100)
        worker.stop()


async def test_without_the_package_of_prometheus_metrics_say_so(
    app: adjourn.App, bench: Bench, probes: Probes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposition, "loaded", lambda: None)
    async with bench.working(http=probes.address) as worker:
        await probes.until(200, 200)
        status, text = await asyncio.to_thread(probes.get, "/metrics")
        assert (status, "adjourn[prometheus]" in text) == (501, True)
        worker.stop()


async def test_an_address_that_is_taken_is_refused_before_the_worker_registers(app: adjourn.App, bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(CannotListen, match="in use"):
            await bench.drain(http=taken)
    with pytest.raises(CannotListen, match="no-such-folder"):
        await bench.drain(health_file="/no-such-folder/health")
    assert await app.job_manager.list_workers_async() == []


def test_options_are_checked() -> None:
    app = adjourn.App(connector=InMemoryConnector())
    wrong: list[dict[str, Any]] = [{"http": "8080"}, {"health_file": ""}, {"stall_after": -1}, {"outage_patience": "x"}]
    for bad in wrong:
        with pytest.raises(InvalidOption, match=next(iter(bad))):
            Worker(app, **bad)


# A file


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    try:
        code = cli.main(["worker-health", *arguments])
    except SystemExit as refused:
        code = int(refused.code or 0)
    return int(code), "".join(capsys.readouterr())


async def test_a_file_says_that_it_is_alive_as_long_as_it_is(
    app: adjourn.App, bench: Bench, tmp_path: Path, outage: Outage, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "health"
    async with bench.working(health_file=str(file), **OPTIONS) as worker:
        await until_async(file.exists)
        assert told(capsys, "--file", str(file))[0] == 0
        # On a busy machine its loop may be late for a moment.
        await until_async(lambda: told(capsys, "--file", str(file), "--ready")[0] == 0)
        os.utime(file, (time.time() - 60, time.time() - 60))
        await until_async(lambda: time.time() - file.stat().st_mtime < 30)
        worker.stop()
    assert not file.exists()
    assert [each.name for each in tmp_path.iterdir()] == []


def test_an_old_file_a_missing_one_and_one_that_says_no(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "health"
    code, text = told(capsys, "--file", str(file))
    assert (code, "is not there" in text) == (1, True)
    says = {"live": True, "ready": False, "conditions": [{"says": "it is starting"}]}
    file.write_text(json.dumps(says))
    assert told(capsys, "--file", str(file))[0] == 0
    assert told(capsys, "--file", str(file), "--ready") == (1, "it is starting\n")
    os.utime(file, (time.time() - 61, time.time() - 61))
    code, text = told(capsys, "--file", str(file))
    assert (code, "61 s old" in text) == (1, True)
    file.write_text("{")
    assert told(capsys, "--file", str(file))[0] == 1


async def test_the_command_asks_by_http(
    app: adjourn.App, bench: Bench, probes: Probes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://{probes.address}"
    code, text = await asyncio.to_thread(told, capsys, "--url", url)
    assert (code, "does not answer" in text) == (1, True)
    async with bench.working(http=probes.address, **OPTIONS) as worker:
        await probes.until(200, 200)

        async def is_ready() -> bool:
            return (await asyncio.to_thread(told, capsys, "--url", url, "--ready"))[0] == 0

        await until_async(is_ready)
        monkeypatch.setenv("ADJOURN_WORKER_HTTP", probes.address)
        code, text = await asyncio.to_thread(told, capsys)
        assert (code, "alive\n" in text) == (0, True)
        worker.stop()


@pytest.mark.parametrize("url", ["ftp://h", "x", "http://", "http://h:99999"])
def test_a_command_line_that_makes_no_sense_is_refused(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "--url", url)[0] == 2
    assert told(capsys)[0] == 2


# systemd


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket that hears what is told to systemd."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        monkeypatch.setenv("WATCHDOG_USEC", "1000000")
        yield listener


@pytest.fixture
async def heard(manager: socket.socket) -> AsyncIterator[list[str]]:
    lines: list[str] = []

    async def listen() -> None:
        while True:
            lines.extend((await asyncio.get_running_loop().sock_recv(manager, 4096)).decode().split("\n"))

    task = asyncio.create_task(listen())
    yield lines
    task.cancel()


async def test_systemd_is_told_and_its_watchdog_fed_only_while_the_worker_is_alive(
    app: adjourn.App, bench: Bench, heard: list[str], outage: Outage
) -> None:
    go = asyncio.Event()

    @app.task(name="long")
    async def long() -> None:
        await go.wait()

    await long.defer_async()
    async with bench.working(outage_patience=0.5, **OPTIONS) as worker:
        await until_async(lambda: "READY=1" in heard)
        assert "STATUS=running jobs" in heard
        await until_async(lambda: heard.count("WATCHDOG=1") > 3)
        outage.of_exchanges = outage.of_beats = True
        await until_async(lambda: "STATUS=the database does not answer" in heard)

        async def is_starved() -> bool:
            fed = heard.count("WATCHDOG=1")
            await asyncio.sleep(0.2)
            return heard.count("WATCHDOG=1") == fed

        await until_async(is_starved)
        outage.of_exchanges = outage.of_beats = False
        worker.stop()
        await until_async(lambda: "STOPPING=1" in heard)
        go.set()
    assert heard.count("READY=1") == 1
