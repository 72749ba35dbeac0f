"""What pages of the admin read does not grow with the number of jobs: the server counts the rows and the pages of each query."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from adjourn.contrib.django.admin import filters, paginator
from support.shop.tasks import bill, ship

IS_THOROUGH = "ADJOURN_TEST_THOROUGH" in os.environ
JOBS = 1_000_000 if IS_THOROUGH else 20_000
"""How many jobs have ended, in ten weeks."""
MOST, NEWEST = (paginator.MOST, filters.NEWEST) if IS_THOROUGH else (500, 50)
"""How many jobs a list counts, and how many its filters look at."""
ROWS, PAGES = 8 * (MOST + NEWEST), 2 * (MOST + NEWEST)
"""The most rows that a query of a page may read, and the most pages of 8 kB: it may look for every fifth job, but not read all of them."""
OLD_PAGES = PAGES + 50 * 20 * 3
"""The same before Postgres 17, which looks for all the jobs of a page at once in each week's table, and not for one after the other."""
FILLING = """
    do $$ begin
        for n in 0 .. 9 loop
            execute 'create table adjourn.admin_week_' || n || ' partition of adjourn.adjourn_finished_jobs for values from ('
                || quote_literal('2001-01-01'::timestamptz + n * interval '1 week') || ') to ('
                || quote_literal('2001-01-01'::timestamptz + (n + 1) * interval '1 week') || ')';
        end loop;
    end $$;
    insert into adjourn.adjourn_finished_jobs
        (id, queue, task_name, priority, lock, args, attempts, losses, claim, abort_requested, worker_id, enqueued_at, started_at, finished_at,
         status)
    select n, 'q' || n % 5, 't' || n % 7, 0, case when n % 2 = 0 then 'lock' end, '{"order_id": 1}', 1, 0, 1, false, n % 3, '2001-01-01',
           '2001-01-01', '2001-01-01'::timestamptz + (n - 1) * (interval '10 weeks' / JOBS),
           case when n % 50 = 0 then 'failed' else 'succeeded' end
    from generate_series(1, JOBS) n;
    -- New jobs have higher ids than those that have ended.
    select setval(pg_get_serial_sequence('adjourn.adjourn_jobs', 'id'), greatest(JOBS + 1, nextval(pg_get_serial_sequence('adjourn.adjourn_jobs', 'id'))));
"""
EMPTYING = "; ".join(f"drop table if exists adjourn.admin_week_{n}" for n in range(10))
LIST = "/admin/adjourn/job/"
ADDRESSES = {
    "list": LIST,
    "second page": f"{LIST}?p=2",
    "last page": f"{LIST}?p={MOST // 50}",
    "succeeded": f"{LIST}?status=succeeded",
    "failed": f"{LIST}?status=failed",
    "queue": f"{LIST}?queue=q1",
    "lock": f"{LIST}?lock=lock",
    "task": f"{LIST}?q=t1",
    "waiting": f"{LIST}?status=todo",
    "waiting for its time": f"{LIST}?waits_for=time",
    "one that ended": f"{LIST}{JOBS}/change/",
    "one that failed": f"{LIST}50/change/",
    "schedules": "/admin/adjourn/schedule/",
    "workers": "/admin/adjourn/worker/",
    "workflow": f"{LIST}?workflow=1",
}


@pytest.fixture(scope="module")
def much(site: str, site_observer: psycopg.Connection) -> Iterator[None]:
    """Very many jobs that have ended, and some that wait."""
    site_observer.execute(EMPTYING.encode())
    site_observer.execute(FILLING.replace("JOBS", str(JOBS)).encode())
    site_observer.execute("vacuum analyze adjourn.adjourn_finished_jobs")
    bill.batch_defer(*[{"order_id": 1}] * 100)
    ship.configure(schedule_in={"hours": 1}).defer(order_id=1)
    yield
    site_observer.execute(EMPTYING.encode())
    site_observer.execute("delete from adjourn.adjourn_jobs")


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_page_reads_no_more_however_many_jobs_have_ended(
    much: None, name: str, site_observer: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paginator, "MOST", MOST)
    monkeypatch.setattr(filters, "NEWEST", NEWEST)
    browser = Client()
    browser.force_login(User.objects.get_or_create(username="root", is_staff=True, is_superuser=True)[0])
    if IS_THOROUGH:
        began, busy = time.perf_counter(), time.process_time()
        browser.get(ADDRESSES[name])
        took, python = time.perf_counter() - began, time.process_time() - busy
        print(name, f"{1000 * took:.0f} ms, {1000 * python:.0f} ms of them in Python")
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(ADDRESSES[name]).status_code == 200
    assert len(queries) <= (8 if "change" in ADDRESSES[name] else 6), [each["sql"] for each in queries]
    looks = [each["sql"] for each in queries if "adjourn_" in each["sql"]]
    assert looks, "it shows something"
    for query in looks:
        rows, pages = cost(site_observer, query)
        print(name, rows, pages)
        most = PAGES if site_observer.info.server_version >= 170000 else OLD_PAGES
        assert (rows <= ROWS, pages <= most) == (True, True), (rows, pages, query)


def cost(observer: psycopg.Connection, query: str) -> tuple[int, int]:
    """How many rows a query reads, those that it throws away included, and how many pages of the server's."""
    with observer.transaction():
        # As on a disk without heads. Otherwise Postgres 15 and 16 rather read all of a small table than look for each job of a page.
        observer.execute("set local random_page_cost = 1.1")
        row = observer.execute(b"explain (analyze, buffers, format json) " + query.encode(), prepare=False).fetchone()
    assert row is not None
    plan = (json.loads(row[0]) if isinstance(row[0], str) else row[0])[0]["Plan"]
    return read(plan), plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def read(node: dict[str, Any]) -> int:
    """How many rows the leaves of a plan read."""
    parts = node.get("Plans", [])
    below = sum(read(part) for part in parts)
    if any(part["Parent Relationship"] in ("Outer", "Inner", "Member") for part in parts):
        return below
    removed = sum(value for name, value in node.items() if name.startswith("Rows Removed"))
    return below + round(float((node["Actual Rows"] + removed) * node["Actual Loops"]))
