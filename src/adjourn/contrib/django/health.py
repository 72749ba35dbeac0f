"""Whether everything that jobs need is there: for ``manage.py adjourn healthchecks``, and for the view of it."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator

from django.conf import settings as django_settings
from django.db import Error, connections
from django.db.migrations.recorder import MigrationRecorder

from adjourn import sql
from adjourn.contrib.django import migrations
from adjourn.contrib.django.checks import settings_errors
from adjourn.contrib.django.connector import DjangoConnector
from adjourn.contrib.django.procrastinate_app import app
from adjourn.contrib.django.settings import settings
from adjourn.exceptions import AdjournException

__all__ = ["Unhealthy", "healthy_parts"]


class Unhealthy(AdjournException):
    """A part of what jobs need is missing; the message says which, and what mends it.

    Attributes
    ----------
    part : str
        The part, such as ``"connection"``.
    """

    def __init__(self, part: str, message: str) -> None:
        super().__init__(message)
        self.part = part


def healthy_parts() -> Iterator[str]:
    """Check one part after the other, and return the name of each that is well.

    Raises
    ------
    Unhealthy
        At the first part that is not.
    """
    for part, check in PARTS.items():
        try:
            check()
        except Unhealthy:
            raise
        except (AdjournException, Error) as error:
            raise Unhealthy(part, f"{error}") from error
        yield part


def _check_settings() -> None:
    for error in settings_errors():
        raise Unhealthy("settings", f"{error.msg} See `manage.py check`.")


def _check_connection() -> None:
    with connections[settings.DATABASE_ALIAS].cursor() as cursor:
        cursor.execute("select 1")


def _check_migrations() -> None:
    if "adjourn" in django_settings.MIGRATION_MODULES:
        return
    ours = {each.name for each in pkgutil.iter_modules(migrations.__path__) if each.name[0].isdigit()}
    recorder = MigrationRecorder(connections[settings.DATABASE_ALIAS])
    applied = {name for label, name in recorder.applied_migrations() if label == "adjourn"}
    if missing := sorted(ours - applied):
        raise Unhealthy("migrations", f"These are not applied: {', '.join(missing)}. Run `manage.py migrate adjourn`.")


def _check_schema() -> None:
    app.schema_manager.check_version()


def _check_worker() -> None:
    session = DjangoConnector().get_worker_connector().session()
    try:
        session.execute(sql.statements(settings.SCHEMA)["get_schema_version"], {})
    finally:
        session.close()


PARTS: dict[str, Callable[[], None]] = {
    "settings": _check_settings,
    "connection": _check_connection,
    "migrations": _check_migrations,
    "schema": _check_schema,
    "worker": _check_worker,
}
