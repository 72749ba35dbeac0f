"""A shop whose queue has seen something, and its dashboard, for tests in a browser and for the pictures of the documentation."""

from __future__ import annotations

import contextlib
import datetime
import random
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import uvicorn

import adjourn
from adjourn import web
from adjourn.jobs import Author
from adjourn.manager import JobManager
from adjourn.sql.constants import Hold
from support.waiting import until

SECRET = "hunter2-and-more"
Spec = tuple[str, str, float, float, int, int]
SPECS: tuple[Spec, ...] = (
    ("mail", "shop.send_welcome", 140.0, 0.0, 4, 4),
    ("mail", "shop.send_receipt", 80.0, 0.03, 5, 5),
    ("orders", "shop.reconcile", 25.0, 0.1, 3, 3),
    ("sync", "shop.inventory", 60.0, 0.0, 6, 3),
)
"""Queue, task, jobs a minute, the share that fails, and the usual buckets of runs and of waits."""


def shop(dsn: str) -> adjourn.App:
    """Return an app with some tasks."""
    app = adjourn.App(connector=adjourn.PsycopgConnector(conninfo=dsn))

    @app.task(name="shop.send_welcome", queue="mail")
    def send_welcome(user: int = 0) -> None: ...

    @app.task(name="shop.send_receipt", queue="mail")
    def send_receipt(order: int, password: str = "") -> None:
        if order % 7 == 0:
            raise ConnectionError(f"the mail server refused order {order} {password}")

    @app.task(name="shop.reconcile", queue="orders", retry=adjourn.RetryStrategy(max_attempts=1))
    def reconcile(order: int = 0) -> None:
        if order % 5 == 0:
            raise ValueError(f"order {order} has no invoice")

    @app.task(name="shop.monthly", queue="reports")
    def monthly(month: str = "") -> None: ...

    @app.task(name="shop.inventory", queue="sync")
    def inventory(warehouse: str = "") -> None: ...

    @app.periodic(cron="*/5 * * * *")
    @app.task(name="shop.prices", queue="sync")
    def prices(timestamp: int) -> None: ...

    @app.periodic(cron="0 3 * * 1-5", timezone="Europe/Berlin")
    @app.task(name="shop.nightly", queue="reports")
    def nightly(timestamp: int) -> None: ...

    return app


def fill(app: adjourn.App, connection: psycopg.Connection) -> None:
    """Have something in every page."""
    tasks, manager = app.tasks, app.job_manager
    tasks["shop.reconcile"].batch_defer(*({"order": number} for number in range(60)))
    tasks["shop.send_receipt"].batch_defer(*({"order": number, "password": SECRET} for number in range(40)))
    tasks["shop.prices"].defer(timestamp=0)
    work(app)
    connection.execute("delete from adjourn.adjourn_stats")
    count(connection)
    tasks["shop.send_welcome"].batch_defer(*({"user": number} for number in range(900)))
    tasks["shop.inventory"].batch_defer(*({"warehouse": f"W{number}"} for number in range(30)))
    locked = tasks["shop.reconcile"].configure(lock="customer 7")
    for number in range(14):
        locked.defer(order=number)
    for number in range(6):
        tasks["shop.reconcile"].configure(schedule_in={"minutes": 40 + number}).defer(order=number)
    running = tasks["shop.monthly"].batch_defer(*({"month": f"2026-0{number}"} for number in range(1, 5)))
    bob = Author(name="bob@app-1", how="shell")
    manager.acting_for(bob).pause_queue("sync", seconds=3600, reason="the partner's server is down")
    manager.pause_task("shop.nightly")
    tasks["shop.nightly"].batch_defer(*({"timestamp": number} for number in range(3)))
    app.configure_task("shop.send_letter", queue="letters", allow_unknown=True).batch_defer(
        *({"to": "Ann"} for _ in range(4))
    )
    connection.execute(
        "update adjourn.adjourn_jobs set hold = %s, unknown_since = now() - interval '50 s' where queue = 'letters'",
        (Hold.UNKNOWN,),
    )
    manager.set_limit(task="shop.inventory", concurrency=2)
    flow = app.workflow("import of orders")
    first = flow.add(tasks["shop.inventory"], task_kwargs={"warehouse": "north"})
    parts = [
        flow.add(tasks["shop.reconcile"], depends_on=first, task_kwargs={"order": number}) for number in range(1, 5)
    ]
    flow.add(tasks["shop.monthly"], depends_on=parts, task_kwargs={"month": "2026-09"})
    flow.defer()
    connection.execute(
        "update adjourn.adjourn_jobs set enqueued_at = now() - interval '81 s' where queue = 'mail'",
    )
    note(manager)
    busy = manager.workers.register_worker("worker-1", None, 600)
    connection.execute(
        "update adjourn.adjourn_jobs set worker_id = %s, started_at = now() - interval '7 min', claim = claim + 1 "
        "where id = any(%s)",
        (busy, list(running)),
    )
    connection.execute(
        "update adjourn.adjourn_workers set started_at = now() - interval '26 h', running = %s, details = "
        """'{"host": "app-1", "pid": 4711, "version": "0.1.0", "python": "3.13", "concurrency": 4, "rss": 71000000}' where id = %s""",
        (list(running), busy),
    )
    silent = manager.workers.register_worker("worker-2", ["orders"], 60)
    connection.execute(
        "update adjourn.adjourn_workers set started_at = now() - interval '3 h', last_heartbeat_at = now() - interval '95 s', expires_at = now() - interval '60 s' where id = %s",
        (silent,),
    )


