"""What the shop's workers do."""

from __future__ import annotations

import threading

from django.db import connection, transaction

from adjourn import JobContext
from adjourn.contrib.django import app
from support.shop.models import Order

seen: list[str] = []
"""What the tasks have seen."""


@app.task
def bill(order_id: int) -> None:
    """Bill an order."""
    Order.objects.filter(pk=order_id).update(name="billed")


@app.task
async def bill_async(order_id: int) -> None:
    """Bill an order, asynchronously."""
    await Order.objects.filter(pk=order_id).aupdate(name="billed")


@app.task
def ship(order_id: int, fails: bool = False) -> None:
    """Ship an order, and have it billed, or neither."""
    with transaction.atomic():
        Order.objects.filter(pk=order_id).update(name="shipped")
        bill.defer(order_id=order_id)
        if fails:
            raise RuntimeError("the parcel is lost")


@app.task
def leave_open() -> None:
    """Leave a transaction open."""
    seen.append(threading.current_thread().name)
    transaction.set_autocommit(False)
    Order.objects.create(name="lost")


@app.task
def leave_block() -> None:
    """Leave a block of a transaction open."""
    transaction.atomic().__enter__()
    Order.objects.create(name="lost")


@app.task
def look(order_id: int) -> None:
    """Look at the database session that the job works in."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid()")
        seen.append(str(cursor.fetchone()[0]))


@app.task(pass_context=True)
def see_context(context: JobContext) -> None:
    """Look at the app that the job belongs to."""
    seen.append("the app" if context.app is app and context.task.blueprint is app else "another app")
