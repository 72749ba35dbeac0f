"""A Django project for the tests: its settings, and where its database is.

Importing this sets Django up, once for the whole process, without a database. The fixture `site` says where that is.
"""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

import django

NAMES = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}


def address(dsn: str) -> dict[str, Any]:
    """The address of a database, as ``DATABASES`` has it."""
    found = conninfo_to_dict(dsn)
    return {setting: found.get(name) or "" for name, setting in NAMES.items()}


POSTGRES = {"ENGINE": "django.db.backends.postgresql"}

SETTINGS: dict[str, Any] = {
    "SECRET_KEY": "no secret",
    "ALLOWED_HOSTS": ["*"],
    "DATABASES": {
        "default": POSTGRES | {"NAME": "not known yet"},
        # The database of the other tests, with a schema of its own.
        "second": POSTGRES | {"NAME": "not known yet"},
        "sqlite": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    },
    "INSTALLED_APPS": [
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "support.shop",
        "adjourn.contrib.django",
        *(["django_tasks"] if django.VERSION < (6, 0) else []),
    ],
    "MIDDLEWARE": [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    "ROOT_URLCONF": "support.shop.urls",
    "STATIC_URL": "static/",
    # On Django 5.2 these are tasks of the backport.
    "TASKS": {
        "default": {"BACKEND": "adjourn.contrib.django.tasks.AdjournBackend", "QUEUES": []},
        "patient": {
            "BACKEND": "adjourn.contrib.django.tasks.AdjournBackend",
            "QUEUES": ["default"],
            "OPTIONS": {"retry": 2, "timeout": 60, "max_result_size": 1000},
        },
    },
    "USE_TZ": True,
    "TIME_ZONE": "UTC",
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    # What the process logs is the business of the tests.
    "LOGGING_CONFIG": None,
    "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
}

if not settings.configured and "DJANGO_SETTINGS_MODULE" not in os.environ:
    settings.configure(**SETTINGS)
    django.setup()


def move(alias: str, dsn: str) -> None:
    """Have Django find a database elsewhere from now on, in all threads."""
    from django.db import connections

    connections[alias].close()
    connections.settings[alias].update(address(dsn))
