"""The Django application."""

from __future__ import annotations

import importlib
import logging
import traceback
from typing import Any

from django.apps import AppConfig, apps
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string, module_has_submodule
from django.utils.translation import gettext_lazy as _

from adjourn.app import App
from adjourn.contrib.django.procrastinate_app import app
from adjourn.contrib.django.settings import settings

__all__ = ["AdjournConfig"]

logger: logging.Logger = logging.getLogger("adjourn.django")


class AdjournConfig(AppConfig):
    """adjourn in a Django project: finds the project's tasks when Django starts. Opens no connection."""

    name = "adjourn.contrib.django"
    label = "adjourn"
    verbose_name = _("Jobs")
    default_auto_field = "django.db.models.BigAutoField"

    @property
    def app(self) -> App:
        """The app of this project."""
        return app

    def ready(self) -> None:
        """Import the modules that declare tasks, and call ``ADJOURN_ON_APP_READY``.

        Raises
        ------
        ImproperlyConfigured
            If such a module cannot be imported; the message names the app and the reason.
        """
        # Its import registers the checks, which look at the models of all apps.
        importlib.import_module("adjourn.contrib.django.checks")
        if settings.AUTODISCOVER_MODULE_NAME:
            for each in apps.get_app_configs():
                if each is not self:
                    _import_tasks(each, settings.AUTODISCOVER_MODULE_NAME)
        _call_when_ready(settings.ON_APP_READY)


def _import_tasks(config: AppConfig, module: str) -> None:
    """Import an app's module if it has one."""
    name = f"{config.name}.{module}"
    try:
        importlib.import_module(name)
    except ImportError as error:
        if config.module is None or not module_has_submodule(config.module, module):
            return
        places = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == "<module>"]
        where = f" ({places[-1].filename}, line {places[-1].lineno})" if places else ""
        raise ImproperlyConfigured(
            f"The app {config.label!r} has a module {name}, which cannot be imported: {error}{where}. adjourn imports it "
            "because it may declare tasks; ADJOURN_AUTODISCOVER_MODULE_NAME names another module, or None."
        ) from error


def _call_when_ready(path: Any) -> None:
    if path is None:
        return
    try:
        function = path if callable(path) else import_string(path)
    except Exception as error:  # it is the user's; the system check reports it as well, and stops most commands
        message = "ADJOURN_ON_APP_READY=%r cannot be imported, and is not called: %s: %s"
        logger.error(message, path, type(error).__name__, error, extra={"action": "on_app_ready_failed"})
        return
    function(app)
