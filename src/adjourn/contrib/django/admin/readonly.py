"""What the pages of all models have in common: they show, and change nothing."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from adjourn.contrib.django.admin.paginator import CappedPaginator

__all__ = ["ReadOnlyAdmin"]


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # it takes none when it runs
    """Lists and shows rows. Actions need permissions, and nothing is added, edited or deleted by itself."""

    actions: Any = ()
    change_form_template = "adjourn/admin/change_form.html"
    list_per_page = 50
    ordering: ClassVar[Any] = ("-pk",)
    paginator = CappedPaginator
    show_facets = admin.ShowFacets.NEVER  # each would be a count
    show_full_result_count = False
    sortable_by: ClassVar[tuple[str, ...]] = ()  # any other order reads all rows

    class Media:
        css: ClassVar[dict[str, tuple[str, ...]]] = {"all": ("adjourn/admin.css",)}

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: jobs are deferred, and workers write the other tables."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: nothing is edited. `has_control_permission` is about actions."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False. `has_remove_permission` is about the action that deletes."""
        return False

    def has_control_permission(self, request: HttpRequest) -> bool:
        """Return whether a user may use the actions that change something: with Django's permission to change it."""
        return self._may(request, "change")

    def has_remove_permission(self, request: HttpRequest) -> bool:
        """Return whether a user may delete: with Django's permission to delete."""
        return self._may(request, "delete")

    def _may(self, request: HttpRequest, what: str) -> bool:
        user: Any = request.user
        return bool(user.has_perm(f"{self.opts.app_label}.{what}_{self.opts.model_name}"))
