"""The home of `SchemaManager` in programs that were written for Procrastinate."""

from adjourn.manager import SchemaManager

__all__ = ["SchemaManager"]
