"""adjourn as a Django application: ``INSTALLED_APPS = [..., "adjourn.contrib.django"]``.

``app`` is an `App` on Django's own database connection: declare tasks with ``@app.task``, and defer them like
anything else that you store. A job that is deferred in a transaction is committed and rolled back with it. Nothing has to
be opened or closed.

It needs the extra ``adjourn[django]``.
"""

from __future__ import annotations

try:
    import django as _django
except ImportError as _error:  # pragma: no cover - run in a process of its own
    raise ImportError("adjourn.contrib.django needs Django: pip install 'adjourn[django]'.") from _error

from adjourn.contrib.django.application import DjangoApp
from adjourn.contrib.django.connector import DjangoConnector
from adjourn.contrib.django.parameters import connector_params
from adjourn.contrib.django.procrastinate_app import app

__all__ = ["DjangoApp", "DjangoConnector", "app", "connector_params"]

del _django
