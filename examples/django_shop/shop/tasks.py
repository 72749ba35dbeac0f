"""What the shop's workers do."""

from django.db import transaction

from adjourn import RetryStrategy
from adjourn.contrib.django import app
from shop.models import Letter, Order


@app.task(retry=RetryStrategy(max_attempts=5, exponential_wait=2))
def send_receipt(order_id: int) -> None:
    """Thank the customer, and have the order sent: both, or neither."""
    with transaction.atomic():
        order = Order.objects.get(pk=order_id)
        Letter.objects.create(to=order.mail, text=f"Thank you for buying {order.item}.")
        # One parcel at a time leaves for a customer, in the order of the orders.
        send_parcel.configure(lock=order.mail).defer(order_id=order_id)


@app.task
async def send_parcel(order_id: int) -> None:
    """Send an order."""
    await Order.objects.filter(pk=order_id).aupdate(is_sent=True)


@app.periodic(cron="0 8 * * *")
@app.task
def report(timestamp: int) -> None:
    """Tell the shop each morning how many orders have not been sent."""
    count = Order.objects.filter(is_sent=False).count()
    Letter.objects.create(to="shop@example.org", text=f"Orders to be sent: {count}.")
