"""What a worker pays for ``--http``: jobs per second, and CPU for each, with it and without, in pairs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import random
import socket
import statistics
import sys
import threading
import urllib.request
from collections.abc import Iterator

from common import Found, beside, make_adjourn, parser_of, report, server, show
from drain import drain

SHAPES = {"async, concurrency 100": ("async_noop", 100), "sync, concurrency 10": ("sync_noop", 10)}
PLAIN, SERVED = "without", "with --http"


@contextlib.contextmanager
def scraped(address: str, seconds: float) -> Iterator[None]:
    """Scrape a worker now and then, as Prometheus does."""
    ended = threading.Event()

    def scrape() -> None:
        while not ended.wait(seconds):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
                answer.read()

    thread = threading.Thread(target=scrape, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def main() -> None:
    parser = parser_of(__doc__, repeat=15)
    parser.add_argument("--jobs", type=int, default=30_000, help="jobs of each run (default: %(default)s)")
    parser.add_argument("--scrape", type=float, default=5.0, help="seconds between scrapes (default: %(default)s)")
    parser.add_argument("--only", default="", help="only shapes whose name contains this")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    rates: Found = {}
    cpus: Found = {}

    def run(dsn: str, shape: str, side: str) -> None:
        task, concurrency = SHAPES[shape]
        with contextlib.ExitStack() as stack:
            options = {}
            if side == SERVED:
                with socket.create_server(("127.0.0.1", 0)) as free:
                    options["http"] = f"127.0.0.1:{free.getsockname()[1]}"
                stack.enter_context(scraped(options["http"], arguments.scrape))
            gc.collect()
            gc.freeze()
            rate, cpu = asyncio.run(drain(make_adjourn(dsn), dsn, task, concurrency, 0, arguments.jobs, **options))
        for found, value in ((rates, rate), (cpus, cpu / 1e3)):
            found.setdefault(shape, {}).setdefault(side, []).append(value)
        print(f"{shape}: {side} {rate:,.0f} jobs/s, {cpu:,.1f} us", file=sys.stderr, flush=True)

    shapes = [shape for shape in SHAPES if arguments.only in shape]
    with server() as dsn:
        for shape, side in itertools.product(shapes, (PLAIN, SERVED)):
            run(dsn, shape, side)  # the first run of each is slower
        rates.clear()
        cpus.clear()
        for _, shape in itertools.product(range(arguments.repeat), shapes):
            # Both of a pair run under the same conditions; which is first is left to chance.
            for side in random.sample((PLAIN, SERVED), 2):
                run(dsn, shape, side)
    report("A worker that serves probes and metrics", _ordered(rates), "jobs/s", arguments.json)
    report("CPU of worker and server", _ordered(cpus), "ms for a job", beside(arguments.json, "cpu"), digits=3)
    rows = [
        [shape, *(ratio_of(found[shape][SERVED], found[shape][PLAIN]) for found in (rates, cpus))] for shape in shapes
    ]
    show("The middle of the pairs' ratios [middle half], with --http to without", ["", "jobs/s", "CPU"], rows)


def _ordered(found: Found) -> Found:
    return {shape: {side: found[shape][side] for side in (SERVED, PLAIN)} for shape in found}


def ratio_of(ones: list[float], others: list[float]) -> str:
    """Return the middle of the ratios of pairs, and their middle half."""
    ratios = [one / other for one, other in zip(ones, others, strict=True)]
    if len(ratios) == 1:
        return f"{ratios[0]:.3f}"
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.3f} [{low:.3f}-{high:.3f}]"


if __name__ == "__main__":
    main()
