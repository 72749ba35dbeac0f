"""Reading adjourn's tables through Django's models, and refusing to write through them.

Jobs move between tables, and workers hold some of them: a row that is changed beside adjourn's operations loses or repeats
jobs. So whatever would write is refused before anything is sent, and the transaction goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from django.db import models

from adjourn.contrib.django import private
from adjourn.contrib.django.exceptions import ReadOnlyModel
from adjourn.contrib.django.settings import settings

__all__ = ["Guarded", "GuardedQuerySet", "StoredManager"]

Method = TypeVar("Method", bound=Callable[..., Any])

STORES = ("create", "bulk_create", "get_or_create", "update_or_create")
CHANGES = ("update", "bulk_update", "save", "select_for_update")
DELETES = ("delete",)


def refuse(model: type[Guarded], operation: str) -> None:
    """Refuse an operation that writes, unless ``ADJOURN_READONLY_MODELS`` is False.

    Parameters
    ----------
    model
        The model.
    operation
        The name of the method.

    Raises
    ------
    ReadOnlyModel
        It says what to use instead.
    """
    if settings.READONLY_MODELS:
        kind = "delete" if operation in DELETES else "store" if operation in STORES else "change"
        raise ReadOnlyModel(f"{model.__name__}.{operation}: adjourn's models are read-only. {model.instead[kind]}")


class GuardedQuerySet(models.QuerySet[Any]):
    """A query set that reads. What writes raises `ReadOnlyModel`, and so do the forms that begin with ``a``, which call these."""

    model: type[Guarded]

    def create(self, **kwargs: Any) -> Any:
        """Refuse, as every operation that writes does."""
        refuse(self.model, "create")
        return super().create(**kwargs)

    def bulk_create(self, objs: Any, *args: Any, **kwargs: Any) -> Any:
        """Refuse."""
        refuse(self.model, "bulk_create")
        return [self._saved(each) for each in objs]

    def bulk_update(self, objs: Any, fields: Any, batch_size: int | None = None) -> int:
        """Refuse."""
        refuse(self.model, "bulk_update")
        return len([self._saved(each) for each in objs])

    def get_or_create(self, defaults: Any = None, **kwargs: Any) -> Any:
        """Refuse."""
        refuse(self.model, "get_or_create")
        return super().get_or_create(defaults, **kwargs)

    def update_or_create(self, defaults: Any = None, create_defaults: Any = None, **kwargs: Any) -> Any:
        """Refuse."""
        refuse(self.model, "update_or_create")
        return super().update_or_create(defaults, create_defaults, **kwargs)

    def update(self, **kwargs: Any) -> int:
        """Refuse."""
        refuse(self.model, "update")
        return self.model.write_update(self, kwargs)

    def delete(self) -> tuple[int, dict[str, int]]:
        """Refuse."""
        refuse(self.model, "delete")
        return self.model.write_delete(self)

    delete.queryset_only = True  # type: ignore[attr-defined]  # as Django's own: a manager has none

    def select_for_update(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: a view has no rows to lock."""
        refuse(self.model, "select_for_update")
        return super().select_for_update(*args, **kwargs)

    def _saved(self, instance: Any) -> Any:
        instance.save(using=self.db)
        return instance


class StoredManager(models.Manager.from_queryset(GuardedQuerySet)):  # type: ignore[misc]
    """Reads from the database ``ADJOURN_DATABASE_ALIAS``, so that no router is needed."""

    def get_queryset(self) -> models.QuerySet[Any]:
        """Return all rows."""
        rows: models.QuerySet[Any] = super().get_queryset()
        return rows if private.chosen_database(self) else rows.using(settings.DATABASE_ALIAS)


class Guarded(models.Model):
    """A model of a table or view of adjourn's: not managed, and read-only.

    Attributes
    ----------
    instead
        What to use instead of storing, changing and deleting.
    """

    instead: ClassVar[dict[str, str]] = {}

    objects = StoredManager()

    class Meta:
        abstract = True
        managed = False

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Refuse, unless ``ADJOURN_READONLY_MODELS`` is False."""
        refuse(type(self), "save")
        self.write_save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Refuse, unless ``ADJOURN_READONLY_MODELS`` is False."""
        refuse(type(self), "delete")
        using = kwargs.get("using") or (args[0] if args else None) or self._state.db
        return type(self).write_delete(type(self)._default_manager.using(using).filter(pk=self.pk))

    def write_save(self, *args: Any, **kwargs: Any) -> None:
        """Store this object; for tests."""
        super().save(*args, **kwargs)

    @classmethod
    def write_update(cls, rows: models.QuerySet[Any], values: dict[str, Any]) -> int:
        """Change rows; for tests."""
        return models.QuerySet.update(rows, **values)

    @classmethod
    def write_delete(cls, rows: models.QuerySet[Any]) -> tuple[int, dict[str, int]]:
        """Delete rows; for tests."""
        return models.QuerySet.delete(rows)
