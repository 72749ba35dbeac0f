"""Import modules and objects by name."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterable
from typing import TypeVar

from adjourn import exceptions

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("adjourn.utils")


def load_from_path(path: str, kind: type[T]) -> T:
    """Import an object by its dotted path, such as ``package.module.app``.

    Parameters
    ----------
    path
        The path.
    kind
        The class that the object must be of.

    Raises
    ------
    LoadFromPathError
        If it cannot be imported, or is not of this kind.
    """
    module_name, _, name = path.replace(":", ".").rpartition(".")
    if not module_name or not name:
        raise exceptions.LoadFromPathError(f"{path!r} is not a path such as package.module.app.")
    import_all([module_name])
    module = importlib.import_module(module_name)
    if not hasattr(module, name):
        raise exceptions.LoadFromPathError(f"{path!r}: module {module_name} has no {name!r}.")
    value = getattr(module, name)
    if not isinstance(value, kind):
        raise exceptions.LoadFromPathError(f"{path!r} is of type {type(value).__name__}, not {kind.__name__}.")
    return value


def import_all(module_names: Iterable[str]) -> None:
    """Import modules by name.

    Raises
    ------
    LoadFromPathError
        If a module cannot be imported; the message says which, and why.
    """
    for name in module_names:
        logger.debug("Importing module %s", name, extra={"action": "import_module", "module_name": name})
        try:
            importlib.import_module(name)
        except ImportError as error:
            message = f"Module {name!r} could not be imported: {error}. Is its directory on Python's import path?"
            raise exceptions.LoadFromPathError(message) from error
