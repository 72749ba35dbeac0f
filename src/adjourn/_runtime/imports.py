"""Import modules and objects by name."""

from __future__ import annotations

import importlib
import logging
import pkgutil
import sys
from collections.abc import Iterable
from typing import TypeVar

from adjourn import exceptions
from adjourn._domain.spelling import closest, hint

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
        meant = hint(name, [each for each, value in vars(module).items() if isinstance(value, kind)])
        raise exceptions.LoadFromPathError(f"{path!r}: module {module_name} has no {name!r}{meant}")
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
            where = _hint_of_module(name, error) or ". Is its directory on Python's import path?"
            raise exceptions.LoadFromPathError(f"Module {name!r} could not be imported: {error}{where}") from error


def _hint_of_module(name: str, error: ImportError) -> str:
    """Return which module was probably meant; empty if none was, or something else is missing."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is None or not f"{name}.".startswith(f"{missing}."):
        return ""
    package, _, last = missing.rpartition(".")
    # At the top, those beside the program: all that are installed would be too many.
    places = list(getattr(sys.modules.get(package), "__path__", [])) if package else sys.path[:1]
    meant = closest(last, [module.name for module in pkgutil.iter_modules(places)])
    return "" if meant is None else f"; did you mean {f'{package}.{meant}'.lstrip('.')!r}?"
