"""Hides secret arguments before they leave the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from adjourn._domain.masking import Mask, mask_of, masked

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

    def arguments(self, task: str, args: Any) -> Any:
        """Return arguments as they may be shown."""
        hidden = masked(args)
        return hidden if self.custom is None else self.custom(task, hidden)

    def texts(self, args: Any) -> Mask:
        """Return a function that hides the same values in other texts, such as a traceback."""
        return mask_of(args)
