"""Programs of Procrastinate and of adjourn side by side, while a migration runs: ``python tests/migration/side_by_side.py``.

Old producers and workers begin alone. Then the migration is started, new workers and producers join, waiting jobs are moved,
old workers and producers end, and the migration is finished. Each run of a job and each tick is written down by the worker that
ran it. At the end the ledger must have each job once and each tick once, and no two runs of a lock at the same time.

Nothing is killed here. The figures of the ledger are printed as JSON, and the exit code is 1 if something is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import itertools
import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

LOCKS = 20
QUEUEING_LOCKS = 5
TICKERS = 3
TRAILING = 60.0
"""Seconds that jobs may take to end when no more are stored."""


def make_app(system: str, dsn: str, cron: str, ledger: Path) -> Any:
    """The same program for either package."""
    package = importlib.import_module(system)
    app = package.App(connector=package.PsycopgConnector(conninfo=dsn))
    lines = ledger.open("a", buffering=1)

    def write(key: str, lock: str | None, began: float, *, ended_well: bool = True) -> None:
        entry = {"key": key, "lock": lock, "system": system, "ok": ended_well, "began": began, "ended": time.time()}
        lines.write(json.dumps(entry) + "\n")

    # Which of the packages it is, no type checker knows.
    @app.task(name="work", retry=1, pass_context=True)  # type: ignore[untyped-decorator]
    async def work(
        context: Any, key: str, lock: str | None = None, fails: bool = False, has_child: bool = False
    ) -> None:
        began = time.time()
        await asyncio.sleep(random.uniform(0, 0.01))
        if fails and context.job.attempts == 0:
            write(key, lock, began, ended_well=False)
            raise RuntimeError("a failure on purpose")
        if has_child:
            await app.configure_task("work", lock=lock).defer_async(key=f"{key}/child", lock=lock)
        write(key, lock, began)

    for number in range(TICKERS):

        @app.periodic(cron=cron, periodic_id=f"id {number}")  # type: ignore[untyped-decorator]
        @app.task(name=f"tick {number}", pass_context=True, lock=f"lock {number}")  # type: ignore[untyped-decorator]
        async def tick(context: Any, timestamp: int) -> None:
            began = time.time()
            await asyncio.sleep(0.002)
            write(f"{context.job.task_name}/{timestamp}", context.job.lock, began)

    return app


def produce(system: str, dsn: str, rate: float, book: Path, name: str) -> None:
    """Defer jobs at a rate until told to end, and write down which ones there are."""
    package = importlib.import_module(system)
    app = package.App(connector=package.SyncPsycopgConnector(conninfo=dsn))
    chance = random.Random(name)
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    number, refused, begin = 0, 0, time.monotonic()
    with app.open(), book.open("w", buffering=1) as lines:
        while not stopped:
            time.sleep(max(0.0, begin + number / rate - time.monotonic()))
            key = f"{name}/{number}"
            number += 1
            kind = chance.random()
            lock = f"lock {chance.randrange(LOCKS)}" if kind < 0.3 else None
            queueing_lock = f"queueing {chance.randrange(QUEUEING_LOCKS)}" if kind > 0.9 else None
            options = {"fails": chance.random() < 0.02, "has_child": chance.random() < 0.05}
            if queueing_lock is not None:
                options = {}
            task = app.configure_task("work", lock=lock, queueing_lock=queueing_lock)
            try:
                task.defer(key=key, lock=lock, **options)
            except package.exceptions.AlreadyEnqueued:
                refused += 1
                continue
            lines.write(json.dumps({"key": key, "child": options.get("has_child", False)}) + "\n")
        seconds = time.monotonic() - begin
        lines.write(json.dumps({"tried": number, "refused": refused, "seconds": seconds}) + "\n")


def work(system: str, dsn: str, cron: str, ledger: Path) -> None:
    """Run a worker until told to end."""
    logging.basicConfig(level=logging.ERROR)
    app = make_app(system, dsn, cron, ledger)
    app.run_worker(concurrency=10)


class Trial:
    """Starts the programs, and reads what they have written."""

    def __init__(self, dsn: str, folder: Path, cron: str) -> None:
        self.dsn, self.folder, self.cron = dsn, folder, cron
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def begin(self, name: str, role: str, system: str, rate: float = 0) -> None:
        """Start a producer or a worker."""
        arguments = [role, system, self.dsn, str(rate), self.cron, str(self.folder / f"{role} {name}"), name]
        log = (self.folder / f"log of {name}").open("wb")
        self.processes[name] = subprocess.Popen(
            [sys.executable, __file__, "--role", *arguments], stdout=log, stderr=log
        )
        log.close()

    def end(self, name: str) -> None:
        """Have a program end by itself, and wait for it."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        code = process.wait(TRAILING)
        log = (self.folder / f"log of {name}").read_text()
        assert code == 0, f"{name} has ended with {code}:\n{log[-4000:]}"

    def kill_all(self) -> None:
        """Leave nothing running."""
        for process in self.processes.values():
            process.kill()
            process.wait()

    def migrate(self, *arguments: str) -> dict[str, Any]:
        """Run a step of the migration, and return its last report."""
        done = subprocess.run(self.command(*arguments), cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def command(self, *arguments: str) -> list[str]:
        """The command of a step."""
        (self.folder / "shop.py").write_text(
            f"import pathlib, sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\nimport side_by_side\n"
            f"app = side_by_side.make_app('adjourn', {self.dsn!r}, {self.cron!r}, pathlib.Path('unused'))\n"
        )
        return [sys.executable, "-m", "adjourn", "--app=shop.app", "migrate-from-procrastinate", "--json", *arguments]

    def entries(self, pattern: str) -> Iterator[dict[str, Any]]:
        """What programs have written."""
        for path in sorted(self.folder.glob(pattern)):
            yield from map(json.loads, path.read_text().splitlines())


def run(dsn: str, seconds: float, rate: float, cron: str, backlog: int) -> dict[str, Any]:
    """Run everything, and return the figures of the ledger with what is wrong in it."""
    import procrastinate
    import psycopg

    import adjourn

    with procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=dsn)).open() as old:
        old.schema_manager.apply_schema()
        # They are due one after the other, most of them later than the migration begins. Those of the last tenth are due in hours: however
        # slow everything is, they are left to be moved.
        late = []
        for number in range(backlog):
            is_late = number >= 0.9 * backlog
            delay = {"hours": 5} if is_late else {"seconds": 0.8 * seconds * number / backlog}
            job_id = old.configure_task("work", schedule_in=delay).defer(key=f"backlog/{number}")
            late += [job_id] * is_late
    with adjourn.App(connector=adjourn.SyncPsycopgConnector(conninfo=dsn)).open() as new:
        new.schema_manager.apply_schema()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        trial = Trial(dsn, Path(folder), cron)
        stack.callback(trial.kill_all)
        begin = time.monotonic()

        def wait_until(share: float) -> None:
            time.sleep(max(0.0, begin + share * seconds - time.monotonic()))

        for number in (1, 2):
            trial.begin(f"old producer {number}", "produce", "procrastinate", rate * 0.3)
            trial.begin(f"old worker {number}", "work", "procrastinate")
        wait_until(0.15)
        trial.migrate("start", "--no-forwarding")
        for number in (1, 2):
            trial.begin(f"new worker {number}", "work", "adjourn")
        wait_until(0.25)
        trial.migrate("start")
        trial.begin("new producer", "produce", "adjourn", rate * 0.4)
        wait_until(0.35)
        moved = trial.migrate("move")["moved"]
        with (trial.folder / "moved").open("w") as output:
            trial.processes["mover"] = subprocess.Popen(trial.command("move", "--follow"), cwd=folder, stdout=output)
        wait_until(0.7)
        trial.end("old worker 1")
        trial.end("old worker 2")
        wait_until(0.9)
        trial.end("old producer 1")
        trial.end("old producer 2")
        wait_until(1)
        trial.end("new producer")
        mover = trial.processes.pop("mover")
        # It may be ended at any time. (A program that a shell has put into the background may not hear SIGINT.)
        mover.terminate()
        mover.wait(TRAILING)
        moved += max([entry["moved"] for entry in trial.entries("moved")], default=0)
        moved += trial.migrate("move")["moved"]
        status = trial.migrate("status")
        with adjourn.App(connector=adjourn.SyncPsycopgConnector(conninfo=dsn)).open() as new:
            assert new.job_manager.change_jobs(late, now=True) == late, "they are there, with their ids"
        with psycopg.connect(dsn, autocommit=True) as connection:
            deadline = time.monotonic() + TRAILING
            query = (
                "select (select count(*) from adjourn.adjourn_jobs) +"
                " (select count(*) from procrastinate_jobs where status in ('todo', 'doing'))"
            )
            while (left := connection.execute(query).fetchall()[0][0]) and time.monotonic() < deadline:
                time.sleep(0.1)
        history = trial.migrate("history")
        trial.migrate("finish", "--force")
        for number in (1, 2):
            trial.end(f"new worker {number}")
        figures = check(list(trial.entries("work *")), list(trial.entries("produce *")), backlog, cron)
    facts = {"moved": moved, "left": left, "history": history["copied"], "problems": status["problems"]}
    figures.update(facts)
    if left or status["problems"]:
        figures["wrong"].append(f"{left} jobs are left; problems: {status['problems']}")
    return figures


