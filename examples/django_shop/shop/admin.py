"""Orders in the admin, beside the jobs."""

from django.contrib import admin

from shop.models import Order


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """Orders, each with the job that sends its receipt."""

    list_display = ("pk", "item", "mail", "is_sent", "receipt_job")
    list_select_related = ("receipt_job",)
    readonly_fields = ("receipt_job",)
