"""What the shell's groups of commands have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adjourn.app import App
from adjourn.cli.authors import manager_of
from adjourn.manager import JobManager

if TYPE_CHECKING:
    from adjourn.cli.tables import Screen


class Commands:
    """Commands, one method each, named after `grammar.USAGES`.

    Parameters
    ----------
    app
        An open app.
    screen
        Prints the answers.
    is_quiet
        Whether not to say how far something is that takes long.
    """

    def __init__(self, app: App, screen: Screen, *, is_quiet: bool = False) -> None:
        super().__init__()
        self._app = app
        self._screen = screen
        self._is_quiet = is_quiet

    @property
    def _changing(self) -> JobManager:
        """The manager for what changes something, which notes who has typed the command."""
        return manager_of(self._app)
