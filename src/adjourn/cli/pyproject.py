"""What a project says of commands in its ``pyproject.toml``."""

from __future__ import annotations

import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from adjourn.exceptions import InvalidOption

NAME = "pyproject.toml"


@attrs.frozen
class Table:
    """The table of a command.

    Attributes
    ----------
    path
        The file; None if there is none.
    name
        The name of the table, such as ``tool.adjourn.doctor``.
    values
        What it has.
    """

    path: Path | None
    name: str
    values: Mapping[str, Any]

    def refusal(self, key: str, reason: str) -> InvalidOption:
        """Return the error of a key, which says where it is, and what is wrong."""
        return InvalidOption(f"{self.path}: {self.name}.{key}: {reason}")


def table_of(command: str, folder: Path | None = None) -> Table:
    """Return the table ``[tool.adjourn.COMMAND]`` of the project: of the file in a folder or, if there is none, in the nearest one above it.

    Parameters
    ----------
    command
        The name of the command.
    folder
        Where to begin; None for the current directory.

    Raises
    ------
    InvalidOption
        If the file cannot be read, a folder cannot be searched for it, or the table is none.
    """
    name = f"tool.adjourn.{command}"
    try:
        start = Path.cwd() if folder is None else folder.absolute()
    except FileNotFoundError:  # the current directory was removed
        return Table(None, name, {})
    path = next((path for each in (start, *start.parents) if _is_file(path := each / NAME, name)), None)
    if path is None:
        return Table(None, name, {})
    try:
        values: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except (
        OSError,
        ValueError,
        RecursionError,
    ) as error:  # ValueError is the base of what both the decoder and the parser raise
        raise InvalidOption(
            f"{path} cannot be read, so nobody knows what it says in [{name}]: {error}. Mend it."
        ) from error
    for part in name.split("."):
        values = values.get(part, {})
        if not isinstance(values, dict):
            raise InvalidOption(f"{path}: {name} is no table. Write [{name}] and its keys below it.")
    return Table(path, name, values)


def _is_file(path: Path, name: str) -> bool:
    # Path.is_file says of a folder that cannot be searched that it has no such file, or raises, as the version of Python has it.
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise InvalidOption(
            f"Nobody knows whether there is a file {path}, which may have [{name}]: {error}. "
            "Run the command in a folder that it may search."
        ) from error
