"""Where the pages are."""

from django.contrib import admin
from django.urls import path

from adjourn.contrib.django.views import health
from shop import views

urlpatterns = [
    path("", views.orders),
    path("orders/", views.order),
    path("health/", health),
    path("admin/", admin.site.urls),
]
