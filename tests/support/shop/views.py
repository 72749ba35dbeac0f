"""The pages of the shop."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse

from adjourn.exceptions import WrongCaller
from support.shop.models import Order
from support.shop.tasks import bill, ship


def order(request: HttpRequest) -> JsonResponse:
    """Take an order, and defer its shipping."""
    made = Order.objects.create(name="new")
    job = ship.defer(order_id=made.pk)
    if request.GET.get("fails"):
        raise RuntimeError("the view fails")
    return JsonResponse({"order": made.pk, "job": job})


async def order_async(request: HttpRequest) -> JsonResponse:
    """Take an order asynchronously."""
    made = await Order.objects.acreate(name="new")
    return JsonResponse({"order": made.pk, "job": await bill.defer_async(order_id=made.pk)})


async def order_blocking(request: HttpRequest) -> JsonResponse:
    """Block the event loop, which is refused."""
    try:
        bill.defer(order_id=1)
    except WrongCaller as error:
        return JsonResponse({"refused": str(error)})
    return JsonResponse({})
