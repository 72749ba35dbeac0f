"""The tasks of this part. What they do besides running is written into the ledger by themselves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg

import adjourn
from adjourn import Limit, Rate, exceptions
from torture.app import Expected, app, ledger, noted, pause, run_of
from torture.flow.shared import MOST, MOST_OF_TASK, MOST_OF_TENANT, NARROW, PERIOD, RATE, SLEEP

AGAIN = adjourn.RetryStrategy(max_attempts=1000, wait=0.2, jitter=0.3)
"""For tasks that talk to the database themselves, which may be away for long."""
MET = 10.0
"""Seconds for which a job waits for the others that are to run at the same time."""
LONGEST = 10.0
"""Seconds after which an effect on a connection of the connector's is given up: the network may have fallen silent."""
own = threading.local()


@contextlib.contextmanager
def nothing_strange(context: adjourn.JobContext) -> Iterator[None]:
    """Note what no outage, rescue or rollback explains: the job is run again, and nobody would see it."""
    try:
        yield
    except (
        Expected,
        exceptions.ConnectorException,
        exceptions.JobLost,
        exceptions.JobAborted,
        psycopg.OperationalError,
    ):
        raise
    except Exception as error:
        ledger.write("strange", **run_of(context), error=f"{type(error).__name__}: {error}")
        raise


# Limits

by_tenant = Limit(key="tenant", concurrency=MOST_OF_TENANT, name="tenant")


def _fail_first(context: adjourn.JobContext, fails: bool) -> None:
    if fails and not context.job.attempts:
        raise Expected


@app.task(name="limited_tenant_async", pass_context=True, retry=AGAIN, limits=by_tenant)
async def limited_tenant_async(
    context: adjourn.JobContext, key: str, tenant: str, fails: bool = False, meets: bool = False
) -> None:
    """Run, with one other job of the tenant at most; fail once, and wait for a place anew, if told so."""
    with noted(context):
        await _meet(context, f"tenant {tenant}") if meets else await asyncio.sleep(random.uniform(0, 0.1))
        _fail_first(context, fails)


@app.task(name="limited_tenant_sync", pass_context=True, retry=1000, limits=by_tenant)
def limited_tenant_sync(context: adjourn.JobContext, key: str, tenant: str, fails: bool = False) -> None:
    """Run in a thread, with one other job of the tenant at most; fail once, and keep the place, if told so."""
    with noted(context):
        pause(random.uniform(0, 0.1))
        _fail_first(context, fails)


@app.task(name="limited_task", pass_context=True, retry=AGAIN, limits=Limit(concurrency=MOST_OF_TASK))
async def limited_task(context: adjourn.JobContext, key: str, fails: bool = False, meets: bool = False) -> None:
    """Run, with two others of the task at most."""
    with noted(context):
        await _meet(context, "task limited_task") if meets else await asyncio.sleep(random.uniform(0, 0.1))
        _fail_first(context, fails)


@app.task(name="rated", pass_context=True, retry=AGAIN, limits=Limit(key="tenant", rate=Rate(RATE, PERIOD)))
async def rated(context: adjourn.JobContext, key: str, tenant: str, fails: bool = False) -> None:
    """Start, so often at most in a period; fail once, and start again, if told so."""
    with noted(context, rated=tenant):
        _fail_first(context, fails)


@app.task(name="meets", pass_context=True)
async def meets(context: adjourn.JobContext, key: str) -> None:
    """Wait for as many others as may run at once in the queue."""
    with noted(context):
        await _meet(context, f"queue {NARROW}")


async def _meet(context: adjourn.JobContext, limit: str) -> None:
    """Wait until as many jobs as the limit lets run have come here, if they come."""
    place = Path(os.environ["TORTURE_LEDGER"]) / limit
    place.mkdir(exist_ok=True)
    (place / str(context.job.id)).touch()
    deadline = time.monotonic() + MET
    while len(list(place.iterdir())) < MOST[limit] and time.monotonic() < deadline:
        await asyncio.sleep(0.05)


# Unique jobs


@app.task(name="unique", pass_context=True, retry=AGAIN)
async def unique(context: adjourn.JobContext, key: str, same: str, fails: bool = False) -> None:
    """Take a while, so that others are deferred meanwhile."""
    with noted(context, same=same, key=key):
        await asyncio.sleep(random.uniform(0.1, 0.5))
        _fail_first(context, fails)


# Workflows


@app.task(name="node_async", pass_context=True)
async def node_async(context: adjourn.JobContext, /, key: str, fails: bool, **place: Any) -> None:
    """Be a job of a workflow."""
    with noted(context):
        await asyncio.sleep(random.uniform(0, 0.03))
        if fails:
            raise Expected


