"""A Django project behind PgBouncer in transaction mode: its pages, its workers, its admin and its migrations."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator

import psycopg
import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections, transaction
from django.test import AsyncClient, Client, override_settings

from adjourn._drivers import settings as driver_settings
from adjourn.contrib.django import app
from adjourn.contrib.django.models import Job
from support.pooler import BINARY, MISSING, pgbouncer
from support.shop.models import Order
from support.shop.tasks import bill, bill_async, ship
from support.site import move
from support.waiting import BOUND

pytestmark = pytest.mark.skipif(BINARY is None, reason=MISSING)

Shop = psycopg.Connection
SESSIONS = 3
"""How many sessions PgBouncer has on the server, for all its clients."""
CLIENTS = 8


@pytest.fixture(scope="module")
def pooled(site: str) -> Iterator[str]:
    """The address of PgBouncer before the project's database."""
    with pgbouncer(site, SESSIONS) as address:
        yield address


@pytest.fixture
def shop_behind(shop: Shop, site: str, pooled: str) -> Iterator[Shop]:
    """The project's database without any rows, of which Django knows only PgBouncer's address."""
    move("default", pooled)
    yield shop
    connections.close_all()
    move("default", site)


def run(*arguments: str) -> str:
    """Run a command of ``manage.py adjourn``, and return what it has printed."""
    output = io.StringIO()
    call_command("adjourn", *arguments, stdout=output)
    return output.getvalue()


def test_clients_that_share_sessions_keep_their_transactions_apart(shop_behind: Shop) -> None:
    def work(number: int) -> None:
        client = Client(raise_request_exception=False)
        try:
            for turn in range(6):
                with transaction.atomic():
                    made = Order.objects.create(name="lost")
                    bill.configure(queueing_lock=f"{number} {turn}").defer(order_id=made.pk)
                    transaction.set_rollback(True)
                assert client.get("/order/").status_code == 200
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    expected = CLIENTS * 6
    assert Order.objects.count() == Job.objects.count() == expected
    assert not Order.objects.filter(name="lost").exists()


@pytest.mark.parametrize("pool", [{}, {"pooler": True}], ids=["found", "said"])
def test_a_worker_runs_jobs_of_both_kinds(
    shop_behind: Shop, pool: dict[str, bool], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_settings, "_said", set())
    orders = Order.objects.bulk_create([Order(name="new") for _ in range(20)])
    for order in orders[:10]:
        ship.defer(order_id=order.pk)
    bill_async.batch_defer(*({"order_id": order.pk} for order in orders[10:]))
    with override_settings(ADJOURN_POOL=pool):
        assert run("healthchecks").splitlines()[-1] == "Worker: OK"
        run("worker", "--one-shot", "--concurrency", "4")
    told = [record for record in caplog.records if getattr(record, "action", "") == "pooler_found"]
    assert len(told) == (0 if pool else 1)
    assert set(Job.objects.values_list("status", flat=True)) == {"succeeded"}
    assert Job.objects.count() == 30  # each that ships has deferred another
    assert set(Order.objects.values_list("name", flat=True)) == {"billed"}
    assert Client().get("/health/").status_code == 200


def test_a_worker_that_goes_on_finds_jobs_and_ends(shop_behind: Shop) -> None:
    order = Order.objects.create(name="new")

    async def work() -> None:
        worker = asyncio.create_task(
            app.run_worker_async(fetch_job_polling_interval=0.1, install_signal_handlers=False, listen_notify=False)
        )
        await asyncio.sleep(0.2)
        job_id = await bill_async.defer_async(order_id=order.pk)
        while await app.job_manager.get_job_status_async(job_id) != "succeeded":
            await asyncio.sleep(0.05)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)

    asyncio.run(asyncio.wait_for(work(), BOUND))


async def test_asynchronous_views_share_the_sessions(shop_behind: Shop) -> None:
    client = AsyncClient()
    answers = await asyncio.gather(*(client.get("/order-async/") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    rows = shop_behind.execute("SELECT count(DISTINCT id) FROM adjourn.adjourn_jobs").fetchone()
    assert rows == (20,)


def test_the_admin_shows_jobs_and_acts(shop_behind: Shop) -> None:
    ids = bill.batch_defer(*({"order_id": 1} for _ in range(60)))
    user, _ = User.objects.get_or_create(username="root", is_staff=True, is_superuser=True)
    browser = Client()
    browser.force_login(user)
    for path in ("job/", f"job/{ids[0]}/change/", "worker/", "schedule/", "job/?q=1", "job/?status=todo"):
        assert browser.get(f"/admin/adjourn/{path}").status_code == 200, path
    form = {"action": "cancel", "_selected_action": ids, "confirmed": "yes"}
    assert browser.post("/admin/adjourn/job/", form, follow=True).status_code == 200
    assert set(Job.objects.values_list("status", flat=True)) == {"cancelled"}
