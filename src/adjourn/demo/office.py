"""The tasks of a small shop that never closes: what the dashboard of ``adjourn demo --web`` shows at work."""

from __future__ import annotations

import asyncio
import random

import adjourn
from adjourn import Limit
from adjourn.demo.tasks import app

__all__ = ["app"]

PAGES = 40
"""How many pages a supplier's catalogue has."""


class MailServerBusy(Exception):
    """The mail server takes no mail at the moment."""


@app.task(queue="mail", retry=adjourn.RetryStrategy(max_attempts=3, wait=5))
async def send_receipt(order: int, address: str, password: str) -> None:
    """Send a receipt. One mail in ten is refused at first, and some are refused for good."""
    await asyncio.sleep(random.uniform(0.05, 0.4))
    if random.random() < 0.1 or order % 50 == 0:
        raise MailServerBusy(f"421 try again later (as {address} with {password})")


@app.task(queue="pictures", limits=[Limit(key="customer", concurrency=2)])
def resize_picture(customer: str, picture: int) -> None:
    """Do what takes the processor a while."""
    sum(number * number for number in range(random.randrange(200_000, 900_000)))


@app.task(queue="billing")
async def bill(customer: str, order: int) -> None:
    """Write a bill. Those of one customer have a lock, so they are written in order."""
    await asyncio.sleep(random.uniform(0.1, 0.5))


@app.task(queue="suppliers", store_result=True, pass_context=True)
async def fetch_catalogue(context: adjourn.JobContext, supplier: str) -> int:
    """Fetch all pages, and say how far it is."""
    for page in range(PAGES):
        context.set_progress(page, PAGES, f"page {page + 1}")
        await asyncio.sleep(0.4)
    return PAGES


@app.task(queue="suppliers")
async def publish_prices() -> None:
    """Publish the prices when all catalogues are there."""
    await asyncio.sleep(1.0)


@app.periodic(cron="* * * * *")
@app.task(queue="reports")
async def count_sales(timestamp: int) -> None:
    """Count the sales of the last minute."""
    await asyncio.sleep(0.5)
