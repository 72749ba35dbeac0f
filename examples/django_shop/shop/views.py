"""The pages of the shop."""

from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from shop.models import Letter, Order
from shop.tasks import send_receipt


def orders(request: HttpRequest) -> HttpResponse:
    """Show the orders, and the mails that were sent."""
    return render(request, "orders.html", {"orders": Order.objects.order_by("pk"), "letters": Letter.objects.all()})


@csrf_exempt  # programs order here
@require_POST
@transaction.atomic
def order(request: HttpRequest) -> JsonResponse:
    """Store an order, and the job that sends its receipt: both, or neither."""
    order = Order.objects.create(mail=request.POST["mail"], item=request.POST["item"])
    order.receipt_job_id = send_receipt.defer(order_id=order.pk)
    order.save()
    return JsonResponse({"order": order.pk})
