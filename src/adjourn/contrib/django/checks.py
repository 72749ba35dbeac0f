"""Django's system checks of the settings. They open no connection, except for ``check --database``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's name for it
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.module_loading import import_string

from adjourn import sql
from adjourn._domain.job_limits import checked_queue_limits
from adjourn._domain.results import check_ttl
from adjourn._domain.schedules import checked_defaults
from adjourn._domain.spelling import dotted_hint, hint
from adjourn.contrib.django.connector import DjangoConnector
from adjourn.contrib.django.names import path_of
from adjourn.contrib.django.procrastinate_app import app
from adjourn.contrib.django.settings import PREFIX, Settings, settings
from adjourn.exceptions import AdjournException, ConnectorException, InvalidOption, SchemaOutOfDate
from adjourn.tasks import Task
from adjourn.worker.options import checked_options

__all__ = ["TAG", "check_database", "check_settings", "settings_errors"]

TAG = "adjourn"
FORMER_PREFIX = "PROCRASTINATE_"
KNOWN = tuple(name for name in vars(Settings) if name.isupper())


@register(TAG)
def check_settings(app_configs: Any = None, **_: Any) -> list[CheckMessage]:
    """Check the settings, and the tasks that are declared."""
    found: list[CheckMessage] = list(settings_errors())
    found.extend(_check_names())
    found.extend(_check_hidden())
    if not any(each.id in ("adjourn.E001", "adjourn.E002") for each in found):
        found.extend(_check_pooler())
    found.extend(_check_tasks())
    found.extend(_check_relations())
    return found


@register(TAG, Tags.database)
def check_database(app_configs: Any = None, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Check the schema of the database, if ``check --database`` names it."""
    is_migrating = sys.argv[1:2] == ["migrate"]  # which checks first, and then mends it
    if (
        is_migrating
        or settings.DATABASE_ALIAS not in (databases or ())
        or next(iter(settings_errors()), None) is not None
    ):
        return []
    try:
        app.schema_manager.check_version()
    except SchemaOutOfDate as error:
        return [Warning(str(error), hint="Run `manage.py migrate`.", id="adjourn.W002")]
    except ConnectorException as error:
        return [Warning(f"The schema could not be checked: {error}", id="adjourn.W002")]
    return []


def settings_errors() -> Iterator[CheckMessage]:
    """Return what is wrong with the values of the settings."""
    yield from _check_alias()
    yield from _check_paths()
    try:
        sql.statements(settings.SCHEMA)
    except InvalidOption as error:
        yield Error(f"ADJOURN_SCHEMA: {error}", id="adjourn.E004")
    yield from _check_options()
    yield from _check_kinds()


def _check_alias() -> Iterator[CheckMessage]:
    alias = settings.DATABASE_ALIAS
    if not isinstance(alias, str) or alias not in connections.settings:
        names = ", ".join(map(repr, connections.settings))
        yield Error(f"ADJOURN_DATABASE_ALIAS={alias!r}: DATABASES has no such name. It has {names}.", id="adjourn.E001")
    elif (vendor := _vendor(alias)) != "postgresql":
        engine = connections.settings[alias]["ENGINE"]
        yield Error(
            f"The database {alias!r} (ADJOURN_DATABASE_ALIAS) is not PostgreSQL: its ENGINE is {engine!r}.",
            hint="Name a database of DATABASES that is."
            if vendor is not None
            else "Its ENGINE, or the driver, is missing.",
            id="adjourn.E002",
        )


def _vendor(alias: str) -> str | None:
    try:
        vendor: str = connections[alias].vendor
    except ImproperlyConfigured:
        return None
    return vendor


def _check_paths() -> Iterator[CheckMessage]:
    path = settings.ON_APP_READY
    if path is not None and not callable(path):
        yield from _tried("ADJOURN_ON_APP_READY", path, import_string)
    paths = settings.IMPORT_PATHS
    if isinstance(paths, str) or not isinstance(paths, Iterable):
        yield Error(f"ADJOURN_IMPORT_PATHS={paths!r}: pass a list of modules' names.", id="adjourn.E003")
        return
    for each in paths:
        yield from _tried("ADJOURN_IMPORT_PATHS", each, importlib.import_module)


def _tried(setting: str, path: Any, load: Callable[[str], Any]) -> Iterator[CheckMessage]:
    try:
        if not isinstance(path, str):
            raise TypeError(f"a dotted path is text, not of type {type(path).__name__}")
        load(path)
    except Exception as error:  # the module is the user's
        yield Error(
            f"{setting}: {path!r} cannot be imported: {type(error).__name__}: {error}",
            id="adjourn.E003",
        )


def _check_options() -> Iterator[CheckMessage]:
    for name, check in (
        ("WORKER_DEFAULTS", lambda value: checked_options("ADJOURN_WORKER_DEFAULTS", value)),
        ("PERIODIC_DEFAULTS", checked_defaults),
        ("RESULT_TTL", check_ttl),
        ("QUEUE_LIMITS", checked_queue_limits),
    ):
        value = getattr(settings, name)
        try:
            if value is not None:
                check(value)
        except AdjournException as error:
            text = str(error)
            yield Error(text if text.startswith(PREFIX) else f"{PREFIX}{name}: {text}", id="adjourn.E005")
    pool: Any = settings.POOL
    if not isinstance(pool, Mapping):
        yield Error(f"ADJOURN_POOL={pool!r}: pass a dictionary.", id="adjourn.E005")
    elif not list(_check_alias()):
        try:
            DjangoConnector().get_worker_connector()
        except ImproperlyConfigured as error:
            yield Error(str(error), id="adjourn.E005")


