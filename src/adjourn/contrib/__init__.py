"""Connectors and integrations for packages that adjourn does not depend on. Each says which extra it needs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adjourn.contrib import aiopg as aiopg
    from adjourn.contrib import click as click
    from adjourn.contrib import django as django
    from adjourn.contrib import fastapi as fastapi
    from adjourn.contrib import flask as flask
    from adjourn.contrib import opentelemetry as opentelemetry
    from adjourn.contrib import prometheus as prometheus
    from adjourn.contrib import psycopg2 as psycopg2
    from adjourn.contrib import sentry as sentry
    from adjourn.contrib import sqlalchemy as sqlalchemy
    from adjourn.contrib import starlette as starlette

_MODULES = (
    "aiopg",
    "click",
    "django",
    "fastapi",
    "flask",
    "opentelemetry",
    "prometheus",
    "psycopg2",
    "sentry",
    "sqlalchemy",
    "starlette",
)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"adjourn.contrib.{name}")
