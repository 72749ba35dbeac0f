"""Where the pages of the shop are."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from adjourn.contrib.django.views import health
from support.shop import views

urlpatterns = [
    path("order/", views.order),
    path("order-async/", views.order_async),
    path("order-blocking/", views.order_blocking),
    path("health/", health),
    path("admin/", admin.site.urls),
]
