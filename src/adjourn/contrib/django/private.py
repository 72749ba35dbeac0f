"""Private parts of Django that adjourn uses, as seen in Django 5.2.19, 6.0.10 and 6.1.3.

* ``Manager._db``: the database that ``using`` has set. Without it, a manager with a database of its own would be sent to
  that of the queue.
* ``QuerySet._raw_delete``: deletes rows in one statement, without looking for what refers to them. Without it, what tests
  change in the tables could not be stored.
* ``BaseCommand._called_from_command_line``: whether ``manage.py`` runs the command. Without it, a wrong option is an
  exception, not a message.

`tests/connectors/test_private_parts.py` fails if a release drops one of these.
"""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand
from django.db import models


def chosen_database(manager: models.Manager[Any]) -> str | None:
    """Return the alias of the database that a manager was told to use, if it was told."""
    alias: str | None = getattr(manager, "_db", None)
    return alias


def delete_rows(rows: models.QuerySet[Any], alias: str) -> None:
    """Delete rows in one statement, and nothing that refers to them."""
    delete: Any = rows._raw_delete
    delete(alias)


def is_on_command_line(command: BaseCommand) -> bool:
    """Return whether ``manage.py`` runs a command, and not ``call_command``."""
    return bool(getattr(command, "_called_from_command_line", False))
