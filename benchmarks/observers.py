"""What a job pays for the places of observers while there is none: CPU for a defer and for a run, as it is and without the looks, in pairs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import random
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

from common import Found, empty, make_adjourn, parser_of, report, server, show
from cpu import cpu_of_process, cpu_of_server
from drain import drain
from metrics import ratio_of

from adjourn._sync.managers import deferrer
from adjourn.worker.executor import Executor

SHAPES = ("defer", "run, async", "run, sync")
TASKS = {"run, async": ("async_noop", 100), "run, sync": ("sync_noop", 10)}
AS_IT_IS, WITHOUT = "as it is", "without the looks"


@contextlib.contextmanager
def without_looks() -> Iterator[None]:
    """Have the code look for no observer, as if there were no such thing."""

    def defer_job(self: Any, /, *args: Any, **task_kwargs: Any) -> Any:
        job = self.make_job(args, task_kwargs)
        deferrer.log_jobs(logging.DEBUG, "about_to_defer_jobs", "About to defer", [job])
        deferred = self.job_manager.defer_job(job, self.connection)
        self._tell_deferred([deferred])
        return deferred

    def run(self: Any, runner: Any, run: Any, body: Any) -> None:
        runner.start(run, body)

    with (
        mock.patch.object(deferrer.SyncJobDeferrer, "defer_job", defer_job),
        mock.patch.object(Executor, "_run", run),
        mock.patch.object(Executor, "_end", Executor._settle),
    ):
        yield


def defers(dsn: str, jobs: int) -> float:
    """Return microseconds of CPU for each call, of this process and of the server."""
    empty(dsn)
    app = make_adjourn(dsn)
    with app.open():
        task = app.tasks["sync_noop"]
        task.defer()
        began = cpu_of_process() + cpu_of_server(dsn)
        for _ in range(jobs):
            task.defer()
        return (cpu_of_process() + cpu_of_server(dsn) - began) / jobs * 1e6


def main() -> None:
    parser = parser_of(__doc__, repeat=15)
    parser.add_argument("--jobs", type=int, default=20_000, help="jobs of each run (default: %(default)s)")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    found: Found = {}

    def measure(dsn: str, shape: str, side: str) -> None:
        gc.collect()
        gc.freeze()
        with without_looks() if side == WITHOUT else contextlib.nullcontext():
            if shape == "defer":
                cpu = defers(dsn, arguments.jobs // 4)
            else:
                task, concurrency = TASKS[shape]
                _, cpu = asyncio.run(drain(make_adjourn(dsn), dsn, task, concurrency, 0, arguments.jobs))
        found.setdefault(shape, {}).setdefault(side, []).append(cpu)
        print(f"{shape}: {side} {cpu:,.1f} us", file=sys.stderr, flush=True)

    with server() as dsn:
        for shape, side in itertools.product(SHAPES, (AS_IT_IS, WITHOUT)):
            measure(dsn, shape, side)  # the first run of each is slower
        found.clear()
        for _, shape in itertools.product(range(arguments.repeat), SHAPES):
            for side in random.sample((AS_IT_IS, WITHOUT), 2):
                measure(dsn, shape, side)
    ordered = {shape: {side: found[shape][side] for side in (AS_IT_IS, WITHOUT)} for shape in SHAPES}
    report("CPU of program and server without an observer", ordered, "us for a job", arguments.json, digits=1)
    rows = [[shape, ratio_of(found[shape][AS_IT_IS], found[shape][WITHOUT])] for shape in SHAPES]
    show("The middle of the pairs' ratios [middle half], as it is to without the looks", ["", "CPU"], rows)


if __name__ == "__main__":
    main()
