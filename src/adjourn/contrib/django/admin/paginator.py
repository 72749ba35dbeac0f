"""Pages of a long list: it is counted only so far."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.utils.formats import number_format
from django.utils.functional import cached_property

__all__ = ["CappedCount", "CappedPaginator"]

MOST = 10_000
"""More rows than these are not counted: the count would take as long as there are jobs."""


class CappedCount(int):
    """A number of rows that may be more: it is shown as ``10,000+``."""

    def __str__(self) -> str:
        # With this setting Django groups the characters of the text by itself.
        return (
            str(int(self)) if settings.USE_THOUSAND_SEPARATOR else f"{number_format(int(self), force_grouping=True)}+"
        )


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # it takes none when it runs
    """Counts at most 10,000 rows, and has pages for as many.

    To find a few rows among many takes as long as to read them all, so rows are looked for once: they are counted, and
    chosen for a page, by their ids.
    """

    @cached_property
    def ids(self) -> list[int]:
        """The ids of the first rows, in order; one more than are counted, if there are more."""
        rows: Any = self.object_list
        return list(rows.values_list("pk", flat=True)[: MOST + 1])

    @cached_property
    def count(self) -> int:
        """How many rows there are; 10,000 if there are more."""
        return len(self.ids) if len(self.ids) <= MOST else CappedCount(MOST)
