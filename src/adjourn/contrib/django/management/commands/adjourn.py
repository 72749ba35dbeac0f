"""``manage.py adjourn``: the commands of ``adjourn``, with the app of this Django project."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error

from adjourn import cli
from adjourn._runtime.signals import end_on
from adjourn.cli import flags
from adjourn.cli.exits import Exit, code_of
from adjourn.contrib.django import private
from adjourn.contrib.django.connections import close_idle
from adjourn.contrib.django.health import healthy_parts
from adjourn.contrib.django.procrastinate_app import app
from adjourn.exceptions import AdjournException

__all__ = ["Command"]

OWN = frozenset({"healthchecks", "schema"})
"""The commands that are others here: Django applies the schema."""


class RaisingParser(flags.Parser):
    """Raises an error instead of ending the program, for ``call_command``."""

    def end(self, message: str) -> NoReturn:
        """Raise the error."""
        raise CommandError(message)


class Command(BaseCommand):
    """Runs one of adjourn's commands. ``LOGGING`` of the settings says what becomes of log records."""

    help = "Run workers, defer jobs, look at them and change them."
    requires_migrations_checks = True

    @property
    def is_on_command_line(self) -> bool:
        """Whether this is the program's own command, not one that ``call_command`` calls."""
        return private.is_on_command_line(self)

    def add_arguments(self, parser: CommandParser) -> None:
        """Add adjourn's commands, with their flags and environment variables."""
        kind = flags.Parser if self.is_on_command_line else RaisingParser
        commands: Any = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=kind)
        for command in cli.COMMANDS_OF_APPS:
            if command.__name__.rpartition(".")[2] not in OWN:
                command.add_parser(commands)
        checks = commands.add_parser(
            "healthchecks",
            help="check the settings, the database, its schema, and a worker's connection",
            description="Check the settings, Django's connection, the migrations, the schema, and a worker's connection. "
            "Exits with 1 at the first that fails, and says why.",
        )
        checks.set_defaults(run=self.check_health, parser=checks)
        for each in commands.choices.values():
            # Django's own options are known after the command as well, because many people put them there.
            _add_base_arguments(self, each)

    def check_migrations(self) -> None:
        """Tell which migrations are not applied, if the database can be reached. If not, the command will say why."""
        try:
            super().check_migrations()
        except Error as error:
            self.stderr.write(f"The migrations could not be checked: {error}")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command.

        Raises
        ------
        CommandError
            If it fails.
        """
        given = argparse.Namespace(**options, given_app=lambda: app)
        given.parser.read_environment(given, os.environ)
        # Those of the checks before this. A worker would keep them for as long as it runs.
        close_idle()
        if self.is_on_command_line:
            end_on(signal.SIGTERM)
        with self._failing(), _sent_to(options.get("stdout")):
            code = cli.run(given)
        if code:
            self._end(code)

    def check_health(self, options: argparse.Namespace) -> int:
        """Check what jobs need, and print a line for each part."""
        for part in healthy_parts():
            print(f"{part.capitalize()}: OK")  # noqa: T201 - the output of the command
        return 0

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Turn the errors that a user may cause into Django's for commands."""
        try:
            yield
        except AdjournException as error:
            part = getattr(error, "part", None)
            text = " ".join(str(error).split())
            raise CommandError(f"{part}: {text}" if part else text, returncode=code_of(error)) from error
        except (ImproperlyConfigured, Error) as error:
            raise CommandError(str(error).strip()) from error
        except KeyboardInterrupt:
            if not self.is_on_command_line:
                raise
            self._end(Exit.INTERRUPTED)

    def _end(self, code: int) -> None:
        if self.is_on_command_line:
            sys.exit(code)
        raise CommandError(f"The command ended with the exit code {code}.", returncode=code)


def _add_base_arguments(command: Command, parser: argparse.ArgumentParser) -> None:
    hidden: dict[str, Any] = {"help": argparse.SUPPRESS, "default": argparse.SUPPRESS}
    parser.add_argument("--version", action="version", version=command.get_version(), help=argparse.SUPPRESS)
    parser.add_argument("-v", "--verbosity", type=int, choices=[0, 1, 2, 3], **hidden)
    for name in ("--settings", "--pythonpath"):
        parser.add_argument(name, **hidden)
    for name in ("--traceback", "--no-color", "--force-color", "--skip-checks"):
        parser.add_argument(name, action="store_true", **hidden)


def _sent_to(stdout: Any) -> contextlib.AbstractContextManager[Any]:
    return contextlib.nullcontext() if stdout is None else contextlib.redirect_stdout(stdout)
