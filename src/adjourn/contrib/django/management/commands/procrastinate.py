"""``manage.py procrastinate``, as programs that were written for Procrastinate call ``manage.py adjourn``."""

from __future__ import annotations

from typing import Any

from adjourn.contrib.django.management.commands.adjourn import Command as AdjournCommand

__all__ = ["Command"]


class Command(AdjournCommand):
    """The command under its former name."""

    help = "The former name of `manage.py adjourn`."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command, and tell its name."""
        self.stderr.write("`manage.py procrastinate` is called `manage.py adjourn` now.")
        super().handle(*args, **options)
