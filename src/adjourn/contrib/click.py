"""The commands of ``adjourn`` as a group of Click's, for the command line of a program of your own. Needs the extra
``click``."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from typing import Any, NoReturn

try:
    import click
except ModuleNotFoundError as _error:
    raise ImportError("adjourn.contrib.click needs Click: pip install 'adjourn[click]'") from _error

import adjourn
from adjourn import cli
from adjourn._runtime.signals import end_on
from adjourn.app import App
from adjourn.cli import flags
from adjourn.cli.exits import Exit, code_of
from adjourn.exceptions import AdjournException, InvalidOption

__all__ = ["group"]

logger: logging.Logger = logging.getLogger(__name__)

_LOG_OPTIONS = ("log_level", "log_format", "log_format_style", "verbose")


def group(app: App | Callable[[], App], name: str = "adjourn") -> click.Group:
    """Return a group with the commands of ``adjourn`` for one app: ``worker``, ``defer``, ``schema``, ``healthchecks``,
    ``shell`` and ``migrate-from-procrastinate``.

    They take the flags and environment variables of the command ``adjourn``, but for ``--app``, and end with its exit
    codes. An invalid command line is Click's `UsageError`.

    Parameters
    ----------
    app
        The app, or a function that returns it when a command runs.
    name
        The name of the group.

    Raises
    ------
    InvalidOption
        If ``app`` is neither.

    Examples
    --------
    ::

        @click.group()
        def main() -> None: ...

        main.add_command(adjourn.contrib.click.group(app))

    Typer has a Click of its own, to which no group of Click's can be added. Hand the arguments on there::

        PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

        @main.command("adjourn", help="Run jobs.", add_help_option=False, context_settings=PASSED_ON)
        def run_adjourn(context: typer.Context) -> None:
            adjourn.contrib.click.group(app).main(context.args, prog_name="shop adjourn")
    """
    if not isinstance(app, App) and not callable(app):
        raise InvalidOption(f"app={app!r}: pass an adjourn.App, or a function that returns one.")
    return _Group(name, (lambda: app) if isinstance(app, App) else app)


class _CommandFailed(click.ClickException):
    """A command has failed; it has the exit code of the command ``adjourn``.

    Parameters
    ----------
    error
        What it failed with.
    """

    def __init__(self, error: AdjournException) -> None:
        super().__init__(" ".join(str(error).split()))
        self.exit_code: int = int(code_of(error))  # type: ignore[misc]  # a class variable in its types


class _Parser(flags.Parser):
    """Reads a command line, and refuses it in Click's manner."""

    def end(self, message: str) -> NoReturn:
        raise click.UsageError(message, click.get_current_context())

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        if message:
            click.echo(message, nl=False)
        click.get_current_context().exit(status)


class _Group(click.Group):
    """The commands. Each hands its arguments to adjourn's own parser."""

    def __init__(self, name: str, app: Callable[[], App]) -> None:
        commands = [
            _Command(each.__name__.rpartition(".")[2].replace("_", "-"), each.HELP, app)
            for each in cli.COMMANDS_OF_APPS
        ]
        super().__init__(name, commands=commands, help="Run adjourn's jobs, and look after them.")
        click.version_option(adjourn.__version__, "-V", "--version", prog_name="adjourn")(self)


class _Command(click.Command):
    """One command, whose flags, help and messages are those of adjourn's parser."""

    def __init__(self, name: str, told: str, app: Callable[[], App]) -> None:
        super().__init__(name, short_help=told)
        self._app = app

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, once it is certain that the command is meant."""
        above = ctx.parent.command_path if ctx.parent is not None else ""
        parser = cli.make_parser(above, app=self._app, kind=_Parser)
        with ctx.scope(cleanup=False):
            ctx.params = {"options": cli.parse([str(ctx.info_name), *args], parser)}
        return []

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        end_on(signal.SIGTERM)
        options = ctx.params["options"]
        # The program may have its own way to log.
        if not logging.root.handlers or any(hasattr(options, each) for each in _LOG_OPTIONS):
            cli.configure_logs(options)
        try:
            code = cli.run(options)
        except AdjournException as error:
            logger.debug("The cause:", exc_info=error)
            raise _CommandFailed(error) from error
        except KeyboardInterrupt:
            code = Exit.INTERRUPTED
        if code:
            ctx.exit(code)
