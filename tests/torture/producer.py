"""A program that defers jobs until it is told to stop: ``python -m torture.producer COLOUR RATE``."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import threading
import time

import psycopg

from torture.app import app, deferring, ledger
from torture.flow import tasks as tasks  # they are declared when the module is imported
from torture.flow.deferring import EVENTS_SENT, FlowDeferring

PARALLEL = 3
"""How many calls a producer has under way at a time."""
PAUSE = 0.1
"""Seconds to wait after a defer that has failed."""

stopping = threading.Event()
flow = FlowDeferring(app, ledger, random.Random(os.getpid()))


def choose_way(chance: random.Random) -> str:
    """Choose between one job, several, and one in a transaction."""
    return chance.choices(["one", "batch", "transaction"], [8, 1, 1])[0]


async def produce_async(rate: float) -> None:
    """Defer on an event loop."""
    async with app.open_async():
        await asyncio.gather(*[_produce_async(random.Random(n), rate / PARALLEL) for n in range(PARALLEL)])


async def _produce_async(chance: random.Random, rate: float) -> None:
    connection: psycopg.AsyncConnection | None = None
    while not stopping.is_set():
        way, is_flow = choose_way(chance), flow.is_chosen()
        if is_flow and way != "transaction":
            well = await flow.ask_async(flow.choose())
        elif way == "one":
            well = await deferring.defer_async(app)
        elif way == "batch":
            well = await deferring.batch_async(app)
        else:
            try:
                if connection is None:
                    connection = await psycopg.AsyncConnection.connect(
                        os.environ["TORTURE_OWN_DSN"], prepare_threshold=None
                    )
                if is_flow:
                    well = await flow.ask_async(flow.choose(in_transaction=True), connection)
                else:
                    well = await deferring.in_transaction_async(app, connection)
            except psycopg.OperationalError:
                well = False
            if not well and connection is not None:
                await connection.close()
                connection = None
        await asyncio.sleep(chance.expovariate(rate) if well else PAUSE)
    deadline = time.monotonic() + EVENTS_SENT
    while time.monotonic() < deadline and (event := flow.next_event(now=True)):
        if not await flow.ask_async(event):
            await asyncio.sleep(PAUSE)
    if connection is not None:
        await connection.close()


def produce(rate: float) -> None:
    """Defer in threads."""
    with app.open():
        threads = [threading.Thread(target=_produce, args=(random.Random(n), rate / PARALLEL)) for n in range(PARALLEL)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _produce(chance: random.Random, rate: float) -> None:
    connection: psycopg.Connection | None = None
    while not stopping.is_set():
        way, is_flow = choose_way(chance), flow.is_chosen()
        if is_flow and way != "transaction":
            well = flow.ask(flow.choose())
        elif way == "one":
            well = deferring.defer(app)
        elif way == "batch":
            well = deferring.batch(app)
        else:
            try:
                if connection is None:
                    connection = psycopg.connect(os.environ["TORTURE_OWN_DSN"], prepare_threshold=None)
                if is_flow:
                    well = flow.ask(flow.choose(in_transaction=True), connection)
                else:
                    well = deferring.in_transaction(app, connection)
            except psycopg.OperationalError:
                well = False
            if not well and connection is not None:
                connection.close()
                connection = None
        time.sleep(chance.expovariate(rate) if well else PAUSE)
    deadline = time.monotonic() + EVENTS_SENT
    while time.monotonic() < deadline and (event := flow.next_event(now=True)):
        if not flow.ask(event):
            time.sleep(PAUSE)
    if connection is not None:
        connection.close()


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    colour, rate = sys.argv[1], float(sys.argv[2])
    if colour == "async":
        asyncio.run(produce_async(rate))
    else:
        produce(rate)
