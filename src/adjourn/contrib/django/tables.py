"""The names of adjourn's tables and views for Django, which puts them into SQL as they are."""

from __future__ import annotations

from adjourn import sql
from adjourn.contrib.django.settings import settings

__all__ = ["table"]


def table(name: str) -> str:
    """Return a table's name with its schema, quoted, as ``db_table`` and SQL text with parameters take it.

    Parameters
    ----------
    name
        The name without ``adjourn_``, such as ``"jobs"``.

    Raises
    ------
    InvalidOption
        If ``ADJOURN_SCHEMA`` cannot be the name of a schema.
    """
    # Django leaves a name alone that begins and ends with a quote. A percent sign would begin a parameter.
    return sql.qualified(settings.SCHEMA, f"adjourn_{name}").replace("%", "%%")
