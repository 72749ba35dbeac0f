"""Orders come in: defers jobs of the shop until it is ended."""

from __future__ import annotations

import asyncio
import itertools
import random

from adjourn.demo import office
from adjourn.demo.office import app

CUSTOMERS = ("ada", "ben", "eve", "kim", "zoe")
SUPPLIERS = ("north", "south", "west")
CATALOGUES_EVERY = 60
"""After so many orders the catalogues of all suppliers are fetched."""


async def main() -> None:
    """Take orders."""
    async with app.open_async():
        for order in itertools.count(1):
            await take_order(order)
            if order % CATALOGUES_EVERY == 1:
                await fetch_catalogues()
            await asyncio.sleep(random.uniform(0.1, 0.8))


async def take_order(order: int) -> None:
    """Defer what there is to do for an order."""
    customer = random.choice(CUSTOMERS)
    await office.send_receipt.defer_async(order=order, address=f"{customer}@example.org", password="not shown")  # noqa: S106
    await office.bill.configure(lock=f"bills of {customer}", priority=order % 2).defer_async(
        customer=customer, order=order
    )
    pictures = ({"customer": customer, "picture": number} for number in range(random.randrange(6)))
    await office.resize_picture.batch_defer_async(*pictures)
    if order % 10 == 0:
        await office.bill.configure(schedule_in={"hours": 1}).defer_async(customer=customer, order=order)


async def fetch_catalogues() -> None:
    """Fetch the catalogues of all suppliers, and publish the prices when they are there."""
    flow = app.workflow("prices")
    fetched = [flow.add(office.fetch_catalogue, task_kwargs={"supplier": supplier}) for supplier in SUPPLIERS]
    flow.add(office.publish_prices, depends_on=fetched)
    await flow.defer_async()


if __name__ == "__main__":
    asyncio.run(main())
