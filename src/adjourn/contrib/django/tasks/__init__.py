"""Runs the tasks of ``django.tasks``, or of its backport ``django-tasks``, as jobs of adjourn.

.. code-block:: python

    INSTALLED_APPS = [..., "adjourn.contrib.django"]
    TASKS = {"default": {"BACKEND": "adjourn.contrib.django.tasks.AdjournBackend"}}

It needs Django 6.0 or later, or the extra ``adjourn[django-tasks]``.
"""

from __future__ import annotations

from adjourn.contrib.django.tasks.backend import AdjournBackend
from adjourn.contrib.django.tasks.declared import AdjournTask, options
from adjourn.contrib.django.tasks.options import BackendOptions

__all__ = ["AdjournBackend", "AdjournTask", "BackendOptions", "options"]