@app.task(name="node_sync", pass_context=True)
def node_sync(context: adjourn.JobContext, /, key: str, fails: bool, **place: Any) -> None:
    """Be a job of a workflow, in a thread."""
    with noted(context):
        pause(random.uniform(0, 0.03))
        if fails:
            raise Expected


# Steps, sleeps and events


@app.task(name="story_async", pass_context=True, retry=AGAIN)
async def story_async(context: adjourn.JobContext, key: str) -> None:
    """Do a step, sleep, wait for an event, and do another step; now and then fail in between."""
    with noted(context), nothing_strange(context):
        _got(context, "first", await context.step_async("first", _call_async, context, "first"))
        _fail_sometimes()
        ledger.write("sleeping", **run_of(context), seconds=SLEEP)
        await context.sleep_async(SLEEP)
        ledger.write("slept", **run_of(context))
        _got(context, "event", await context.wait_for_event_async(key))
        _fail_sometimes()
        _got(context, "last", await context.step_async("last", _call_async, context, "last"))


@app.task(name="story_sync", pass_context=True, retry=AGAIN)
def story_sync(context: adjourn.JobContext, key: str) -> None:
    """Do what `story_async` does, in a thread, and wait before it sleeps."""
    with noted(context), nothing_strange(context):
        _got(context, "first", context.step("first", _call, context, "first"))
        _fail_sometimes()
        _got(context, "event", context.wait_for_event(key))
        ledger.write("sleeping", **run_of(context), seconds=SLEEP)
        context.sleep(SLEEP)
        ledger.write("slept", **run_of(context))
        _fail_sometimes()
        _got(context, "last", context.step("last", _call, context, "last"))


def _call(context: adjourn.JobContext, name: str) -> str:
    ledger.write("step", **run_of(context), name=name)
    pause(random.choice([0, 0, 0.02]))
    return uuid.uuid4().hex


async def _call_async(context: adjourn.JobContext, name: str) -> str:
    ledger.write("step", **run_of(context), name=name)
    await asyncio.sleep(random.choice([0, 0, 0.02]))
    return uuid.uuid4().hex


def _got(context: adjourn.JobContext, name: str, value: Any) -> None:
    ledger.write("got", **run_of(context), name=name, value=value)


def _fail_sometimes() -> None:
    if random.random() < 0.1:
        raise Expected


# Effects that end their jobs

EFFECT = "insert into torture.effects (job, claim) values (%s, %s)"


@app.task(name="effect_sync", pass_context=True, retry=AGAIN)
def effect_sync(context: adjourn.JobContext, key: str) -> None:
    """Store an effect and the end of the job on a connection of this thread's own, or neither."""
    with noted(context), nothing_strange(context):
        connection = _connection()
        with connection.transaction():
            connection.execute(EFFECT, [context.job.id, context.job.claim])
            pause(random.choice([0, 0, 0.02]))
            _fail_sometimes()
            context.complete(connection)
            _fail_sometimes()
            ledger.write("leaving", **run_of(context))


# What a task executes on a connection has no bound but its timeout.
@app.task(name="effect_async", pass_context=True, retry=AGAIN, timeout=LONGEST)
async def effect_async(context: adjourn.JobContext, key: str) -> None:
    """Store an effect and the end of the job on a connection of the connector's, or neither."""
    with noted(context), nothing_strange(context):
        async with _transaction_async(context) as connection:
            await connection.execute(EFFECT, [context.job.id, context.job.claim])
            await asyncio.sleep(random.choice([0, 0, 0.02]))
            _fail_sometimes()
            await context.complete_async(connection)
            _fail_sometimes()
            ledger.write("leaving", **run_of(context))


@contextlib.asynccontextmanager
async def _transaction_async(context: adjourn.JobContext) -> AsyncIterator[psycopg.AsyncConnection]:
    """Begin a transaction on a connection of the connector's, or on an own one where the scenario spares transactions.

    A server that nobody can reach keeps an open transaction, and with it the job, until somebody ends its session.
    """
    if os.environ["TORTURE_OWN_DSN"] == os.environ["TORTURE_DSN"]:
        async with context.transaction_async() as connection:
            yield connection
        return
    own_dsn = os.environ["TORTURE_OWN_DSN"]
    async with await psycopg.AsyncConnection.connect(own_dsn, prepare_threshold=None) as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.READ_COMMITTED)
        yield connection


def _connection() -> psycopg.Connection:
    """Return this thread's own connection."""
    found: psycopg.Connection | None = getattr(own, "connection", None)
    if found is None or found.closed:
        found = psycopg.connect(os.environ["TORTURE_OWN_DSN"], prepare_threshold=None)
        # `complete` takes no stricter one, which may be the database's default.
        found.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        own.connection = found
    return found
