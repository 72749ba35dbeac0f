"""The app of workers that are killed while their tasks do what lasts: effects that end their jobs, steps, sleeps and events."""

from __future__ import annotations

import os
import random
import threading
import time

import psycopg

import adjourn

DSN = os.environ["CRASH_DSN"]
app = adjourn.App(connector=adjourn.PsycopgConnector(DSN, min_size=1, max_size=4), import_paths=[__name__])
own = threading.local()


def connection(*, autocommit: bool) -> psycopg.Connection:
    """A connection of this thread."""
    name = f"autocommit {autocommit}"
    if not hasattr(own, name) or getattr(own, name).closed:
        setattr(own, name, psycopg.connect(DSN, autocommit=autocommit, application_name="durable"))
    found: psycopg.Connection = getattr(own, name)
    return found


class Undone(Exception):
    """Rolls a transaction back."""


@app.task(name="effect", pass_context=True, retry=True)
def effect(context: adjourn.JobContext) -> None:
    """Store an effect and the end of the job, or neither."""
    open_ = connection(autocommit=False)
    with open_.transaction():
        open_.execute("insert into effects (id, claim) values (%s, %s)", [context.job.id, context.job.claim])
        time.sleep(random.choice([0, 0, 0.005, 0.05]))
        if random.random() < 0.05:
            raise Undone
        context.complete(open_)
        time.sleep(random.choice([0, 0, 0.005, 0.05]))
        if random.random() < 0.05:
            raise Undone


def call(job_id: int, name: str) -> int:
    """Note that a step was called."""
    connection(autocommit=True).execute("insert into calls (id, name) values (%s, %s)", [job_id, name])
    return job_id


@app.task(name="story", pass_context=True, retry=True)
def story(context: adjourn.JobContext) -> None:
    """A story in several runs, some of which are cut off."""
    job_id = context.job.id
    assert context.step("first", call, job_id, "first") == job_id
    if random.random() < 0.1:
        raise Undone
    context.sleep(1)
    assert context.wait_for_event(f"story {job_id}") == job_id
    if random.random() < 0.1:
        raise Undone
    assert context.step("last", call, job_id, "last") == job_id