def _check_kinds() -> Iterator[CheckMessage]:
    # Text is true, whatever it says, and has every part of itself in it.
    for name in ("READONLY_MODELS", "ALLOW_DROP", "STORE_RESULTS"):
        value: Any = getattr(settings, name)
        if not isinstance(value, bool):
            yield Error(f"{PREFIX}{name}={value!r}: pass True or False.", id="adjourn.E009")
    if not _are_names(settings.ADMIN_HIDE_ARGS):
        yield Error(
            f"ADJOURN_ADMIN_HIDE_ARGS={settings.ADMIN_HIDE_ARGS!r}: pass a list of tasks' names.", id="adjourn.E009"
        )


def _are_names(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset) and all(isinstance(each, str) for each in value)


def _check_hidden() -> Iterator[CheckMessage]:
    names: Any = settings.ADMIN_HIDE_ARGS
    for name in names if _are_names(names) else ():
        if name not in app.tasks and not _is_importable(path_of(name)):
            yield Warning(
                f"ADJOURN_ADMIN_HIDE_ARGS: there is no task {name!r} here{dotted_hint(name, app.tasks)}",
                hint="The admin shows the arguments of tasks whose names are not in the list as they are.",
                id="adjourn.W006",
            )


def _is_importable(path: str) -> bool:
    try:
        import_string(path)
    except Exception:  # the module is the user's
        return False
    return True


def _check_names() -> Iterator[CheckMessage]:
    for name in dir(django_settings):
        if name.startswith(FORMER_PREFIX):
            new = name.removeprefix(FORMER_PREFIX)
            what = f"It is called {PREFIX}{new} now." if new in KNOWN else "There is no such setting any more."
            yield Warning(f"{name} is a setting of Procrastinate, and is not read. {what}", id="adjourn.W001")
        elif name.startswith(PREFIX) and name.removeprefix(PREFIX) not in KNOWN:
            meant = hint(name, [PREFIX + each for each in KNOWN])
            yield Warning(f"There is no setting {name}{meant}", id="adjourn.W001")


def _check_pooler() -> Iterator[CheckMessage]:
    alias = settings.DATABASE_ALIAS
    pool: Any = settings.POOL
    is_said = isinstance(pool, Mapping) and "pooler" in pool
    listens = _worker_defaults().get("listen_notify", True)
    if connections.settings[alias].get("DISABLE_SERVER_SIDE_CURSORS") and listens and not is_said:
        yield Warning(
            f"DISABLE_SERVER_SIDE_CURSORS of the database {alias!r} suggests a connection pooler in transaction mode, through "
            "which workers are told of no new jobs.",
            hint="Set ADJOURN_POOL = {'pooler': True}, so that they only poll; or False, if there is no such pooler.",
            id="adjourn.W003",
        )


def _worker_defaults() -> Mapping[str, Any]:
    given: Any = settings.WORKER_DEFAULTS
    return given if isinstance(given, Mapping) else {}


def _check_tasks() -> Iterator[CheckMessage]:
    functions: dict[tuple[str, str], Task[Any, Any, Any]] = {}
    for task in {id(each): each for each in app.tasks.values()}.values():
        code = getattr(task.func, "__code__", None)
        if code is None:
            continue
        place = (code.co_filename, task.func.__qualname__)
        other = functions.setdefault(place, task)
        if other is not task and other.func.__module__ != task.func.__module__:
            yield Warning(
                f"The task {task.func.__qualname__} of {code.co_filename} is declared twice, as {other.name!r} and as "
                f"{task.name!r}, because its module is imported under two names.",
                hint="Import it by one of them everywhere.",
                id="adjourn.W004",
            )
    queues = _worker_defaults().get("queues")
    for periodic in app.periodic_registry.periodic_tasks.values():
        queue = periodic.configure_kwargs.get("queue") or periodic.task.queue
        if queues is not None and queue not in queues:
            yield Warning(
                f"The periodic task {periodic.task.name!r} has its jobs in the queue {queue!r}, which is not in the "
                "`queues` of ADJOURN_WORKER_DEFAULTS, so that workers leave them.",
                id="adjourn.W005",
            )


def _check_relations() -> Iterator[CheckMessage]:
    for model in apps.get_models():
        for field in (*model._meta.local_fields, *model._meta.local_many_to_many):
            target = getattr(field.remote_field, "model", None) if field.remote_field else None
            label = getattr(getattr(target, "_meta", None), "app_label", None)
            if label != TAG or model._meta.app_label == TAG:
                continue
            constrained = getattr(field, "db_constraint", False) or getattr(field.remote_field, "db_constraint", False)
            if constrained:
                yield Error(
                    f"{field} has a database constraint, which a relation to a job cannot have: a job moves from one table "
                    "to another.",
                    hint="Pass db_constraint=False, and on_delete=models.DO_NOTHING.",
                    obj=field,
                    id="adjourn.E007",
                )
