"""What a step of the migration has found and done."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from adjourn.exceptions import AdjournException


class MigrationRefused(AdjournException):
    """A step of the migration was refused, and has changed nothing."""

    def __init__(self, reasons: str | Sequence[str]) -> None:
        self.reasons: tuple[str, ...] = (reasons,) if isinstance(reasons, str) else tuple(reasons)
        """Each with its remedy."""
        super().__init__(" ".join(self.reasons))


@attrs.frozen(kw_only=True)
class Report:
    """What a step has found and done.

    Attributes
    ----------
    step
        The name of the step.
    facts
        Numbers and lists, which can be written as JSON.
    lines
        The same as text.
    to_decide
        What somebody has to decide before the migration can go on, as text.
    """

    step: str
    facts: Mapping[str, Any]
    lines: Sequence[str]
    to_decide: Sequence[str] = ()

    def as_json(self) -> str:
        """Return the report as a JSON object on one line."""
        return json.dumps({"step": self.step, **self.facts, "to_decide": list(self.to_decide)}, default=str)

    def as_text(self) -> str:
        """Return the report as text."""
        return "\n".join([*self.lines, *(f"To decide: {each}" for each in self.to_decide)])
