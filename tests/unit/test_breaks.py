"""What the models are tried on is in the functions that it breaks; the trials themselves take minutes."""

from __future__ import annotations

from importlib import resources

import pytest

from properties import test_flow, test_queue

FUNCTIONS = resources.files("adjourn.sql").joinpath("functions")


@pytest.mark.parametrize("model", [test_flow, test_queue], ids=lambda model: str(model.__name__))
def test_what_is_to_be_broken_is_there(model: object) -> None:
    gone = [
        broken
        for broken, (name, old, _) in model.BREAKS.items()  # type: ignore[attr-defined]
        if old not in FUNCTIONS.joinpath(f"{name}_v1.sql").read_text("utf-8")
    ]
    assert gone == []
