"""The app of this Django project, where programs that were written for Procrastinate import it from as well."""

from __future__ import annotations

from adjourn.contrib.django.application import SiteApp
from adjourn.contrib.django.connector import DjangoConnector
from adjourn.contrib.django.names import NAMESPACE
from adjourn.contrib.django.resolver import FrameworkResolver

__all__ = ["app", "current_app"]

app: SiteApp = SiteApp(connector=DjangoConnector())
"""The app. It can be imported and used at any time; deferring needs configured settings."""
app.add_task_resolver(NAMESPACE, FrameworkResolver(app))

current_app: SiteApp = app
"""The same app. In Procrastinate, ``app`` is a proxy of it."""
