"""Hides secret arguments before they leave the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from adjourn._domain.masking import Mask, Names, mask_of, masked

ArgumentsMask: TypeAlias = Callable[[str, Any], Any]
"""Takes the name of a task and its arguments, and returns the arguments as they may be shown."""


@attrs.frozen
class Masker:
    """Hides secret values by their names, and whatever a function of yours hides besides.

    Parameters
    ----------
    custom
        That function; None for none.
    """

    custom: ArgumentsMask | None = None

    def arguments(self, task: str, args: Any, names: Names = ()) -> Any:
        """Return arguments as they may be shown, without those of these names."""
        hidden = masked(args, names)
        return hidden if self.custom is None else self.custom(task, hidden)

    def texts(self, args: Any, names: Names = ()) -> Mask:
        """Return a function that hides the same values in other texts, such as a traceback."""
        return mask_of(args, names)