def check(runs: list[dict[str, Any]], books: list[dict[str, Any]], backlog: int, cron: str) -> dict[str, Any]:
    """Compare the ledger with what was stored."""
    expected = {f"backlog/{n}" for n in range(backlog)}
    for entry in books:
        if "key" in entry:
            expected.add(entry["key"])
            if entry["child"]:
                expected.add(f"{entry['key']}/child")
    totals = [entry for entry in books if "tried" in entry]
    ended = Counter(entry["key"] for entry in runs if entry["ok"])
    ticks = {key: times for key, times in ended.items() if key.startswith("tick ")}
    jobs = {key: times for key, times in ended.items() if not key.startswith("tick ")}
    wrong = [f"{key} has run {times} times" for key, times in ended.items() if times != 1]
    wrong += [f"{key} has not run" for key in sorted(expected - jobs.keys())]
    wrong += [f"{key} was never stored" for key in sorted(jobs.keys() - expected)]
    wrong += overlaps(runs)
    wrong += missing_ticks(ticks, cron)
    return {
        "stored": len(expected),
        "refused by queueing locks": sum(entry["refused"] for entry in totals),
        "tried a second": round(sum(entry["tried"] / entry["seconds"] for entry in totals)),
        "run by old workers": sum(entry["ok"] and entry["system"] == "procrastinate" for entry in runs),
        "run by new workers": sum(entry["ok"] and entry["system"] == "adjourn" for entry in runs),
        "failed once": sum(not entry["ok"] for entry in runs),
        "runs with a lock": sum(entry["lock"] is not None for entry in runs),
        "ticks": len(ticks),
        "wrong": wrong,
    }