def note(manager: JobManager) -> None:
    """Have people done something."""
    ann = Author(name="ann", how="password", address="10.0.0.7")
    note = manager.actions.add_audit
    note(ann, "job.retry", target="61", jobs=1, outcome="done")
    some = {"statuses": ["failed"], "task": "shop.reconcile", "finished_before": "2026-01-31T12:00:00+00:00"}
    note(ann, "bulk.retry", target="bulk 5f0c11aa", filter=some, jobs=500, outcome="jobs 1207 to 4411")
    told = "stopped before the end: 500 jobs changed, 12,040 jobs left as before. To go on, do the same again with this filter"
    note(ann, "bulk.retry", target="bulk 5f0c11aa", filter=some, jobs=0, outcome=told)


def work(app: adjourn.App, queues: Sequence[str] | None = None) -> None:
    """Run what is ready, in another thread: a browser may have the event loop of this one."""

    def run() -> None:
        app.run_worker(queues=queues, wait=False, concurrency=4, install_signal_handlers=False)

    worker = threading.Thread(target=run)
    worker.start()
    worker.join(60)
    assert not worker.is_alive()


def newest_workflow(connection: psycopg.Connection) -> int:
    """Return the id of the workflow that was stored last."""
    (row,) = connection.execute("select max(id) from adjourn.adjourn_workflows")
    return int(row[0])


def count(connection: psycopg.Connection) -> None:
    """Count jobs as workers would have in the last week: fewer by night, none for five minutes, and many failures after that."""
    chance = random.Random(4)
    now = datetime.datetime.now(datetime.UTC).replace(second=0, microsecond=0)
    minutes, tens, hours = range(1, 119), range(13, 287), range(49, 24 * 7)
    periods = [(1, 60.0, now - datetime.timedelta(minutes=number), number) for number in minutes]
    periods += [(2, 600.0, now - datetime.timedelta(minutes=10 * number), 0) for number in tens]
    periods += [(3, 3600.0, now - datetime.timedelta(hours=number), 0) for number in hours]
    rows: list[tuple[Any, ...]] = []
    for level, seconds, at, minute in periods:
        if 40 < minute < 46:
            continue
        is_bad = 20 < minute < 33
        scale = seconds / 60 * (1.0 if minute else 0.4 + 0.6 * max(0.0, 1 - abs(at.hour - 13) / 9))
        for queue, task, rate, share, run, wait in SPECS:
            jobs = int(rate * scale * (1 + 0.35 * chance.uniform(-1, 1)))
            failed = int(jobs * share * chance.uniform(0.2, 1.8) * (4 if is_bad else 1))
            for outcome, number in (("succeeded", jobs - failed), ("failed", failed), ("retried", failed // 2)):
                if number:
                    spread = (_spread(number, run), _spread(number, wait + (3 if is_bad and queue == "mail" else 0)))
                    rows.append(
                        (at, level, queue, task, outcome, number, 0.1 * number, 0.5 * number, *spread),
                    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into adjourn.adjourn_stats (at, level, queue, task_name, outcome, jobs, run_seconds, wait_seconds, run_counts, wait_counts) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )


def _spread(number: int, bucket: int) -> list[int]:
    counts = [0] * 17
    for place, share in ((bucket - 1, 0.3), (bucket, 0.45), (bucket + 1, 0.2), (bucket + 2, 0.05)):
        counts[place] = int(number * share)
    return counts


@contextlib.contextmanager
def served(app: adjourn.App, **options: Any) -> Iterator[str]:
    """Serve the dashboard of an app in a thread, and return its address."""
    made = web.create_app(app, **{"auth": web.anybody, **options})
    config = uvicorn.Config(made, host="127.0.0.1", port=0, log_config=None, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        made.state.site.leave()
        server.should_exit = True
        thread.join(20)