def overlaps(runs: list[dict[str, Any]]) -> list[str]:
    """The runs of a lock that were at the same time."""
    of_lock: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in runs:
        if entry["lock"] is not None:
            of_lock[entry["lock"]].append(entry)
    found = []
    for lock, entries in of_lock.items():
        entries.sort(key=lambda entry: entry["began"])
        for first, second in itertools.pairwise(entries):
            if second["began"] < first["ended"]:
                found.append(
                    f"{lock}: {first['key']} ({first['system']}) and {second['key']} ({second['system']}) at once"
                )
    return found


def missing_ticks(ticks: dict[str, int], cron: str) -> list[str]:
    """The ticks between the first and the last one that were not run."""
    from adjourn._domain.cron import Cron

    found = []
    of_task: dict[str, list[int]] = defaultdict(list)
    for key in ticks:
        task, _, stamp = key.partition("/")
        of_task[task].append(int(stamp))
    import datetime

    for task, stamps in of_task.items():
        first, last = (datetime.datetime.fromtimestamp(each, datetime.UTC) for each in (min(stamps), max(stamps)))
        wanted = {int(tick.timestamp()) for tick in Cron(cron, "UTC").between(first, last)} | {min(stamps)}
        found += [f"{task}/{stamp} is missing" for stamp in sorted(wanted - set(stamps))]
    return found + [f"tick {number} has none" for number in range(TICKERS) if f"tick {number}" not in of_task]


def main() -> int:
    """Run the trial on a server of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--rate", type=float, default=200, help="jobs a second")
    parser.add_argument("--cron", default="* * * * *", help="of each of the periodic tasks")
    parser.add_argument("--backlog", type=int, default=5000, help="jobs that wait at the beginning")
    parser.add_argument("--role", nargs=7, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        role, system, dsn, rate, cron, path, name = options.role
        if role == "produce":
            produce(system, dsn, float(rate), Path(path), name)
        else:
            work(system, dsn, cron, Path(path))
        return 0
    from adjourn import embedded

    place = Path(tempfile.gettempdir(), f"adjourn-side-by-side-{os.getpid()}")
    with embedded.Server(place, temporary=True) as server:
        figures = run(server.dsn, options.seconds, options.rate, options.cron, options.backlog)
    print(json.dumps(figures, indent=2))
    return 1 if figures["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
